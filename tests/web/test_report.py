"""report.html and the page of `dashctl compare --html`, in a headless Chromium: opened as files, without a server.

DASH_BIN: the folder of dashctl. DASH_WEB_SHOTS, if set: a folder for pictures.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import browser
import canned

HERE = os.path.dirname(os.path.abspath(__file__))
BIN, SOURCE = os.environ["DASH_BIN"], os.environ["DASH_SOURCE"]
SHOTS = os.environ.get("DASH_WEB_SHOTS")
END = "</script><script>alert(1)</script><!--"  # what would end a script
CHROMIUM = None


def setUpModule():
    global CHROMIUM
    CHROMIUM = browser.Browser()
    unittest.addModuleCleanup(CHROMIUM.close)


def row_of(n, boundary, seed=1):
    s = canned.step(n, boundary=boundary, seed=seed)
    row = {"step": n, "loss": s["loss"], "grad_norm": s["gradNorm"], "learning_rate": abs(s["learningRate"]), "tokens": int(s["tokens"]),
           "trained_tokens": int(s["trainedTokens"]), "seconds": s["seconds"], "phase": s["phase"].lower()}
    if "evalLoss" in s:
        row["eval_loss"] = s["evalLoss"]
    return row


class Reports(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dash-report-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.page = CHROMIUM.page()
        self.addCleanup(self.page.close)

    def make(self, name, steps=300, boundary=100, files=None, rank=8):
        """An output folder, as a job leaves it."""
        folder = os.path.join(self.folder, name)
        os.mkdir(folder)
        yaml = self.yaml(name, rank)
        self.rows = [row_of(n, boundary, seed=rank) for n in range(1, steps + 1)]
        for file, text in {"job.yaml": yaml, "metrics.jsonl": "".join(json.dumps(r) + "\n" for r in self.rows),
                           "outcome.json": json.dumps({"how": "adapter_written", "asked": False, "reason": ""}), **(files or {})}.items():
            with open(os.path.join(folder, file), "w", encoding="utf-8") as f:
                f.write(text)
        return folder

    def yaml(self, name, rank):
        tiny = os.path.join(SOURCE, "tests/golden/tiny")
        job = os.path.join(self.folder, name + ".yaml")
        with open(job, "w", encoding="utf-8") as f:
            f.write(f"name: {json.dumps(name + END)}\nmodel: {tiny}/model\ndata: {{train: {tiny}/train.jsonl, max_tokens: 128}}\n"
                    f"lora: {{rank: {rank}}}\noutput: {self.folder}/planned\n")
        return json.loads(self.dashctl("plan", job, "--output", "json"))["job_yaml"]

    def dashctl(self, *arguments):
        done = subprocess.run([os.path.join(BIN, "dashctl"), *arguments], capture_output=True, text=True, timeout=browser.DEADLINE, cwd=self.folder,
                              env={**os.environ, "DASH_SERVER": "", "XDG_STATE_HOME": self.folder, "XDG_RUNTIME_DIR": self.folder, "HOME": self.folder})
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def open(self, path):
        self.page.go("file://" + path)
        self.page.wait("document.querySelectorAll('path.line:not([d=\"\"])').length > 3")

    def check(self, name, path):
        with open(os.path.join(HERE, "accessibility.js"), encoding="utf-8") as f:
            script = f.read()
        for kind, width, dark in (("light", 1280, False), ("dark", 1280, True), ("narrow", 375, False)):
            self.page.size(width, 900, dark=dark, touch=width < 500)
            self.page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))")
            if SHOTS:
                self.page.screenshot(os.path.join(SHOTS, f"{name}-{kind}.png"))
            self.assertEqual(self.page.run(script), [], kind)
        self.page.size(1280, 900)
        self.assertLess(os.path.getsize(path), 2_000_000)
        self.assertEqual(self.page.errors, [])
        self.assertEqual({u for u in self.page.requests if not u.startswith(("data:", "about:"))}, {"file://" + path})

    def test_a_report_of_a_folder(self):
        folder = self.make("dates", files=canned.directions())
        path = os.path.join(folder, "report.html")
        self.assertEqual(self.dashctl("report", folder), path + "\n")
        self.open(path)
        text = self.page.text()
        for word in ("dates" + END, "SUCCEEDED", "directions chosen", "prelaunch_steps: 100", "chosen:"):
            self.assertIn(word, text)
        self.assertEqual(self.page.run("document.querySelectorAll('.map [role=gridcell]').length"), 150)
        self.page.click("[data-module='model.layers.3.mlp.up_proj']")
        self.page.wait("document.querySelectorAll('.detail .chart')[2].querySelectorAll('path.line').length === 8")
        self.check("report", path)
        # the numbers are those of the files
        data = self.page.run("JSON.parse(document.getElementById('data').textContent).jobs[0]")
        self.assertEqual(data["steps"]["step"], [row["step"] for row in self.rows])
        for mine, theirs in zip(data["steps"]["loss"], self.rows):
            self.assertAlmostEqual(mine, theirs["loss"], delta=1e-5)
        self.assertEqual(data["steps"]["totalTokens"][-1], sum(row["tokens"] for row in self.rows))
        given = json.loads(canned.directions()["directions.json"])
        self.assertEqual({n: d["indices"] for n, d in data["directions"].items()}, {n: d["indices"] for n, d in given.items()})

    def test_a_report_has_the_marks_of_interruptions(self):
        folder = self.make("dates", files={"launches.jsonl": canned.launches()})
        self.dashctl("report", folder)
        self.open(os.path.join(folder, "report.html"))
        self.assertEqual(self.page.run("document.querySelector('.chart').querySelectorAll('.mark.restart').length"), 3)
        self.page.run("document.querySelector('.plot').focus()")
        self.page.press("Home")
        self.page.press("m")
        said = self.page.wait("(t => t.startsWith('step 40:') && t)(document.querySelector('.chart [aria-live]').textContent)")
        self.assertIn("launch 2 continues after step 40: the node failed", said)
        self.check("interrupted-report", os.path.join(folder, "report.html"))

    def test_a_page_allows_nothing_but_itself(self):
        files = canned.directions(layers=1)
        strange = json.loads(files["directions.json"])
        strange["line\u2028" + END] = strange["model.layers.0.mlp.up_proj"]
        folder = self.make("dates", files={**files, "directions.json": json.dumps(strange, ensure_ascii=False)})
        self.dashctl("report", folder, "--out", "own.html")
        path = os.path.join(self.folder, "own.html")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        self.assertEqual(len(re.findall("</script", text)), 2)
        self.assertNotIn("\u2028", text)
        # a script that was put into it does not run
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("<main ", "<script>window.ran = 1</script><main "))
        self.open(path)
        self.assertIsNone(self.page.run("window.ran"))
        self.assertTrue(any("Content Security Policy" in e for e in self.page.errors), self.page.errors)

    def test_a_large_job_fits(self):
        """100,000 steps, and a model of 80 layers whose matrices have 64 directions each."""
        folder = self.make("large", steps=100_000, boundary=1000, files=canned.directions(layers=80, k=64))
        path = os.path.join(folder, "report.html")
        self.dashctl("report", folder)
        self.open(path)
        text = self.page.text()
        for word in ("of 100000 steps", "directions of largest delta", "history of the coefficients"):
            self.assertIn(word, text)
        data = self.page.run("JSON.parse(document.getElementById('data').textContent).jobs[0].steps")
        self.assertAlmostEqual(max(data["loss"]), max(r["loss"] for r in self.rows), delta=1e-5)
        self.assertAlmostEqual(min(data["loss"]), min(r["loss"] for r in self.rows), delta=1e-5)
        # the smoothed line is of all steps: a step that is shown has the mean of those before it that are not
        counts = [b - a for a, b in zip([0] + data["step"], data["step"])]
        mean = sum(m * n for m, n in zip(data["meanLoss"], counts)) / 100_000
        self.assertAlmostEqual(mean, sum(r["loss"] for r in self.rows) / 100_000, delta=1e-5)
        self.assertEqual((data["step"][0], data["step"][-1], data["phase"].index("dash") > 0), (1, 100_000, True))
        self.assertEqual(data["step"][data["phase"].index("dash")], 1001)
        self.check("large", path)

    def test_a_page_of_jobs_compared(self):
        folders = [self.make("a"), self.make("b", rank=16), self.make("c", steps=200)]
        said = self.dashctl("compare", *folders, "--html", "both.html")
        self.assertRegex(said, r"lora.rank +8 +16 +8\n")
        path = os.path.join(self.folder, "both.html")
        self.open(path)
        self.assertEqual(self.page.run("document.querySelectorAll('.chart')[0].querySelectorAll('path.line:not(.faint)').length"), 3)
        rows = self.page.run("Object.fromEntries([...document.querySelectorAll('.compare tbody tr')].map("
                             "r => [r.cells[0].textContent, [...r.cells].slice(1).map(c => c.textContent)]))")
        self.assertEqual(rows["lora.rank"], ["8", "16", "8"])
        self.assertEqual(rows["steps"], ["300", "300", "200"])
        self.check("compared", path)


if __name__ == "__main__":
    browser.main()
