"""Limits of a job, with the real programs on golden/tiny: a plan that needs more is refused; a job that reaches one fails
with its name and continues with a greater one."""
import resource

from harness import *

JOB = os.path.join(TINY, "job.yaml")


@unittest.skipUnless(os.path.exists(os.path.join(BIN, "dash-coordinator")), "dash-coordinator is not built")
class Limits(World):
    def start(self):
        return self.dashd(programs=BIN, env={"DASH_CACHE": self.path("cache")}).client()

    def plan(self, *sets):
        options = [word for s in (*sets, f"output={self.path('plan')}") for word in ("--set", s)]
        return self.dashctl("plan", JOB, *options, env={"DASH_CACHE": self.path("cache")})

    def train(self, client, *sets):
        return self.create(client, overrides=["training.steps=100000", "data.max_tokens=128", *sets])

    def failed(self, client, job, reason):
        wait_for(lambda: self.get(client, job.id).state == pb.FAILED, "the job fails")
        job = self.get(client, job.id)
        self.assertRegex(job.reason, reason)
        return job

    def test_a_plan_that_needs_more_is_refused_with_both_numbers(self):
        plan = self.plan("limits={memory: 4GiB, disk: 1GiB, time: 2d}").stdout
        self.assertRegex(plan, r"limits: memory 4GiB, disk 1GiB, time 2d; by the plan about \d+ MB of memory on one machine "
                               r"and up to \d+ MB of disk")
        for limit, reason in (("memory: 16MiB", r"limits.memory is 16MiB \(17 MB\), but .* need about \d+ MB: \d+ MB by the plan"),
                              ("disk: 1MiB", r"limits.disk is 1MiB \(1.0 MB\), but .* may need [0-9.]+ MB")):
            done = self.plan(f"limits={{{limit}}}")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, reason)

    def test_time_is_that_of_all_launches(self):
        client = self.start()
        job = self.train(client, "limits.time=2s")
        reached = self.failed(client, job, r"^limits.time of 2s is reached after step \d+; resume it with a greater limit")
        self.assertGreater(reached.steps_done, 0)
        self.assertEqual(reached.restarts, 0)
        client.ResumeJob(id=job.id)
        again = self.failed(client, job, "limits.time of 2s is reached")
        self.assertEqual(again.steps_done, reached.steps_done)
        client.ResumeJob(id=job.id, overrides=["limits.time=1h"])
        self.wait_step(client, job.id, reached.steps_done + 1)
        self.assertIn("limits     time 1h\n", self.dashctl("show", job.id, server=self.daemons[0].address).stdout)
        client.CancelJob(id=job.id)
        self.wait_state(client, job.id, pb.CANCELLED)
        self.assertGreater(float(self.read("out/logs/used").split()[0]), 2)

    def test_disk_is_looked_at_while_it_trains(self):
        client = self.start()
        job = self.train(client, "limits.disk=1GiB")
        self.wait_step(client, job.id, 1)
        with open(self.path("out/large"), "wb") as f:
            f.truncate(2 << 30)
        reached = self.failed(client, job, r"^limits.disk of 1GiB is exceeded after step \d+: the output folder has 21\d\d\.\d MB")
        self.assertEqual(max(c.step for c in client.ListCheckpoints(id=job.id).checkpoints), reached.steps_done)
        os.remove(self.path("out/large"))
        client.ResumeJob(id=job.id)
        self.wait_step(client, job.id, reached.steps_done + 1)
        client.CancelJob(id=job.id)
        self.wait_state(client, job.id, pb.CANCELLED)

    def test_what_a_job_adds_to_the_cache_counts(self):
        client = self.start()
        job = self.create(client, overrides=["training.steps=10", "limits.disk=1GiB"])
        self.wait_state(client, job.id, pb.SUCCEEDED)
        cached = sum(e.stat().st_size for e in os.scandir(self.path("cache")) if e.name.endswith(".spectrum"))
        self.assertGreater(cached, 0)
        self.assertAlmostEqual(float(self.read("out/logs/used").split()[1]), cached, delta=0.05 * cached)

    @unittest.skipIf(ADDRESS_SANITIZER, "it needs address space of its own")
    def test_a_worker_whose_allocation_fails_names_the_limit(self):
        row = [json.dumps({"input_ids": list(range(n)), "labels": list(range(n))}) + "\n" for n in (5, 120)]
        self.write("rows.jsonl", row[0] * 64 * 500 + row[1] * 64)
        client = self.start()
        job = self.create(client, overrides=[f"data.train={self.path('rows.jsonl')}", "training.batch_size=64", "training.steps=501",
                                             "training.micro_batch_tokens=8192", "training.share_prefixes=off", "method=lora",
                                             "max_restarts=3", "limits.memory=4GiB"])
        self.wait_step(client, job.id, 1)
        worker, = (p for p in self.job_processes() if program_of(p) == "dash-worker")
        with open(f"/proc/{worker}/status") as f:
            mapped = 1024 * int(re.search(r"VmData:\s+(\d+) kB", f.read())[1])
        resource.prlimit(worker, resource.RLIMIT_DATA, (mapped, mapped))  # as if its share were used up
        reached = self.failed(client, job, r"rank 1 .*: limits.memory leaves this worker \d+ MB, and it needs more \(out of memory: "
                                           r"\d+ bytes were refused\): resume the job with a greater limit")
        self.assertEqual((reached.steps_done, reached.restarts), (500, 0))
        client.ResumeJob(id=job.id)
        self.wait_state(client, job.id, pb.SUCCEEDED)

    @unittest.skipIf(ADDRESS_SANITIZER, "it needs address space of its own")
    def test_a_notice_says_how_the_limit_is_kept(self):
        client = self.start()
        job = self.create(client, overrides=["training.steps=10", "limits.memory=2GiB"])
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertIn("limits.memory of 2GiB is kept by each process: ", "\n".join(self.get(client, job.id).notices))


if __name__ == "__main__":
    unittest.main()
