"""Jobs that dashd launches again by itself, and those it does not."""
import subprocess

from test_training import *

FAST = ("--restart-delay", "50")


class Fakes(World):
    def begin(self, restarts, **env):
        client = self.dashd(*FAST, env=env).client()
        return client, self.create(client, overrides=[f"max_restarts={restarts}"])

    def test_a_job_whose_worker_dies_goes_on_by_itself_and_says_so(self):
        hold = self.write("hold", "2")
        client, job = self.begin(3, FAKE_HOLD=hold, FAKE_WORKER_KILL=self.path("now"))
        self.wait_step(client, job.id, 2)
        self.write("now", "")
        wait_for(lambda: self.get(client, job.id).restarts == 1, "a restart")
        os.unlink(self.path("now"))
        self.write("hold", "9")
        job = self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertEqual((job.steps_done, len(job.notices)), (5, 1))
        self.assertRegex(job.notices[0], r"restart 1 of 3, 0.05 s after this end at step 2: a worker .* signal 9")

    def test_the_same_failure_at_the_same_step_ends_the_job_at_once(self):
        client, job = self.begin(3, FAKE_CRASH_AT="3")
        job = self.wait_state(client, job.id, pb.FAILED)
        self.assertRegex(job.reason, r"twice in a row at step \d: .*something terrible happened")
        self.assertEqual(job.restarts, 1)

    def test_kills_without_progress_use_up_the_restarts(self):
        client, job = self.begin(2, FAKE_KILL_AT="2")
        job = self.wait_state(client, job.id, pb.FAILED)
        self.assertRegex(job.reason, r"signal 9.*; it was the last of 2 restarts without progress")
        self.assertEqual((job.restarts, len(job.notices)), (2, 2))

    def test_a_failure_that_was_reported_is_not_tried_again(self):
        client, job = self.begin(3, FAKE_FAIL_AT="3")
        self.assertEqual(self.wait_state(client, job.id, pb.FAILED).restarts, 0)

    def test_a_restart_keeps_its_place_before_the_queue(self):
        client, first = self.begin(3, FAKE_KILL_AT="2")
        second = self.create(client, "second")
        self.wait_state(client, first.id, pb.FAILED)
        self.wait_state(client, second.id, pb.FAILED)
        log = self.daemon_log()
        self.assertLess(log.rindex("job 1: FAILED"), log.index("job 2: STARTING"))

    def test_a_restart_that_waits_can_be_cancelled(self):
        client = self.dashd("--restart-delay", "60000", env={"FAKE_KILL_AT": "2"}).client()
        job = self.create(client, overrides=["max_restarts=3"])
        wait_for(lambda: self.get(client, job.id).restarts == 1, "a restart")
        client.CancelJob(id=job.id)
        self.wait_state(client, job.id, pb.CANCELLED)

    def test_a_dashd_that_restarts_remembers_the_count(self):
        client, job = self.begin(2, FAKE_KILL_AT="2")
        wait_for(lambda: self.get(client, job.id).restarts >= 1, "a restart")
        self.daemons[-1].stop(signal.SIGKILL)
        client = self.dashd(*FAST, env={"FAKE_KILL_AT": "2"}).client()
        self.assertEqual(self.wait_state(client, job.id, pb.FAILED).restarts, 2)


class Best(Real):
    """The best state by evaluation loss, and the end that comes early, are the same through any interruption."""

    SETS = ("training.micro_batches=4", "dash.prelaunch_steps=2", "training.learning_rate=0.003", "max_restarts=3")
    KEEP = ("training.eval_every=2", "training.early_stop_patience=100")

    def start(self, *options):
        return super().start(*FAST, *options)

    def rows(self):
        with open(os.path.join(TINY, "train.jsonl")) as f:
            lines = f.readlines()
        self.write("train.jsonl", "".join(lines[:24]))
        self.write("eval.jsonl", "".join(lines[24:]))
        return [f"data.train={self.path('train.jsonl')}", f"data.eval={self.path('eval.jsonl')}"]

    def job(self, client, name, *more):
        return self.create(client, name, overrides=[f"training.steps={STEPS}", *self.rows(), *self.SETS, *self.KEEP, *more])

    def ends(self, client, job, name):
        """What a user finds at the end, beside the adapter."""
        job = self.wait_state(client, job.id, pb.SUCCEEDED)
        rows = [json.loads(line) for line in self.read(name, "metrics.jsonl").splitlines()]
        said = [n for n in job.notices if n.startswith("training ended")]
        self.assertEqual(len(said), 1, job.notices)
        self.assertIn(said[0], json.loads(self.read(name, "outcome.json"))["reason"])
        return [(r["step"], r["loss"], r.get("eval_loss"), r.get("best")) for r in rows], said[0]

    def test_killed_after_the_best_and_in_other_shapes(self):
        client = self.start()
        whole = self.job(client, "whole")
        rows, said = self.ends(client, whole, "whole")
        measured = [r for r in rows if r[2] is not None and r[0] > 2]
        best = min(measured, key=lambda r: r[2])[0]
        self.assertEqual(len(rows), best + 200)
        self.assertEqual(max(r[0] for r in rows if r[3]), best)
        self.assertIn(f"after step {best + 200} of {STEPS}: 100 evaluations", said)
        self.assertIn(f"step {best},", said)
        job = self.job(client, "out")
        for n, step in enumerate((best + 2, best + 50)):
            self.wait_step(client, job.id, step)
            for pid in self.ranks("dash-coordinator"):
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: self.get(client, job.id).restarts > n, "a restart")
        self.wait_step(client, job.id, best + 100)
        client.CancelJob(id=job.id)
        self.wait_state(client, job.id, pb.CANCELLED)
        self.assertTrue(os.path.exists(self.path("out/checkpoint", f"step-{best:08d}.checkpoint")))
        client.ResumeJob(id=job.id, overrides=["parallel.stages=2", "parallel.replicas=2"])
        self.assertEqual(self.ends(client, job, "out"), (rows, said))
        self.assertEqual(self.adapter("out"), self.adapter("whole"))
        # a job that has no more steps than that ends with the same adapter
        short = self.create(client, "short", overrides=[*self.rows(), *self.SETS, f"training.steps={best}"])
        self.wait_state(client, short.id, pb.SUCCEEDED)
        self.assertEqual(self.adapter("short"), self.adapter("whole"))

    def test_other_evaluation_data_begins_anew(self):
        client = self.start()
        job = self.job(client, "out", "training.early_stop_patience=150")
        self.wait_step(client, job.id, 60)
        client.CancelJob(id=job.id)
        before = self.wait_state(client, job.id, pb.CANCELLED).steps_done
        client.ResumeJob(id=job.id, overrides=[f"data.eval={self.path('train.jsonl')}"])
        job = self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertTrue(any("data.eval have changed" in n for n in job.notices), job.notices)
        rows = [json.loads(line) for line in self.read("out/metrics.jsonl").splitlines()]
        best = min((r for r in rows[before:] if "eval_loss" in r), key=lambda r: r["eval_loss"])["step"]
        self.assertIn(f"the adapter is that of step {best},", json.loads(self.read("out/outcome.json"))["reason"])

    def test_what_it_needs(self):
        client = self.start()
        for overrides, words in ((["training.keep_best=true", "training.eval_every=2"], "needs data.eval"),
                                 (["training.keep_best=true", "data.eval=train.jsonl"], "needs training.eval_every"),
                                 (["training.early_stop_gain=1"], "needs training.early_stop_patience")):
            self.assertIn(words, self.refused(grpc.StatusCode.INVALID_ARGUMENT, self.create, client=client,
                                              overrides=overrides))


class Real(Training):
    """Restarts and new shapes end with the bytes of an undisturbed run."""

    def start(self, *options):
        return super().start(*FAST, *options)

    def test_killed_ranks_and_all_at_once_and_mpirun(self):
        client = self.start()
        job = self.train(client, "out", "parallel.stages=2", "max_restarts=3")
        kills = ((20, "dash-worker"), (60, "dash-coordinator"), (105, "mpirun"), (140, ""))  # far from the end: it comes fast
        for n, (step, program) in enumerate(kills):
            self.wait_step(client, job.id, step)
            for pid in self.job_processes():
                if program_of(pid) != "dashd" and (not program or program_of(pid) == program[:15]):
                    os.kill(pid, signal.SIGKILL)
            wait_for(lambda: self.get(client, job.id).restarts > n, lambda: f"a restart after kill {n}: {self.get(client, job.id)}")
        self.wait_state(client, job.id, pb.SUCCEEDED)
        steps = [e.step.step for e in client.WatchJob(id=job.id) if e.HasField("step")]
        self.assertEqual(steps, list(range(1, STEPS + 1)))
        self.assertEqual(self.adapter("out"), self.undisturbed)

    def test_resumed_in_another_shape(self):
        client = self.start()
        job = self.train(client, "out")
        for step, shape in ((30, (2, 2)), (150, (4, 1)), (250, (1, 4))):
            self.wait_step(client, job.id, step)
            client.CancelJob(id=job.id)
            self.wait_state(client, job.id, pb.CANCELLED)
            client.ResumeJob(id=job.id, overrides=[f"parallel.stages={shape[0]}", f"parallel.replicas={shape[1]}"])
        job = self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertIn("replicas: 4", job.job_yaml)
        self.assertEqual(self.adapter("out"), self.undisturbed)

    def test_a_resume_cannot_make_another_job_of_it(self):
        client = self.start()
        job = self.train(client, "out")
        self.wait_step(client, job.id, 5)
        client.CancelJob(id=job.id)
        self.wait_state(client, job.id, pb.CANCELLED)
        for override, words in (("training.seed=9", "another job"), ("output=/elsewhere", "another job"),
                                ("parallel.stages=9", "4 layers"), ("parallel.stagse=2", "did you mean")):
            self.assertIn(words, self.refused(grpc.StatusCode.INVALID_ARGUMENT, client.ResumeJob,
                                              id=job.id, overrides=[override]))
        self.assertEqual(self.get(client, job.id).state, pb.CANCELLED)

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount a small file system")
    def test_a_full_disk_is_named_and_the_job_goes_on_when_there_is_room(self):
        disk = self.path("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", disk]).returncode:
            self.skipTest("tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", disk])
        client = self.start()
        hog = os.path.join(disk, "hog")
        job = self.train(client, "disk/out", "max_restarts=1")
        self.wait_step(client, job.id, 50)
        try:
            with open(hog, "wb") as f:
                while True:
                    f.write(b"x" * 4096)
                    f.flush()
        except OSError:
            pass
        job = self.wait_state(client, job.id, pb.FAILED)
        self.assertRegex(job.reason, r"disk/out/.*No space left on device")
        os.unlink(hog)
        client.ResumeJob(id=job.id)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertEqual(self.adapter("disk/out"), self.undisturbed)

    def test_a_folder_taken_away_ends_the_job_in_words(self):
        client = self.start()
        job = self.train(client, "out", "max_restarts=1")
        self.wait_step(client, job.id, 20)
        os.rename(self.path("out", "checkpoint"), self.path("away"))
        job = self.wait_state(client, job.id, pb.FAILED, pb.SUCCEEDED)
        if job.state == pb.FAILED:
            self.assertIn("checkpoint", job.reason)


del Training  # its own tests run elsewhere

if __name__ == "__main__":
    unittest.main()
