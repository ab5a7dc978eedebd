"""dashd and a Slurm that misbehaves: submissions that fail, get lost or are found again, and states that are seldom seen.
tests/slurm has a real one."""
import json
import stat

from harness import *

SLURM = os.path.join(SOURCE, "tests/e2e/slurm")
AWAY = "squeue: error: slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"


class Slurm(World):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("slurm"))
        self.env = {"FAKE_SLURM": self.path("slurm"), "PATH": SLURM + ":" + os.environ["PATH"]}
        self.start()

    def start(self, *options):
        self.daemon = self.dashd("--slurm-poll", "1", *options, env=self.env)
        self.client = self.daemon.client()

    def submit(self, name="out", *sets):
        return self.create(self.client, name, overrides=["launcher=slurm", "max_restarts=3", *sets]).id

    def jobs(self):
        try:
            return [line.split("|") for line in self.read("slurm/jobs").splitlines()]
        except FileNotFoundError:
            return []

    def set_job(self, number, state, reason="None", nodes="n1"):
        jobs = self.jobs()
        jobs[number - 1][1:4] = state, reason, nodes
        self.write("slurm/new", "".join("|".join(job) + "\n" for job in jobs))
        os.rename(self.path("slurm/new"), self.path("slurm/jobs"))

    def calls(self, program):
        try:
            return [line for line in self.read("slurm/calls").splitlines() if line.startswith(program)]
        except FileNotFoundError:
            return []

    def wait_reason(self, id, words):
        return wait_for(lambda: words in (job := self.get(self.client, id)).reason and job, f"'{words}'; it is "
                        + self.get(self.client, id).reason)

    def wait_notice(self, id, words):
        wait_for(lambda: any(words in n for n in self.get(self.client, id).notices), f"a note: {words}")

    def outcome(self, how, name="out"):
        self.write(name + "/outcome.json", json.dumps({"how": how, "reason": "so it is"}))

    def test_reasons_are_told_in_words(self):
        id = self.submit()
        job = self.wait_reason(id, "waits in Slurm's queue as job 1: for jobs of higher priority (Priority)")
        self.assertEqual((job.state, job.slurm_job), (pb.STARTING, 1))
        self.set_job(1, "PENDING", "AssocGrpCpuLimit")
        self.wait_reason(id, "job 1 (AssocGrpCpuLimit)")
        self.set_job(1, "CONFIGURING", nodes="n[1-2]")
        self.wait_reason(id, "Slurm prepares n[1-2] for job 1")
        self.set_job(1, "RUNNING", nodes="n[1-2]")
        self.wait_reason(id, "on n[1-2], as Slurm job 1")
        self.set_job(1, "SUSPENDED")
        self.wait_reason(id, "suspended by Slurm")

    def test_what_slurm_refuses_has_failed_in_its_words(self):
        self.write("slurm/refuse", "sbatch: error: invalid partition specified: nope\n"
                   "sbatch: error: Batch job submission failed: Invalid partition name specified\n")
        job = wait_for(lambda: (job := self.get(self.client, id)).state == pb.FAILED and job, "it fails") \
            if (id := self.submit()) else None
        self.assertIn("Slurm rejected the job: invalid partition specified: nope; Batch job", job.reason)

    def test_while_the_controller_is_away_it_waits_and_is_submitted_once(self):
        self.write("slurm/refuse", AWAY)
        id = self.submit()
        self.wait_notice(id, "Slurm's controller does not answer (slurm_load_jobs error: Unable to contact")
        self.assertEqual(self.get(self.client, id).state, pb.STARTING)
        os.remove(self.path("slurm/refuse"))
        self.wait_notice(id, "answers again")
        job = self.wait_state(self.client, id, pb.QUEUED)
        self.assertIn("cannot submit the job to Slurm; retrying", job.reason)

    def test_a_submission_whose_answer_is_lost_is_found_by_its_mark(self):
        self.write("slurm/lost", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n")
        id = self.submit()
        self.wait_reason(id, "waits in Slurm's queue as job 1")
        self.assertEqual(len(self.jobs()), 1)

    def test_a_restarted_dashd_finds_its_jobs_and_tells_them_its_address(self):
        id = self.submit()
        self.wait_reason(id, "as job 1")
        before = self.read("out/logs/dashd.json")
        self.daemon.stop(signal.SIGKILL)
        self.start("--reports", "127.0.0.1:0")
        self.set_job(1, "RUNNING")
        self.wait_reason(id, "on n1, as Slurm job 1")
        self.assertEqual(len(self.calls("sbatch")), 1)
        self.assertNotEqual(self.read("out/logs/dashd.json"), before)

    def test_the_token_is_its_owners_alone_and_in_no_script(self):
        id = self.submit()
        self.wait_reason(id, "as job 1")
        contact = self.path("out/logs/dashd.json")
        self.assertEqual(stat.S_IMODE(os.stat(contact).st_mode), 0o600)
        token = json.loads(self.read("out/logs/dashd.json"))["token"]
        self.assertNotIn(token, self.read("slurm/script.1") + self.read("slurm/calls"))

    def test_ends_that_slurm_brings_about_are_followed_by_another_submission(self):
        id = self.submit()
        for number, (state, words) in enumerate((("TIMEOUT", "Slurm ended it at its time limit (Slurm job 1)"),
                                                 ("PREEMPTED", "it was preempted by another job (Slurm job 2)"),
                                                 ("NODE_FAIL", "a node failed (Slurm job 3)")), 1):
            self.wait_reason(id, f"as job {number}")
            self.set_job(number, state)
            self.wait_notice(id, words)
        self.wait_reason(id, "as job 4")
        self.set_job(4, "TIMEOUT")
        job = wait_for(lambda: (job := self.get(self.client, id)).state == pb.FAILED and job, "it fails")
        self.assertIn("it was the last of 3 restarts without progress", job.reason)

    def test_a_script_that_fails_has_done_what_could_be_done(self):
        id = self.submit()
        self.wait_reason(id, "as job 1")
        self.set_job(1, "FAILED")
        job = wait_for(lambda: (job := self.get(self.client, id)).state == pb.FAILED and job, "it fails")
        self.assertIn("Slurm job 1 failed on n1 and wrote nothing: is ", job.reason)
        self.assertEqual(len(self.jobs()), 1)

    def test_what_the_folder_says_counts(self):
        id = self.submit()
        self.wait_reason(id, "as job 1")
        self.outcome("adapter_written")
        self.set_job(1, "NODE_FAIL")
        self.wait_state(self.client, id, pb.SUCCEEDED)

    def test_an_outcome_that_is_seen_late_counts(self):
        id = self.submit()
        self.wait_reason(id, "as job 1")
        self.set_job(1, "COMPLETED")
        looks = len(self.calls("squeue"))
        wait_for(lambda: len(self.calls("squeue")) > looks + 2, "more looks")
        self.outcome("adapter_written")
        self.wait_state(self.client, id, pb.SUCCEEDED)
        self.assertEqual(len(self.calls("sbatch")), 1)

    def test_a_job_that_slurm_forgot_is_judged_by_its_folder(self):
        id = self.submit()
        self.wait_reason(id, "as job 1")
        self.outcome("adapter_written")
        self.write("slurm/jobs", "")
        self.wait_state(self.client, id, pb.SUCCEEDED)

    def test_its_script_submitted_anew_is_followed(self):
        id = self.submit()
        self.wait_reason(id, "as job 1")
        mark = self.jobs()[0][4]
        self.set_job(1, "FAILED")
        with open(self.path("slurm/jobs"), "a") as f:
            f.write(f"2|PENDING|Resources||{mark}\n")
        self.wait_reason(id, "as job 2: for nodes to become free")

    def test_a_site_that_rewrites_comments_loses_no_job(self):
        id = self.submit()
        wait_for(self.jobs, "a submission")
        self.write("slurm/jobs", "1|RUNNING|None|n1|somebody else's\n")
        self.wait_reason(id, "on n1, as Slurm job 1")
        self.assertEqual(len(self.calls("sbatch")), 1)

    def test_a_killed_script_is_submitted_again_and_one_that_gave_up_is_not(self):
        id = self.submit()
        self.wait_reason(id, "as job 1")
        with open(self.path("out/logs/job.log"), "a") as f:
            f.write("2026-01-01T00:00:00.000Z info batch: Slurm job 1 on n1\n")
        self.set_job(1, "FAILED")
        self.wait_reason(id, "as job 2")
        with open(self.path("out/logs/job.log"), "a") as f:
            f.write("2026-01-01T00:00:00.000Z error batch: it was the last of 3 restarts\n")
        self.set_job(2, "FAILED")
        job = wait_for(lambda: (job := self.get(self.client, id)).state == pb.FAILED and job, "it fails")
        self.assertIn("batch: it was the last of 3 restarts", job.reason)

    def test_dashd_leaves_what_others_submit_and_ends_though_slurm_is_away(self):
        self.daemon.stop()
        self.start("--stop-jobs")
        external = self.create(self.client, "external", overrides=["launcher=slurm"], batch=True).id
        id = self.submit()
        self.wait_reason(id, "as job 1")
        mark = self.read("external/logs/launch")
        self.write("slurm/refuse", AWAY)
        self.daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "dashd ends" in self.daemon_log(), "the first signal")
        self.daemon.process.send_signal(signal.SIGINT)
        self.assertEqual(self.daemon.stop(signal.SIGCONT), 0)
        os.remove(self.path("slurm/refuse"))
        self.start()
        self.assertEqual(self.read("external/logs/launch"), mark)
        self.wait_reason(external, "waits for its batch script to be submitted")

    def test_cancel_before_and_after_it_runs(self):
        id = self.submit()
        self.wait_reason(id, "as job 1")
        self.client.CancelJob(id=id)
        wait_for(lambda: "scancel 1" in self.calls("scancel"), "scancel")
        self.set_job(1, "CANCELLED")
        self.wait_state(self.client, id, pb.CANCELLED)
        self.client.ResumeJob(id=id)
        self.wait_reason(id, "as job 2")
        self.set_job(2, "RUNNING")
        self.wait_reason(id, "on n1")
        self.client.CancelJob(id=id)
        wait_for(lambda: "scancel --batch --signal=TERM 2" in self.calls("scancel"), "scancel")

    def test_many_jobs_are_one_look(self):
        for i in range(10):
            self.submit(f"out{i}")
        wait_for(lambda: len(self.jobs()) == 10, "ten submissions")
        looks = len(self.calls("squeue"))
        wait_for(lambda: len(self.calls("squeue")) > looks + 1, "two more looks")
        self.assertTrue(all("--user" in call for call in self.calls("squeue")))
        self.assertLess(len(self.calls("squeue")), 15)

    def test_a_machine_without_slurm_says_so(self):
        self.daemon.stop()
        os.mkdir(self.path("bin"))
        for program in ("mpirun", "env", "python3", "sh"):
            os.symlink(shutil.which(program), self.path("bin", program))
        self.env["PATH"] = self.path("bin")
        self.start()
        self.assertIn("no sbatch, squeue and scancel in its PATH",
                      self.refused(grpc.StatusCode.INVALID_ARGUMENT, self.submit))

    def test_the_port_for_reports_knows_no_other_call(self):
        self.daemon.stop()
        self.start("--reports", "127.0.0.1:0")
        id = self.submit()
        self.wait_reason(id, "as job 1")
        contact = json.loads(self.read("out/logs/dashd.json"))
        stranger = Client(contact["addresses"][0])
        self.addCleanup(stranger.close)
        self.refused(grpc.StatusCode.UNAVAILABLE, stranger.ListJobs)  # in plain text
        stranger.channel.close()
        stranger.channel = grpc.secure_channel(
            contact["addresses"][0], grpc.ssl_channel_credentials(contact["certificate"].encode()),
            options=[("grpc.ssl_target_name_override", "dashd")])
        self.refused(grpc.StatusCode.UNIMPLEMENTED, stranger.ListJobs)


if __name__ == "__main__":
    unittest.main()
