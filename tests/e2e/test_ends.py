"""However a job ends, dashd says how, and its other jobs continue."""
from harness import *

# mpirun loses its own words at times: then its status is all there is
DEAD = "({}|a process of the job) was ended by signal 9"


class Ends(World):
    def failed(self, reason, **env):
        """A job that must fail for this reason (a regular expression), with a next one that must not be harmed."""
        client = self.dashd("--stop-grace", "1", env=env).client()
        job = self.create(client)
        job = self.wait_state(client, job.id, pb.FAILED)
        self.assertRegex(job.reason, reason)
        self.assertGreater(job.finished_ms, 0)
        return client, job

    def test_a_coordinator_that_exits_unheard_is_explained_by_its_log(self):
        _, job = self.failed("something terrible happened", FAKE_CRASH_AT="3")
        self.assertIn("something terrible happened", job.log_tail)

    def test_a_coordinator_that_is_killed_is_named_with_its_signal(self):
        self.failed(DEAD.format(r"the coordinator \(rank 0\)"), FAKE_KILL_AT="2")

    def test_a_signal_is_reported_even_if_mpirun_loses_its_words(self):
        os.makedirs(self.path("quiet"))
        mpirun = self.write("quiet/mpirun", f"""#!/bin/bash
{shutil.which("mpirun")} "$@" 2>&1 | grep -v noticed
exit ${{PIPESTATUS[0]}}
""")
        os.chmod(mpirun, 0o755)
        self.failed("a process of the job was ended by signal 9", FAKE_KILL_AT="2",
                    PATH=self.path("quiet") + ":" + os.environ["PATH"])

    def test_a_worker_that_is_killed_is_named_with_its_signal(self):
        hold = self.write("hold", "2")
        client = self.dashd(env={"FAKE_HOLD": hold, "FAKE_WORKER_KILL": self.path("now")}).client()
        job = self.create(client)
        self.wait_step(client, job.id, 2)
        self.write("now", "")
        job = self.wait_state(client, job.id, pb.FAILED)
        self.assertRegex(job.reason, DEAD.format(r"a worker \(rank 1\)"))

    def test_a_failure_that_was_reported_is_told_in_its_own_words(self):
        _, job = self.failed("^the loss is not finite at step 3$", FAKE_FAIL_AT="3")
        self.assertEqual(job.steps_done, 2)

    def test_programs_that_are_missing_fail_the_job_not_dashd(self):
        os.mkdir(self.path("empty"))
        client = self.dashd(programs=self.path("empty")).client()
        job = self.create(client)
        job = self.wait_state(client, job.id, pb.FAILED)
        self.assertIn("empty/dash-coordinator cannot be run", job.reason)
        self.assertEqual(client.GetServerInfo().running, 0)

    def test_an_output_folder_that_cannot_be_made_fails_the_job(self):
        hold = self.write("hold", "0")
        client = self.dashd(env={"FAKE_HOLD": hold}).client()
        first = self.create(client, "first")
        second = self.create(client, "second")
        self.write("second", "a file, not a folder")
        self.write("hold", "9")
        self.wait_state(client, first.id, pb.SUCCEEDED)
        self.assertIn("second", self.wait_state(client, second.id, pb.FAILED).reason)

    def test_a_failed_job_resumes_and_the_next_one_runs(self):
        client = self.dashd(env={"FAKE_CRASH_AT": "3"}).client()
        first, second = self.create(client, "first"), self.create(client, "second")
        self.wait_state(client, first.id, pb.FAILED)
        self.wait_state(client, second.id, pb.FAILED)
        self.assertIn("resume", self.refused(
            grpc.StatusCode.INVALID_ARGUMENT, lambda: self.create(client, "first")))
        self.daemons[0].stop()
        client = self.dashd().client()
        client.ResumeJob(id=first.id)
        self.assertEqual(self.wait_state(client, first.id, pb.SUCCEEDED).steps_done, 5)
        self.assertEqual(self.get(client, first.id).log_tail, "")

    def test_a_job_that_ignores_stop_is_killed_after_its_grace(self):
        hold = self.write("hold", "2")
        client = self.dashd("--stop-grace", "1", env={"FAKE_HOLD": hold, "FAKE_DEAF": "1"}).client()
        job = self.create(client)
        self.wait_step(client, job.id, 2)
        client.CancelJob(id=job.id)
        job = self.wait_state(client, job.id, pb.CANCELLED)
        self.assertIn("resume 1", job.reason)
        wait_for(lambda: not [p for p in self.job_processes() if p != self.daemons[0].process.pid],
                 "all ranks are gone")

    def test_a_job_that_lingers_after_its_end_is_killed(self):
        client = self.dashd(env={"FAKE_LINGER": self.path("never")}).client()
        first, second = self.create(client, "first"), self.create(client, "second")
        self.wait_state(client, first.id, pb.SUCCEEDED)
        self.assertEqual(self.get(client, second.id).state, pb.QUEUED)
        self.wait_state(client, second.id, pb.SUCCEEDED)

    def test_an_outcome_on_disk_counts_where_nothing_was_reported(self):
        client = self.dashd(env={"FAKE_SILENT": "1"}).client()
        job = self.create(client)
        self.assertEqual(self.wait_state(client, job.id, pb.SUCCEEDED).reason, "")

    def test_a_silent_failure_has_its_reason_from_disk(self):
        self.failed("^the loss is not finite at step 2$", FAKE_SILENT="1", FAKE_FAIL_AT="2")

    def test_an_old_outcome_does_not_count(self):
        client = self.dashd(env={"FAKE_SILENT": "1", "FAKE_FAIL_AT": "2"}).client()
        job = self.create(client)
        self.wait_state(client, job.id, pb.FAILED)
        self.daemons[0].stop()
        client = self.dashd(env={"FAKE_SILENT": "1", "FAKE_KILL_AT": "2"}).client()
        client.ResumeJob(id=job.id)
        wait_for(lambda: "signal 9" in self.get(client, job.id).reason, "the new reason")

    def test_mpirun_killed_from_outside_ends_the_job_and_its_ranks(self):
        hold = self.write("hold", "2")
        client = self.dashd(env={"FAKE_HOLD": hold}).client()
        job = self.create(client)
        self.wait_step(client, job.id, 2)
        ranks = [p for p in self.job_processes() if p != self.daemons[0].process.pid]
        mpirun = [p for p in ranks if program_of(p) == "mpirun"]
        os.kill(mpirun[0], signal.SIGKILL)
        job = self.wait_state(client, job.id, pb.FAILED)
        self.assertIn("signal 9", job.reason)
        wait_for(lambda: not any(map(is_alive, ranks)), "no rank is left")


if __name__ == "__main__":
    unittest.main()
