"""report, compare and watch --plot: what is written, from dashd and from folders. tests/web looks at the pages."""
import json
import os
import re
import unittest

from harness import BIN, TINY, Terminal, World, pb, wait_for

JOB = os.path.join(TINY, "job.yaml")


class Reports(World):
    def setUp(self):
        super().setUp()
        self.hold = self.write("hold", "9999")
        self.daemon = self.dashd(env={"FAKE_HOLD": self.hold})
        self.client = self.daemon.client()

    def ctl(self, *arguments, status=0, **more):
        done = self.dashctl(*arguments, server=self.daemon.address, **more)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout if status == 0 else done.stdout + done.stderr

    def finish(self, name, *sets):
        """A job that has ended; its rows are written here, since the coordinator of these tests writes none."""
        job = self.create(self.client, name, overrides=["lora.init_adapter=null", *sets])
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        self.write(f"{name}/metrics.jsonl", "".join(json.dumps({
            "step": n, "loss": 2 / n, "grad_norm": 1.0, "learning_rate": 0.001, "tokens": 100, "trained_tokens": 50, "seconds": 0.5,
            "phase": "prelaunch" if n <= 2 else "dash"}) + "\n" for n in range(1, 6)))
        return job.id

    def data_of(self, path):
        """The jobs of a page, as a browser would read them."""
        text = self.read(path)
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
        return json.loads(found.group(1))["jobs"]

    def test_a_report_goes_into_the_output_folder(self):
        id = self.finish("out", "lora.rank=4")
        self.write("out/directions.json", json.dumps({"model.layers.0.self_attn.q_proj": {
            "indices": [3, 1], "delta": [0.5, 0.25], "sigma": [1, 2], "coefficient": [0.125, -0.5], "next_delta": 0.1}}))
        path = self.path("out/report.html")
        self.assertEqual(self.ctl("report", id), path + "\n")
        job, = self.data_of("out/report.html")
        rows = [json.loads(line) for line in self.read("out/metrics.jsonl").splitlines()]
        self.assertEqual(job["steps"]["step"], [row["step"] for row in rows])
        self.assertEqual(job["directions"]["model.layers.0.self_attn.q_proj"]["coefficient"], [0.125, -0.5])
        self.assertEqual((job["name"], job["state"], job["spectra"]), ("out", "SUCCEEDED", None))
        self.assertIn("rank: 4", job["yaml"])
        # the folder alone says the same, but the number of the job
        from_folder = self.ctl("report", self.path("out"), "--out", self.path("other.html"), "--output", "json")
        self.assertEqual(json.loads(from_folder), {"path": self.path("other.html")})
        other, = self.data_of("other.html")
        self.assertEqual([f for f in job["facts"] if f[0] != "Job"], other["facts"])
        self.assertEqual(job["steps"], other["steps"])

    def test_what_cannot_be_reported_is_said(self):
        text = self.ctl("report", "third", status=1)
        self.assertIn("no job 'third'", text)
        self.assertIn("third was taken for a job of dashd's: there is no such folder here", text)
        self.assertNotIn("was taken for", self.ctl("report", "3", status=1))
        self.assertIn("it is not the output folder of a job", self.ctl("report", self.folder, status=1))
        id = self.finish("out")
        with open(self.path("out/metrics.jsonl"), "a") as f:
            f.write("{}\n")
        self.assertIn("metrics.jsonl:6 is not the row of a step", self.ctl("report", self.path("out"), status=1))
        self.assertFalse(os.path.exists(self.path("out/report.html")))
        self.assertIn("one job at a time", self.ctl("report", id, "more", status=2))
        # a row that is being written is left out
        text = self.read("out/metrics.jsonl")
        self.write("out/metrics.jsonl", text.replace("{}\n", '{"step": 6, "lo'))
        self.ctl("report", self.path("out"))
        self.assertEqual(self.data_of("out/report.html")[0]["steps"]["step"], [1, 2, 3, 4, 5])

    def test_a_job_that_waits_has_a_report(self):
        self.write("hold", "0")
        self.create(self.client, "first")
        id = self.create(self.client, "second").id
        self.ctl("report", id, "--out", self.path("second.html"))
        job, = self.data_of("second.html")
        self.assertEqual(job["missing"], ["The job has no steps yet."])

    def test_jobs_side_by_side(self):
        a, b = self.finish("a", "lora.rank=4"), self.finish("b", "lora.rank=16", "training.seed=3")
        lines = self.ctl("compare", a, self.path("b")).splitlines()
        self.assertRegex(lines[0], rf"^ +{a} +\S*/b$")
        self.assertRegex(lines[1], r"^name +a +b$")
        self.assertRegex(lines[3], r"^steps +5 +5$")
        self.assertRegex(lines[4], r"^loss +0\.4000 +0\.4000$")
        at = lines.index("settings that differ:")
        self.assertEqual([line.split() for line in lines[at + 1:]], [["lora.rank", "4", "16"], ["training.seed", "0", "3"]])
        said = json.loads(self.ctl("compare", a, b, a, "--output", "json"))
        self.assertEqual([job["job"] for job in said["jobs"]], [a, b, a])
        self.assertEqual(said["settings"][0], {"key": "lora.rank", "values": ["4", "16", "4"]})
        rows = [json.loads(line) for line in self.read("a/metrics.jsonl").splitlines()]
        self.assertAlmostEqual(said["jobs"][0]["mean_loss"], sum(row["loss"] for row in rows) / len(rows))
        self.assertEqual(said["jobs"][0]["tokens"], sum(row["tokens"] for row in rows))
        self.assertIsNone(said["jobs"][0]["eval_loss"])
        self.ctl("compare", a, b, "--html", self.path("both.html"))
        self.assertEqual([job["name"] for job in self.data_of("both.html")], ["a", "b"])
        self.assertIn("no setting differs", self.ctl("compare", a, a))
        self.assertIn("two jobs or more", self.ctl("compare", a, status=2))

    def plot(self, **env):
        self.write("hold", "4")
        id = self.create(self.client, "arc-easy").id
        self.wait_step(self.client, id, 4)
        t = Terminal([os.path.join(BIN, "dashctl"), "watch", id, "--plot"], 60, {"DASH_SERVER": self.daemon.address, **env})
        wait_for(lambda: "4/5" in t.read(), "the fourth step is shown")
        self.write("hold", "9999")
        self.assertEqual(t.wait(), 0)
        # what is left on the terminal: what follows the last time that the cursor went up
        return re.split(r"\x1b\[\d+A", t.read())[-1]

    def test_a_plot_stays_on_the_terminal(self):
        screen = self.plot()
        lines = re.sub(r"\x1b\[[JK]|\r", "", screen).split("\n")
        self.assertRegex(lines[0], r"^ +2 ┤[⠀-⣿┊ ]{48}$")
        self.assertRegex(lines[11], r"^ +0\.4 ┤")
        self.assertIn("SUCCEEDED", lines[12])

    def test_a_plot_in_ascii(self):
        screen = self.plot(LC_ALL="C")
        lines = re.sub(r"\x1b\[[JK]|\r", "", screen).split("\n")
        self.assertRegex(lines[0], r"^ +2 \+\*")
        self.assertTrue(all(line.isascii() for line in lines[:12]))

    def test_a_plot_needs_a_terminal(self):
        id = self.finish("out")
        self.assertIn("--plot draws on a terminal", self.ctl("watch", id, "--plot", status=2))


if __name__ == "__main__":
    unittest.main()
