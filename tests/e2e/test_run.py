"""dashctl run: a job on this machine, with a dashd that comes and goes with it."""
import glob

from harness import *

JOB = os.path.join(TINY, "job.yaml")


class Runs(World):
    def setUp(self):
        super().setUp()
        self.ctl = self.own_bin()
        self.hold = self.write("hold", "9999")
        self.env = {"FAKE_HOLD": self.hold, "DASH_SERVER": "unix:/nowhere", "XDG_STATE_HOME": self.folder, "TMPDIR": self.folder}
        self.command = [self.ctl, "run", JOB, "--set", "data.max_tokens=128", "--set", f"output={self.path('out')}"]

    def run_job(self, *more, status=0, **env):
        done = subprocess.run(self.command + list(more), capture_output=True, text=True, timeout=DEADLINE,
                              env={**os.environ, **self.env, **env})
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assert_nothing_left()
        return done.stdout + done.stderr

    def assert_nothing_left(self):
        wait_for(lambda: not self.job_processes(), "all processes are gone")
        self.assertEqual(glob.glob(self.path("dash-run-*")), [])

    def steps_of(self, text):
        return [int(s) for s in re.findall(r"step (\d+)/5 ", text)]

    def test_a_run_ends_with_the_adapter_and_leaves_nothing_else(self):
        text = self.run_job()
        self.assertEqual(self.steps_of(text), [1, 2, 3, 4, 5])
        self.assertIn(f"the adapter is in {self.path('out')}/adapter", text)
        self.assertTrue(os.path.exists(self.path("out/adapter/adapter_config.json")))
        self.assertFalse(os.path.exists(self.path("dash")), "the default state folder is not touched")

    def test_json_lines(self):
        done = subprocess.run(self.command + ["--output", "json"], capture_output=True, text=True, timeout=DEADLINE,
                              env={**os.environ, **self.env})
        events = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(events[-1]["job"]["state"], "SUCCEEDED")
        self.assertEqual(done.stderr, "")

    def test_a_bad_job_fails_at_once(self):
        self.assertIn("lora.rank", self.run_job("--set", "lora.rank=0", status=1))

    def test_a_job_that_fails_says_why_and_goes_on_with_resume(self):
        text = self.run_job(status=1, FAKE_FAIL_AT="3")
        self.assertIn("the loss is not finite at step 3", text)
        self.assertIn("dashctl run --resume", text)
        self.assertIn("--resume", self.run_job(status=1))
        text = self.run_job("--resume")
        self.assertEqual(self.steps_of(text), [1, 2, 3, 4, 5])
        self.assertIn("SUCCEEDED", text)

    def test_resume_wants_the_same_job(self):
        self.run_job(status=1, FAKE_FAIL_AT="3")
        self.assertIn("holds another job", self.run_job("--resume", "--set", "lora.rank=4", status=1))
        self.assertIn("nothing to resume", self.run_job("--resume", "--set", f"output={self.path('new')}", status=1))

    def started(self, **env):
        self.write("hold", "2")
        t = Terminal(self.command, env={**self.env, **env})
        wait_for(lambda: "2/5" in t.read(), "the second step is shown")
        return t

    def test_ctrl_c_stops_after_the_step_and_resume_goes_on(self):
        t = self.started()
        t.press(b"\x03")
        self.assertEqual(t.wait(), 1)
        self.assertIn("stopped after step 2 of 5", t.read())
        self.assertIn("dashctl run --resume", t.read())
        self.assert_nothing_left()
        self.write("hold", "9999")
        self.assertIn("SUCCEEDED", self.run_job("--resume"))
        self.assertEqual(self.read("out/logs/job.log").count("coordinator of job"), 2)

    def test_a_second_ctrl_c_kills(self):
        t = self.started(FAKE_DEAF="1")
        t.press(b"\x03")
        wait_for(lambda: "Ctrl-C again" in t.read(), "the first one is answered")
        t.press(b"\x03")
        self.assertEqual(t.wait(), 1)
        self.assertIn("killed", t.read())
        self.assert_nothing_left()

    def test_a_killed_dashctl_takes_its_dashd_and_job_along(self):
        t = self.started()
        os.kill(t.pid, signal.SIGKILL)
        t.wait()
        wait_for(lambda: not self.job_processes(), "all processes are gone")

    def test_two_runs_do_not_share_an_output_folder(self):
        t = self.started()
        text = self.dashctl_run_beside()
        self.assertIn("a job runs in", text)
        self.write("hold", "9999")
        self.assertEqual(t.wait(), 0)

    def dashctl_run_beside(self):
        done = subprocess.run(self.command + ["--resume"], capture_output=True, text=True, timeout=DEADLINE,
                              env={**os.environ, **self.env})
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done.stderr


if __name__ == "__main__":
    unittest.main()
