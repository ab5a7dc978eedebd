"""The page in a headless Chromium, against canned data: what it shows, what it asks for, what it does when nothing comes.

DASH_TEST_WEB: the folder of the page. DASH_WEB_ADDRESS: of another server, as `dashctl web` prints it, whose page is
looked at, too. DASH_WEB_SHOTS, if set: a folder for pictures of each view, to be looked at.
After each test there must have been no error on the console, no violation of the policy, and no request elsewhere.
"""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import browser
import canned

HERE = os.path.dirname(os.path.abspath(__file__))
WEB = os.environ.get("DASH_TEST_WEB", os.path.join(HERE, "../../web"))
SHOTS = os.environ.get("DASH_WEB_SHOTS")
LOG = "2026-11-24T07:35:27.771Z info coordinator: 2 workers are ready\n2026-11-24T07:35:28.000Z warning worker 1: " + canned.MARKUP + "\n"
CHROMIUM = None


def setUpModule():
    global CHROMIUM
    CHROMIUM = browser.Browser()
    unittest.addModuleCleanup(CHROMIUM.close)


class View(unittest.TestCase):
    """A page of its own, on a server of its own, for each test."""
    allowed = ()  # beginnings of console errors that belong to the test

    def setUp(self):
        self.server = canned.Server(WEB)
        self.world = self.server.world
        self.page = CHROMIUM.page()
        self.addCleanup(self.clean)

    def clean(self):
        errors = [e for e in self.page.errors if not any(part in e for part in self.allowed)]
        elsewhere = [u for u in self.page.requests if not u.startswith((self.server.address, "about:", "data:", "blob:"))]
        self.page.close()
        self.server.close()
        self.assertEqual(errors, [])
        self.assertEqual(elsewhere, [])

    def open(self, address="", text=None):
        self.page.go(self.server.address + address)
        if text:
            self.page.wait_text(text)

    def check(self, name):
        """The view as it is: a picture of it, and its accessibility, in both colours and on a phone."""
        with open(os.path.join(HERE, "accessibility.js"), encoding="utf-8") as f:
            script = f.read()
        for kind, width, height, dark in (("light", 1280, 900, False), ("dark", 1280, 900, True), ("narrow", 375, 800, False)):
            self.page.size(width, height, dark=dark, touch=width < 500)
            self.page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))")
            if SHOTS:
                self.page.screenshot(os.path.join(SHOTS, f"{name}-{kind}.png"))
            self.assertEqual(self.page.run(script), [], f"{name}, {kind}")
        self.page.size(1280, 900)

    def calls(self, method):
        return [body for name, body in self.world.calls if name == method]

    def add_finished(self, id=7, name="arc-easy", **more):
        return self.world.add(canned.job(id, name, "SUCCEEDED", 300, phase="EXPORT", **more), files={
            **canned.directions(), "metrics.jsonl": "{}\n", "adapter/adapter_model.safetensors": "x" * 5000}, log=LOG)


class Jobs(View):
    def test_what_a_list_shows(self):
        self.world.add(canned.job(1, canned.MARKUP, "FAILED", 12, reason=f"out of memory: {canned.MARKUP}", restarts=3))
        self.world.add(canned.job(2, "running", "RUNNING", 120, labels=[{"name": "team", "value": "search"}]))
        self.world.add(canned.job(3, "waiting", "QUEUED", queuePosition=2))
        self.world.add(canned.job(4, "held", "PAUSED", 60, reason="paused by uid:1000"))
        self.world.add(canned.job(5, "done", "SUCCEEDED", 300))
        self.world.add(canned.job(6, "matrices", "RUNNING", 20, decomposition={"done": 37, "matrices": 150, "secondsLeft": 40}))
        self.open(text="number 2 in the queue")
        text = self.page.text()
        for word in (canned.MARKUP, "120 / 300", "n[3-4]", "team=search", "37 of 150 matrices decomposed, 40s left", "7m30s", "560", "live"):
            self.assertIn(word, text)
        self.assertEqual(self.page.run("document.querySelectorAll('main img, main b').length"), 0)
        ids = "[...document.querySelectorAll('.jobs tbody tr')].map(r => r.dataset.id)"
        self.assertEqual(self.page.run(ids), ["6", "5", "4", "3", "2", "1"])
        self.check("jobs")
        self.assertIn("1 running, 1 queued", text)
        # rows are changed in place, so that the focus stays
        self.page.run("document.querySelector('[data-id=\"2\"] a').focus()")
        self.world.change("2", stepsDone=121, lastStep=canned.step(121))
        self.world.DeleteJob({"id": "4"})
        self.page.wait_text("121 / 300")
        self.assertEqual(self.page.run("document.activeElement.textContent"), "running")
        self.assertEqual(self.page.run(ids), ["6", "5", "3", "2", "1"])

    def test_no_jobs(self):
        self.open(text="There are no jobs yet")
        self.check("empty")

    def test_200_jobs_come_in_pages_and_are_found_by_name_and_state(self):
        for id in range(1, 201):
            self.world.add(canned.job(id, f"sweep-{id % 10}", "SUCCEEDED" if id % 3 else "CANCELLED", 300), steps=[])
        self.open(text="100 jobs, the newest")
        self.check("many")
        rows = "document.querySelectorAll('.jobs tbody tr').length"
        self.page.click("main > button")
        self.page.wait(f"{rows} === 200")
        self.page.click("input[type=search]")
        self.page.type("sweep-3")
        self.page.wait(f"{rows} === 20")
        self.page.run("(s => { s.value = 'cancelled'; s.dispatchEvent(new Event('change')); })(document.querySelector('main select'))")
        self.page.wait(f"{rows} === 7", "the cancelled ones")
        self.assertEqual(self.calls("WatchJobs")[-1]["jobs"]["states"], ["CANCELLED"])

    def test_keys(self):
        self.add_finished(7)
        self.add_finished(8, "second")
        self.open(text="second")
        for key, expected in (("j", "second"), ("j", "arc-easy"), ("k", "second")):
            self.page.press(key)
            self.assertEqual(self.page.run("document.activeElement.textContent"), expected)
        self.page.press("?")
        self.page.wait("document.getElementById('dialog').open")
        self.check("keys")
        self.page.press("Escape")
        self.page.wait("!document.getElementById('dialog').open")
        self.page.press("Enter")
        self.page.wait("location.hash === '#/job/8/curves'")
        self.page.press("4")
        self.page.wait("location.hash === '#/job/8/events'")
        self.page.press("n")
        self.page.wait("location.hash === '#/submit'")

    def test_jobs_over_one_another(self):
        self.add_finished(7)
        self.add_finished(8, "second")
        self.world.add(canned.job(9, "third", "RUNNING", 150))
        self.open(text="third")
        self.assertTrue(self.page.run("document.querySelector('a.button').hidden"))
        for id in ("9", "8", "7"):
            self.page.click(f"[data-id='{id}'] input")
        self.page.click("a.button")
        self.page.wait("document.querySelectorAll('.compare tbody tr')[1].innerText.match(/SUCCEEDED/g).length === 2")
        self.page.wait("document.querySelectorAll('.chart')[0].querySelectorAll('path.line:not(.faint)').length >= 3")
        rows = self.page.run("Object.fromEntries([...document.querySelectorAll('.compare tbody tr')].map("
                             "r => [r.cells[0].textContent, [...r.cells].slice(1).map(c => c.textContent)]))")
        self.assertEqual(rows["state"], ["RUNNING", "SUCCEEDED", "SUCCEEDED"])
        self.assertEqual(rows["lora.rank"], ["8", "24", "16"])
        self.assertNotIn("training.batch_size", rows)
        losses = [row["loss"] for row in self.world.steps["9"][-10:]]
        self.assertEqual(rows["mean loss of the last 10 steps"][0], f"{sum(losses) / 10:.4f}")
        self.check("compare")


class Job(View):
    def test_steps_arrive_as_they_are_made(self):
        self.world.add(canned.job(2, "running", "RUNNING", 120, notices=["3 rows were cut"]), log=LOG)
        self.open("#/job/2", "120 / 300")
        self.page.wait_text("3 rows were cut")
        self.page.wait("document.querySelectorAll('path.line').length >= 4")
        for n in range(121, 124):
            self.world.change("2", new_step=canned.step(n))
        self.page.wait_text("123 / 300")
        label = "document.querySelector('.chart svg').getAttribute('aria-label')"
        self.page.wait(f"{label}.includes('123 values')")
        self.assertIn("directions chosen", self.page.text())
        self.check("job")

    def test_it_says_when_it_is_not_live_and_asks_for_what_it_lacks(self):
        self.allowed = ("503",)
        self.world.add(canned.job(2, "running", "RUNNING", 120))
        self.open("#/job/2", "120 / 300")
        self.page.wait_text("live")
        self.world.cut(True)
        self.page.wait_text("not live since")
        self.world.change("2", new_step=canned.step(121), event={"id": "3", "timeMs": "1790000000000", "kind": "NOTICED", "text": "again"})
        self.world.cut(False)
        self.page.wait_text("121 / 300")
        self.page.wait("document.getElementById('live').textContent === 'live'")
        method, request = self.world.streams[-1]
        self.assertEqual((method, request["fromStep"], request["afterEvent"]), ("WatchJob", 121, "2"))
        self.world.cut(True)
        self.page.wait_text("not live since")
        self.check("not-live")

    def test_pages_that_were_left_hold_no_connection(self):
        """A browser has six of them for a server: a page that is kept for the way back must give its own back."""
        self.world.add(canned.job(2, "running", "RUNNING", 3), log=LOG)
        for _ in range(8):
            self.open("#/job/2/log", "2 workers are ready")
        self.page.run("history.go(-2)")
        self.page.wait_text("3 / 300")
        self.world.change("2", new_step=canned.step(4))
        self.page.wait_text("4 / 300")

    def test_marks_say_where_and_why_a_job_was_interrupted(self):
        files = {"launches.jsonl": canned.launches(3)[:-20]}  # its last line is being written
        self.world.add(canned.job(2, "running", "RUNNING", 160), files=files)
        self.open("#/job/2", "continued by another launch")
        marks = "document.querySelector('.chart').querySelectorAll('.mark.restart').length"
        self.page.wait(f"{marks} === 1")
        self.world.files["2"]["launches.jsonl"] = canned.launches()
        self.world.change("2", restarts=2, state="STARTING")
        self.page.wait(f"{marks} === 3", "another launch is seen")
        self.assertEqual(self.page.run("[...document.querySelectorAll('.chart')].map(c => c.querySelectorAll('.mark.restart').length)"), [3] * 4)
        at = self.page.run("(r => [r.left, r.top + 60])(document.querySelector('.mark.restart line').getBoundingClientRect())")
        self.page.mouse("mouseMoved", *at)
        tip = self.page.wait("!document.querySelector('.tip').hidden && document.querySelector('.tip').innerText")
        self.assertIn("launch 2 continues after step 40: the node failed", tip)
        self.assertIn(f"launch 3 continues after step 40: a worker was killed {canned.MARKUP}", tip)
        self.check("interrupted")
        self.page.mouse("mouseMoved", at[0] + 60, at[1])
        self.page.wait("!document.querySelector('.tip').innerText.includes('launch')")
        # by keys alone
        self.page.run("document.querySelector('.plot').focus()")
        self.page.press("Home")
        spoken = "document.querySelector('.chart [aria-live]').textContent"
        for step, why in ((40, "the node failed"), (60, "resumed"), (150, "stopped after step 150"), (40, "the node failed")):
            self.page.press("m")
            said = self.page.wait(f"{spoken}.startsWith('step {step}:') && {spoken}")
            self.assertIn(f"continues after step {step}: {why}", said)
        self.page.press("ArrowRight")
        self.assertNotIn("launch", self.page.wait(f"{spoken}.startsWith('step 41:') && {spoken}"))
        self.assertNotIn("undone", self.page.text())

    def test_a_job_that_has_succeeded_links_to_its_report(self):
        self.add_finished(7, "arc-easy")
        self.world.add(canned.job(8, "older", "SUCCEEDED", 300))
        self.world.add(canned.job(9, "running", "RUNNING", 20), files={"report.html": "x"})
        link = "(a => a && !a.hidden && [a.getAttribute('href'), a.download])(document.querySelector('.job-title > a'))"
        self.world.files["7"]["report.html"] = "<html>"
        self.open("#/job/7", "300 / 300")
        self.assertEqual(self.page.wait(link), ["files/7/report.html", "arc-easy-report.html"])
        self.check("report-link")
        for id, text in (("8", "300 / 300"), ("9", "20 / 300")):
            self.open(f"#/job/{id}", text)
            self.assertFalse(self.page.run(link))
        self.world.change("9", state="SUCCEEDED")
        self.page.wait(link)

    def test_silence_is_not_life(self):
        """A stream that sends neither messages nor its sign of life is given up."""
        self.world.add(canned.job(2, "running", "RUNNING", 3))
        self.open("#/job/2", "3 / 300")
        watch = """import("./rpc.js").then(({ stream }) => stream("WatchJob", {id: "2"}, {signal: new AbortController().signal, silence: %d,
            onMessage() {} }).catch(e => e.message))"""
        self.world.silent = True
        self.assertEqual(self.page.run(watch % 300), "dashd sends nothing any more")

    def test_a_restart_repeats_a_step(self):
        self.world.add(canned.job(2, "running", "RUNNING", 40))
        self.open("#/job/2", "40 / 300")
        again = {**canned.step(40), "loss": 9.125}
        count = """import("./steps.js").then(({ Steps }) => { const s = new Steps(); [1, 2, 3, 2].forEach(step => s.push({step, loss: step}));
            return [s.step, s.totalTokens.length]; })"""
        self.assertEqual(self.page.run(count), [[1, 2], 2])
        self.world.change("2", new_step=again)
        self.world.steps["2"].pop(-2)

    def test_values_under_the_pointer_zoom_and_keys(self):
        self.add_finished()
        self.open("#/job/7", "300 / 300")
        self.page.wait("document.querySelectorAll('path.line').length >= 4")
        box = self.page.box(".plot")
        self.page.mouse("mouseMoved", box["left"] + box["width"] * 0.5, box["y"])
        tip = self.page.wait("!document.querySelector('.tip').hidden && document.querySelector('.tip').innerText")
        self.assertRegex(tip, r"step 1[45]\d\n.*loss, smoothed\s+\d\.\d{4}")
        # the other charts show their value at the same step
        self.assertEqual(self.page.run("[...document.querySelectorAll('.readout')].filter(r => r.textContent).length"), 3)
        if SHOTS:
            self.page.screenshot(os.path.join(SHOTS, "hover.png"))
        ticks = "[...document.querySelectorAll('.chart')].at(-1).querySelectorAll('svg > g > text.tick')"
        last = f"Number([...{ticks}].filter(t => t.getAttribute('text-anchor') === 'middle').at(-1).textContent)"
        self.assertEqual(self.page.run(last), 300)
        self.page.mouse("mouseMoved", box["left"] + box["width"] * 0.3, box["y"])
        self.page.mouse("mousePressed", box["left"] + box["width"] * 0.3, box["y"], button="left", clickCount=1)
        self.page.mouse("mouseMoved", box["left"] + box["width"] * 0.4, box["y"], button="left")
        self.page.mouse("mouseReleased", box["left"] + box["width"] * 0.4, box["y"], button="left", clickCount=1)
        self.page.wait(f"{last} < 150", "all charts are zoomed")
        self.check("zoomed")
        self.page.run("document.querySelector('.plot').focus()")
        self.page.press("0")
        self.page.wait(f"{last} === 300")
        self.page.press("End")
        self.page.wait("document.querySelector('.chart [aria-live]').textContent.startsWith('step 300:')")
        self.page.press("ArrowLeft")
        self.page.wait("document.querySelector('.chart [aria-live]').textContent.startsWith('step 299:')")
        self.page.press("+")
        self.page.wait(f"{last} >= 250 && {last} < 300 && !document.querySelector('.chart figcaption button').hidden")

    def test_smoothing_and_axes(self):
        self.add_finished()
        self.open("#/job/7", "300 / 300")
        self.page.wait("document.querySelectorAll('.chart path.line').length >= 4")
        smooth = 'import("./steps.js").then(m => m.smooth([1, 3, NaN, 5], 0.5))'
        self.assertEqual(self.page.run(smooth + ".then(x => x.map(y => Number.isNaN(y) ? null : y))")[:2], [1, 7 / 3])
        set_to = "(i => { i.value = %s; i.dispatchEvent(new Event('%s')); })(document.querySelector('%s'))"
        self.page.run(set_to % ("0", "input", "input[type=range]"))
        self.page.wait("!document.querySelector('path.faint:not([d=\"\"])') || document.querySelectorAll('.chart path.faint').length === 1")
        self.page.run(set_to % ("'time'", "change", ".controls select"))
        self.page.wait("document.querySelector('.axis-title').textContent === 'training time'")
        self.assertRegex(self.page.run("document.querySelector('.chart svg').textContent"), r"\dm00s")
        self.page.run("document.querySelector('.controls input[type=checkbox]').click()")
        self.page.wait("document.querySelector('.chart svg').textContent.includes('2')")
        self.check("axes")

    def test_axes_of_any_numbers(self):
        """Ticks are few, within the axis and rising, for whatever is measured: also for what differs in its last bit alone."""
        self.open(text="There are no jobs yet")
        bad = self.page.run("""import("./scale.js").then(({ padded, scale, ticks, timeTicks }) => {
            const numbers = [0, 1, -1, 0.001, 0.001 + 2 ** -60, 1 + 2 ** -52, 3, 200, 1e-300, 1e300, -7.5, 5e-324, Number.MAX_VALUE];
            const bad = [];
            for (const log of [false, true])
                for (const a of numbers) for (const b of numbers) for (const make of [ticks, timeTicks]) {
                    if (a > b || (log && a <= 0) || (make === timeTicks && (log || b > 1e9 || a < 0))) continue;
                    for (const [from, to] of [padded(a, b, log), [a, b]]) {
                        const marks = make(scale(from, to, 0, 100, log), 6);
                        if (marks.length > 30 || marks.some((x, i) => !(x > marks[i - 1]) && i)) bad.push([a, b, log, marks.length]);
                    }
                }
            return bad; })""")
        self.assertEqual(bad, [])

    def test_a_failed_job(self):
        self.world.add(canned.job(1, "broken", "FAILED", 12, reason="a worker was killed by the out-of-memory killer: lower training.micro_batch_tokens",
                                  restarts=3), log=LOG + "2026-11-24T07:36:00.000Z error worker 1: killed\n")
        self.open("#/job/1", "a worker was killed")
        self.page.wait_text("error worker 1: killed")
        self.assertEqual(self.page.run("document.querySelectorAll('main img, main b').length"), 0)
        self.check("failed")

    def test_log_events_file_and_files(self):
        self.world.add(canned.job(2, "running", "RUNNING", 20), log=LOG, files={"metrics.jsonl": "{}\n", "a b/c?.txt": "x"})
        self.open("#/job/2/log", "2 workers are ready")
        self.world.change("2", log="one more line\n")
        self.page.wait_text("one more line")
        self.assertEqual(self.page.run("document.querySelector('.log-warning').textContent").strip(), LOG.split("\n")[1])
        self.check("log")
        self.page.click("[data-tab=events]")
        self.page.wait_text(f"as {canned.MARKUP}")
        self.check("events")
        self.page.click("[data-tab=file]")
        self.page.wait_text("prelaunch_steps: 100")
        self.page.click("[data-tab=files]")
        self.assertEqual(self.page.wait("[...document.querySelectorAll('[role=tabpanel] a')].map(a => a.getAttribute('href'))"),
                         ["files/2/a%20b/c%3F.txt", "files/2/metrics.jsonl"])
        self.assertEqual(self.page.run("document.querySelectorAll('main img, main b').length"), 0)

    def test_a_job_that_is_not_there(self):
        self.allowed = ("404",)
        self.open("#/job/99", "there is no job 99")


class Actions(View):
    def test_cancel_asks_first(self):
        self.world.add(canned.job(2, "running", "RUNNING", 20))
        self.open("#/job/2", "20 / 300")
        self.page.click("[data-action=cancel]")
        self.page.wait("document.getElementById('dialog').open")
        self.assertEqual(self.calls("CancelJob"), [])
        self.check("cancel")
        self.page.click("dialog button[type=submit]")
        self.page.wait_text("CANCELLED")
        self.assertEqual(self.calls("CancelJob"), [{"id": "2"}])
        self.page.click("[data-action=resume]")
        self.page.wait("document.querySelectorAll('dialog option').length === 2")
        self.page.run("document.querySelector('dialog textarea').value = 'parallel.stages=2\\n\\n'")
        self.page.click("dialog button[type=submit]")
        self.page.wait_text("QUEUED")
        self.assertEqual(self.calls("ResumeJob"), [{"id": "2", "fromStep": 0, "overrides": ["parallel.stages=2"]}])

    def test_pause_edit_and_delete(self):
        self.world.add(canned.job(2, "running", "RUNNING", 20, labels=[{"name": "old"}, {"name": "team", "value": "a"}]))
        self.open("#/job/2", "20 / 300")
        self.page.click("[data-action=pause]")
        self.page.click("dialog button[type=submit]")
        self.page.wait_text("PAUSED")
        self.page.click("[data-action=edit]")
        self.page.wait("document.getElementById('dialog').open")
        self.page.run("(d => { d[0].value = '5'; d[1].value = 'team=b new'; })(document.querySelectorAll('dialog input'))")
        self.page.click("dialog button[type=submit]")
        self.page.wait("!document.getElementById('dialog').open")
        self.assertEqual(self.calls("UpdateJob"), [{"id": "2", "priority": {"value": 5}, "removeLabels": ["old"],
                                                    "labels": [{"name": "team", "value": "b"}, {"name": "new", "value": ""}]}])
        self.page.click("[data-action=delete]")
        self.page.click("dialog button[type=submit]")
        self.page.wait_text("There are no jobs yet")

    def test_a_role_shows_what_it_may_do(self):
        self.world.role, self.world.caller = "read", "token:eve"
        self.world.add(canned.job(2, "running", "RUNNING", 20))
        self.open("#/job/2", "20 / 300")
        self.page.wait_text("token:eve (read)")
        self.assertEqual(self.page.run("document.querySelectorAll('[data-action], nav a[href=\"#/submit\"]').length"), 0)
        self.world.role = "submit"
        self.open("#/job/2", "20 / 300")
        self.page.wait_text("Copy to a new job")
        self.assertEqual(self.page.run("document.querySelectorAll('[data-action]').length"), 0)
        self.world.caller = "uid:1000"
        self.open("#/job/2", "20 / 300")
        self.page.wait("document.querySelectorAll('[data-action]').length === 3")

    def test_a_token_is_asked_for(self):
        self.allowed = ("401",)
        self.world.token = "secret"
        self.add_finished()
        self.open(text="dashctl web")
        self.check("login")
        self.page.type("wrong")
        self.page.press("Enter")
        self.page.wait_text("not known")
        self.page.run("document.querySelector('input').value = 'secret'")
        self.page.click("button[type=submit]")
        self.page.wait_text("arc-easy")
        self.world.token = "another"  # it was revoked
        self.world.cut(False)  # dashd ends its streams
        self.page.wait_text("Sign in")


class Submit(View):
    def test_a_job_file_is_checked_as_it_is_typed(self):
        self.allowed = ("400",)
        self.open("#/submit", "Nothing is wrong")
        self.page.run("""(t => { t.value = t.value.replace("rank: 16", "rank: 0"); t.dispatchEvent(new Event("input")); })
            (document.querySelector("textarea"))""")
        self.page.wait_text("1 problem:")
        self.assertEqual(self.page.run("document.querySelector('.problems').innerText.replace(/\\s+/g, ' ').trim()"),
                         'line 5 lora.rank lora.rank must be an integer >= 1 and <= 4096, not "0"')
        self.assertEqual(self.page.run("document.querySelector('.gutter .bad').textContent"), "5")
        self.assertTrue(self.page.run("document.querySelector('button[type=submit]').disabled"))
        self.check("submit")
        self.page.click(".problems button")
        self.assertEqual(self.page.run("(t => t.value.slice(t.selectionStart, t.selectionEnd))(document.querySelector('textarea'))"),
                         "lora: {rank: 0, alpha: 32}")
        self.assertTrue(all(call["validateOnly"] for call in self.calls("CreateJob")))
        self.page.run("""(t => { t.value = t.value.replace("rank: 0", "rank: 4"); t.dispatchEvent(new Event("input")); })
            (document.querySelector("textarea"))""")
        self.page.wait_text("Nothing is wrong")
        self.page.run("document.querySelector('.fields input:last-child').value = 'team=search'")
        self.page.click("button[type=submit]")
        self.page.wait("location.hash.startsWith('#/job/900')")
        last = self.calls("CreateJob")[-1]
        self.assertNotIn("validateOnly", last)
        self.assertEqual(last["labels"], [{"name": "team", "value": "search"}])
        self.assertRegex(last["requestId"], "^page-[0-9a-f]{24}$")

    def test_lines_of_keys(self):
        self.open("#/submit", "Nothing is wrong")
        text = "name: a\nlora:\n  rank: 1\n  # alpha: 2\n  alpha: 3\ntraining: {steps: 1,\n  batch_size: 2}\nrank: 3\n"
        line = f"import('./settings.js').then(m => ['name', 'lora.rank', 'lora.alpha', 'training.steps', 'training.batch_size', 'rank', 'data.eval', 'lora'].map(k => m.lineOf({json.dumps(text)}, k)))"
        self.assertEqual(self.page.run(line), [1, 3, 5, 6, 7, 8, 0, 2])

    def test_a_copy_begins_with_the_other_jobs_file(self):
        self.add_finished()
        self.open("#/submit/7", "New job")
        self.page.wait("document.querySelector('textarea').value.includes('prelaunch_steps: 100')")


class Directions(View):
    CELLS = "document.querySelectorAll('.map [role=gridcell]')"

    def test_the_map_and_a_matrix(self):
        self.add_finished()
        self.open("#/job/7/directions", "chosen:")
        self.page.wait(f"{self.CELLS}.length === 150")
        fills = f"new Set([...{self.CELLS}].map(c => c.getAttribute('fill'))).size"
        self.assertGreater(self.page.run(fills), 20)
        self.check("directions")
        self.page.click("[data-module='model.layers.3.mlp.up_proj']")
        self.page.wait("document.querySelector('.detail h2').textContent === 'model.layers.3.mlp.up_proj'")
        self.assertIn("/directions/model.layers.3.mlp.up_proj", self.page.run("location.hash"))
        self.page.wait("document.querySelectorAll('.detail .chart').length === 3")
        self.page.wait("document.querySelectorAll('.detail .chart')[2].querySelectorAll('path.line').length === 8")
        self.assertEqual(self.page.run("document.querySelectorAll('.detail .chart')[0].querySelectorAll('.points circle').length"), 8)
        self.assertIn("576 × 1536", self.page.text())
        for measure in ("share", "coefficient"):
            before = self.page.run(f"[...{self.CELLS}].map(c => c.getAttribute('fill')).join()")
            self.page.run(f"(s => {{ s.value = '{measure}'; s.dispatchEvent(new Event('change')); }})(document.querySelector('.controls select'))")
            self.page.wait(f"[...{self.CELLS}].map(c => c.getAttribute('fill')).join() !== {json.dumps(before)}")
        self.page.run("document.querySelector('.controls input').click()")
        self.check("coefficients")

    def test_small_shares_have_labels_of_their_own(self):
        files = canned.directions()
        spectra = json.loads(files["spectra.json"])
        for spectrum in spectra.values():
            spectrum["share"] /= 1000
        self.world.add(canned.job(7, "small", "SUCCEEDED", 300, phase="EXPORT"), files={**files, "spectra.json": json.dumps(spectra)})
        self.open("#/job/7/directions", "chosen:")
        self.page.run("(s => { s.value = 'share'; s.dispatchEvent(new Event('change')); })(document.querySelector('.controls select'))")
        labels = self.page.wait("(l => l.length > 1 && l.every(t => t.endsWith(' %')) && l)([...document.querySelectorAll('.ramp text')].map(t => t.textContent))")
        self.assertEqual(len(set(labels)), len(labels), labels)

    def test_the_map_by_keyboard(self):
        self.add_finished()
        self.open("#/job/7/directions", "chosen:")
        self.page.wait(f"{self.CELLS}.length === 150")
        self.page.run("document.querySelector('[data-module=\"model.layers.0.self_attn.q_proj\"]').focus()")
        for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
            self.page.press(key)
        self.page.wait("document.querySelector('.detail h2').textContent === 'model.layers.2.self_attn.k_proj'")
        self.assertIn("largest δ", self.page.run("document.querySelector('.map-readout').textContent"))
        self.assertEqual(self.page.run("document.querySelectorAll('.map [tabindex=\"0\"]').length"), 1)

    def test_files_that_are_missing_are_named(self):
        files = canned.directions()
        self.world.add(canned.job(7, "older", "SUCCEEDED", 300), files={"directions.json": files["directions.json"]})
        self.world.add(canned.job(8, "early", "RUNNING", 20))
        self.open("#/job/7/directions", "spectra.json is not in the output folder")
        self.page.wait_text("coefficients.jsonl is not in the output folder")
        self.page.wait(f"{self.CELLS}.length === 150")
        self.check("missing")
        self.open("#/job/8/directions", "The directions are not chosen yet")

    def test_the_ramp_rises_evenly_in_lightness(self):
        """Luminance of each colour, as CIE has it, is above the one before; and equal steps are about equal."""
        self.open(text="There are no jobs yet")
        steps = self.page.run("""import("./colour.js").then(({ rampColour }) => Array.from({ length: 11 }, (_, i) => {
            const [r, g, b] = [1, 3, 5].map(at => parseInt(rampColour(i / 10).slice(at, at + 2), 16) / 255)
                .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 116 * Math.cbrt(0.2126 * r + 0.7152 * g + 0.0722 * b) - 16; }))""")
        gaps = [b - a for a, b in zip(steps, steps[1:])]
        self.assertGreater(min(gaps), 4)
        self.assertLess(max(gaps), 11)


@unittest.skipUnless(os.environ.get("DASH_WEB_ADDRESS"), "DASH_WEB_ADDRESS names no server")
class Elsewhere(unittest.TestCase):
    """The page as another server has it, of which nothing is known: every view of its newest job."""

    def test_every_view(self):
        page = CHROMIUM.page()
        self.addCleanup(page.close)
        with open(os.path.join(HERE, "accessibility.js"), encoding="utf-8") as f:
            script = f.read()
        page.go(os.environ["DASH_WEB_ADDRESS"])
        page.wait("!!document.querySelector('.jobs tbody tr, .empty-page p')")
        address = page.run("location.origin + location.pathname")
        id = page.run("document.querySelector('.jobs tbody tr')?.dataset.id")
        for view in ("", "submit", *(f"job/{id}/{part}" for part in ("curves", "directions", "log", "events", "file", "files") if id)):
            page.go(f"{address}#/{view}")
            page.wait("document.querySelector('main h1')?.textContent")
            page.run("new Promise(done => setTimeout(done, 500))")
            self.assertEqual(page.run(script), [], view)
        self.assertEqual([e for e in page.errors if "400" not in e], [])  # a job file with problems is answered with 400
        self.assertEqual([u for u in page.requests if not u.startswith((address, "about:", "data:"))], [])
        if SHOTS and id:
            for part in ("curves", "directions"):
                page.go(f"{address}#/job/{id}/{part}")
                page.run("new Promise(done => setTimeout(done, 1000))")
                page.screenshot(os.path.join(SHOTS, f"elsewhere-{part}.png"))


class Size(unittest.TestCase):
    def test_the_page_is_small_and_has_nothing_inline(self):
        files = [os.path.join(WEB, name) for name in os.listdir(WEB) if name.endswith((".js", ".css", ".html", ".svg"))]
        self.assertLess(sum(map(os.path.getsize, files)), 200_000)
        for file in files:
            with open(file, encoding="utf-8") as f:
                text = f.read()
            self.assertNotRegex(text, r"innerHTML|insertAdjacentHTML|outerHTML|document\.write|\beval\(|new Function", file)
            self.assertNotRegex(text, r"https?://(?!www\.w3\.org/)", file)


if __name__ == "__main__":
    browser.main()
