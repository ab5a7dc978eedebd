"""The real programs, from dashctl to the adapter: interrupted in every way, golden/tiny gives one adapter."""
import hashlib

from harness import *

JOB = os.path.join(TINY, "job.yaml")
STEPS = 400


@unittest.skipUnless(os.path.exists(os.path.join(BIN, "dash-coordinator")), "dash-coordinator is not built")
class Real(World):
    def sets(self, name, *more):
        return [f"training.steps={STEPS}", "training.micro_batches=4", "dash.prelaunch_steps=100", *more]

    def start(self, *options):
        return self.dashd(*options, programs=BIN).client()

    def train(self, client, name, *more):
        return self.create(client, name, overrides=self.sets(name, *more))

    def adapter(self, name):
        with open(self.path(name, "adapter/adapter_model.safetensors"), "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    def ranks(self, name):
        return [p for p in self.job_processes() if program_of(p) == name[:15]]

    @property
    def undisturbed(self):
        client = self.daemons[-1].client()
        job = self.train(client, "undisturbed")
        self.wait_state(client, job.id, pb.SUCCEEDED)
        return self.adapter("undisturbed")


class Training(Real):
    def test_run_trains_golden_tiny(self):
        done = self.dashctl("run", JOB, "--set", "data.max_tokens=128", "--set", f"output={self.path('out')}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(re.findall(r"^step \d+/20 (prelaunch|dash) ", done.stdout, re.M)), 20)
        losses = [float(x) for x in re.findall(r" loss (\S+)", done.stdout)]
        with open(os.path.join(TINY, "expected/trace.json")) as f:
            expected = [row["loss"] for row in json.load(f)["trace"]]
        self.assertEqual(len(losses), len(expected))
        for got, want in zip(losses, expected):
            self.assertAlmostEqual(got, want, delta=2e-5 * want)  # six digits are printed
        for name in ("job.yaml", "metrics.jsonl", "directions.json", "adapter/adapter_config.json", "logs/job.log"):
            self.assertTrue(os.path.exists(self.path("out", name)), name)
        self.check_report("out", 20)

    def check_report(self, name, steps):
        """It came by itself, and has the bytes that `dashctl report` writes."""
        with open(self.path(name, "report.html"), "rb") as f:
            page = f.read()
        again = self.dashctl("report", self.path(name), "--out", self.path("again.html"))
        self.assertEqual(again.returncode, 0, again.stderr)
        with open(self.path("again.html"), "rb") as f:
            self.assertEqual(f.read(), page)
        job, = json.loads(re.search(rb'id="data">(.*?)</script>', page, re.S)[1])["jobs"]
        self.assertEqual((job["state"], job["steps"]["step"]), ("SUCCEEDED", list(range(1, steps + 1))))

    def test_a_report_comes_with_the_end_of_a_job(self):
        client = self.start()
        job = self.train(client, "out")
        self.wait_step(client, job.id, 20)
        client.CancelJob(id=job.id)
        self.wait_state(client, job.id, pb.CANCELLED)
        self.assertFalse(os.path.exists(self.path("out/report.html")))
        client.ResumeJob(id=job.id)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertIn("report.html", [f.path for f in client.ListFiles(id=job.id).files])
        self.check_report("out", STEPS)

    def test_a_report_that_cannot_be_written_fails_no_job(self):
        client = self.start()
        job = self.train(client, "out")
        self.wait_step(client, job.id, 1)
        os.mkdir(self.path("out/report.html"))
        job = self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertRegex("".join(job.notices), r"report.html is not written: .*out/report.html.*; `dashctl report \S+/out` writes it")
        self.assertIn("report.html is not written", self.read("out/logs/job.log"))
        self.assertEqual([n for n in os.listdir(self.path("out")) if n.startswith(".")], [])

    def test_what_dashd_tells_is_what_metrics_jsonl_tells(self):
        client = self.start()
        job = self.train(client, "out")
        told = [e.step for e in client.WatchJob(id=job.id) if e.HasField("step")]
        rows = [json.loads(line) for line in self.read("out/metrics.jsonl").splitlines()]
        self.assertEqual([t.step for t in told], list(range(1, STEPS + 1)))
        for t, row in zip(told, rows):
            self.assertEqual((t.step, t.tokens, t.trained_tokens),
                             (row["step"], row["tokens"], row["trained_tokens"]))
            self.assertAlmostEqual(t.loss, row["loss"], delta=1e-9 * t.loss)  # ten digits are in the file
            self.assertAlmostEqual(t.grad_norm, row["grad_norm"], delta=1e-9 * t.grad_norm)

    def test_cancelled_and_resumed_it_ends_with_the_same_bytes(self):
        client = self.start()
        job = self.train(client, "out")
        for step in (50, 150):
            self.wait_step(client, job.id, step)
            client.CancelJob(id=job.id)
            stopped = self.wait_state(client, job.id, pb.CANCELLED)
            self.assertLess(stopped.steps_done, STEPS)
            client.ResumeJob(id=job.id)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertEqual(self.adapter("out"), self.undisturbed)

    def test_paused_and_resumed_from_an_earlier_checkpoint_it_ends_with_the_same_bytes(self):
        client = self.start()
        job = self.train(client, "out")
        for step in (60, 160):
            self.wait_step(client, job.id, step)
            client.PauseJob(id=job.id)
            paused = self.wait_state(client, job.id, pb.PAUSED)
            newest, before = [c.step for c in client.ListCheckpoints(id=job.id).checkpoints]
            self.assertEqual((newest, before), (paused.steps_done, paused.steps_done - 1))
            self.refused(grpc.StatusCode.NOT_FOUND, client.ResumeJob, id=job.id, from_step=newest + 1)
            client.ResumeJob(id=job.id, from_step=before)
            wait_for(lambda: f"continuing from the checkpoint of step {before}\n" in self.read("out/logs/job.log"), "it continues")
        done = self.wait_state(client, job.id, pb.SUCCEEDED)
        steps = [e.step for e in client.WatchJob(id=job.id) if e.HasField("step")]
        self.assertEqual([s.step for s in steps], list(range(1, STEPS + 1)))
        self.assertEqual(done.tokens, sum(s.tokens for s in steps))
        begun = [line for line in self.launches("out") if "after_step" in line]
        self.assertEqual([line["launch"] for line in begun], [1, 2, 3])
        for line in begun[1:]:
            self.assertRegex(line["why"], f"^stopped after step {line['after_step'] + 1}$")
        self.assertEqual(self.adapter("out"), self.undisturbed)

    def killed(self, program, reason):
        client = self.start()
        job = self.train(client, "out", "parallel.stages=2")
        self.wait_step(client, job.id, 60)
        victim = self.ranks(program)[0]
        os.kill(victim, signal.SIGKILL)
        job = self.wait_state(client, job.id, pb.FAILED)
        self.assertRegex(job.reason, reason)
        self.assertTrue(job.log_tail)
        client.ResumeJob(id=job.id)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        steps = [e.step.step for e in client.WatchJob(id=job.id) if e.HasField("step")]
        self.assertEqual(steps, list(range(1, STEPS + 1)))
        self.assertEqual(self.adapter("out"), self.undisturbed)
        first, second, end = self.launches("out")
        self.assertEqual((first["launch"], first["after_step"], second["launch"]), (1, 0, 2))
        self.assertIn(f"continuing from the checkpoint of step {second['after_step']}\n", self.read("out/logs/job.log"))
        self.assertRegex(second["why"], reason)
        self.assertEqual((end["launch"], end["ended"]), (2, "adapter_written"))
        self.check_report("out", STEPS)
        data = json.loads(re.search('id="data">(.*?)</script>', self.read("out/report.html"), re.S)[1])["jobs"][0]
        self.assertEqual(data["launches"][1], {k: second[k] for k in ("launch", "after_step", "why")})

    def launches(self, name):
        return [json.loads(line) for line in self.read(name, "launches.jsonl").splitlines()]

    def test_a_killed_worker_fails_the_job_and_resume_ends_with_the_same_bytes(self):
        self.killed("dash-worker", "worker.*signal 9")

    def test_a_killed_coordinator_fails_the_job_and_resume_ends_with_the_same_bytes(self):
        self.killed("dash-coordinator", r"coordinator.*signal 9")

    def test_a_killed_dashd_disturbs_nothing(self):
        client = self.start()
        job = self.train(client, "out")
        for step in (20, 80, 140):
            self.wait_step(client, job.id, step)
            self.daemons[-1].stop(signal.SIGKILL)
            client = self.start()
        self.wait_state(client, job.id, pb.SUCCEEDED)
        steps = [e.step.step for e in client.WatchJob(id=job.id) if e.HasField("step")]
        self.assertEqual(steps, list(range(1, STEPS + 1)))
        self.assertEqual(self.adapter("out"), self.undisturbed)

    def test_the_steps_of_a_job_that_ended_with_no_dashd_are_there(self):
        client = self.start()
        job = self.train(client, "out")
        self.wait_step(client, job.id, 20)
        pid = self.ranks("mpirun")[0]
        self.daemons[-1].stop(signal.SIGKILL)
        wait_for(lambda: not is_alive(pid), "the job ends unseen", deadline=2 * DEADLINE)
        client = self.start()
        job = self.wait_state(client, job.id, pb.SUCCEEDED)
        rows = [json.loads(line) for line in self.read("out/metrics.jsonl").splitlines()]
        steps = [e.step for e in client.WatchJob(id=job.id) if e.HasField("step")]
        self.assertEqual([s.step for s in steps], list(range(1, STEPS + 1)))
        self.assertEqual((job.steps_done, job.reason), (STEPS, ""))
        self.assertEqual([s.phase for s in steps], [pb.PRELAUNCH] * 100 + [pb.DASH] * 300)
        self.assertAlmostEqual(steps[-1].loss, rows[-1]["loss"])


class Memory(Real):
    """parallel.memory bounds what a job takes, and changes no bit."""

    def setUp(self):
        super().setUp()
        with open(os.path.join(TINY, "train.jsonl")) as f:
            self.write("rows.jsonl", f.read() * 64)

    def sets(self, name, *more):
        return [f"data.train={self.path('rows.jsonl')}", "training.steps=3", "training.batch_size=1024",
                "training.micro_batch_tokens=4096", "method=lora", *more]

    def plan(self, *sets):
        options = [option for s in [*self.sets("plan"), *sets, f"output={self.path('plan')}"] for option in ("--set", s)]
        return self.dashctl("plan", JOB, *options)

    def test_layers_are_made_again_where_memory_is_short(self):
        coordinator, worker = map(float, re.search(r"about (\d+) MB of the coordinator, (\d+) MB", self.plan().stdout).groups())
        activations = float(re.search(r"(\d+) activations", self.plan().stdout)[1])
        short = f"parallel.memory={(coordinator + worker - activations / 2) / 0.9:.0f}MB"
        self.assertRegex(self.plan(short).stdout, r"[1-4] of them are made again")
        client = self.start()
        job = self.train(client, "out", short)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertRegex(self.read("out", "logs/job.log"), r"to save memory [1-4] of 4 layers are made again")
        self.assertEqual(self.adapter("out"), self.undisturbed)

    def test_a_job_that_cannot_keep_to_it_is_refused(self):
        done = self.plan("parallel.memory=30MB")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"parallel.memory, or the node, leaves each worker \d+ MB, but one needs about \d+ MB")


class LongData(Real):
    """In file order the first steps do not wait for the last row."""
    ROWS = 30000 if ADDRESS_SANITIZER else 300000
    READ = "rows of the data are read"

    def setUp(self):
        super().setUp()
        with open(os.path.join(TINY, "train.jsonl")) as f:
            self.rows = f.readlines()
        self.write("long.jsonl", "".join(self.rows) * (self.ROWS // len(self.rows)))

    def sets(self, name, *more):
        # all of its rows over and over, or as often in one long file
        data = TINY + "/train.jsonl" if name == "undisturbed" else self.path("long.jsonl")
        return [f"data.train={data}", "training.steps=100", "dash.prelaunch_steps=20", *more]

    def kill_early(self, client, name):
        job = self.train(client, name)
        self.wait_step(client, job.id, 1)
        os.kill(self.ranks("dash-coordinator")[0], signal.SIGKILL)
        self.wait_state(client, job.id, pb.FAILED)
        self.assertNotIn(self.READ, self.read(name, "logs/job.log"))
        return job

    def test_a_step_before_the_last_row_is_read_counts(self):
        client = self.start()
        job = self.kill_early(client, "out")
        client.ResumeJob(id=job.id)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertIn(self.READ, self.read("out", "logs/job.log"))
        self.assertEqual(self.adapter("out"), self.undisturbed)

    def test_a_step_of_rows_that_have_changed_since_does_not(self):
        client = self.start()
        job = self.kill_early(client, "out")
        self.rows[0], self.rows[1] = self.rows[1], self.rows[0]
        self.write("long.jsonl", "".join(self.rows) * (self.ROWS // len(self.rows)))
        client.ResumeJob(id=job.id)
        self.assertIn("other data", self.wait_state(client, job.id, pb.FAILED).reason)

    def test_a_row_that_is_wrong_ends_the_job(self):
        client = self.start()
        job = self.kill_early(client, "out")
        with open(self.path("long.jsonl"), "a") as f:
            f.write('{"input_ids": [1, 2], "labels": [1]}\n')
        client.ResumeJob(id=job.id)
        line = self.ROWS // len(self.rows) * len(self.rows) + 1
        self.assertIn(f"long.jsonl:{line}: ", self.wait_state(client, job.id, pb.FAILED).reason)


class LongRows(Real):
    """Rows that come late, or in evaluations, count for memory as the first do."""

    def test_a_job_keeps_to_the_memory_that_its_plan_says(self):
        row = [json.dumps({"input_ids": list(range(n)), "labels": list(range(n))}) + "\n" for n in (5, 100)]
        self.write("rows.jsonl", row[0] * 9000 + row[1] * 3000)
        sets = [f"data.train={self.path('rows.jsonl')}", "data.max_tokens=128", "training.batch_size=512",
                "training.micro_batch_tokens=16384", "training.micro_batches=4", "training.share_prefixes=off", "training.steps=4",
                "dash.prelaunch_steps=2", "data.shuffle=true", "parallel.memory=100MB", f"output={self.path('out')}"]
        sets = [word for text in sets for word in ("--set", text)]
        self.assertIn("3 of them are made again", self.dashctl("plan", JOB, *sets).stdout)
        self.assertEqual(self.dashctl("run", JOB, *sets).returncode, 0)
        self.assertIn("3 of 4 layers are made again", self.read("out/logs/job.log"))
        self.write("rows.jsonl", row[0] * 9000)
        self.write("eval.jsonl", row[1] * 1000)
        sets += ["--set", f"data.eval={self.path('eval.jsonl')}", "--set", f"output={self.path('other')}"]
        self.assertIn("leaves each worker", self.dashctl("plan", JOB, *sets).stderr)


@unittest.skipUnless(os.path.exists(os.path.join(BIN, "dash-coordinator")), "dash-coordinator is not built")
class Continued(World):
    """A job that starts from what a LoRA-Dash job has trained."""

    def run_job(self, name, *sets, fails=False):
        if "dash.continue=true" in sets and not any("prelaunch" in s for s in sets):
            sets = ["dash.prelaunch_steps=null", *sets]
        sets = ["data.max_tokens=128", "training.steps=6", "training.warmup_steps=0", f"output={self.path(name)}", *sets]
        done = self.dashctl("run", JOB, *(word for s in sets for word in ("--set", s)))
        self.assertEqual(done.returncode != 0, fails, done.stderr)
        if fails:
            return done.stdout + done.stderr
        return [json.loads(line) for line in self.read(name, "metrics.jsonl").splitlines()]

    def bytes_of(self, name):
        with open(self.path(name, "adapter/adapter_model.safetensors"), "rb") as f:
            return f.read()

    def directions(self, name):
        return json.loads(self.read(name, "directions.json"))

    def setUp(self):
        super().setUp()
        self.run_job("first", "training.steps=12", "dash.prelaunch_steps=5")
        self.start = f"lora.init_adapter={self.path('first')}"

    def test_it_goes_on_with_the_directions_or_with_the_sum_of_all(self):
        dash = self.run_job("dash", self.start, "dash.continue=true")
        lora = self.run_job("lora", self.start, "method=lora", "lora.rank=12", "lora.alpha=12")
        new = self.run_job("new", self.start + "/adapter", "dash.continue=false", "dash.prelaunch_steps=3", "lora.rank=12",
                           "lora.alpha=12")
        self.assertEqual([r["phase"] for r in dash], ["dash"] * 6)
        self.assertEqual([r["phase"] for r in new], ["prelaunch"] * 3 + ["dash"] * 3)
        for rows in (lora, new):  # the same function in other numbers
            self.assertAlmostEqual(rows[0]["loss"], dash[0]["loss"], delta=1e-7 * dash[0]["loss"])
        first, on = self.directions("first"), self.directions("dash")
        self.assertEqual(first.keys(), on.keys())
        for name in first:
            self.assertEqual(first[name]["indices"], on[name]["indices"])
            self.assertEqual(first[name]["delta"], on[name]["delta"])
            self.assertNotEqual(first[name]["coefficient"], on[name]["coefficient"])
        self.run_job("stages", self.start, "dash.continue=true", "parallel.stages=2")
        self.assertEqual(self.bytes_of("dash"), self.bytes_of("stages"))
        with open(self.path("dash", "adapter/adapter_config.json")) as f:
            self.assertEqual(json.load(f)["r"], 8 + 4)

    def test_what_does_not_fit_is_refused(self):
        lora = f"lora.init_adapter={self.path('plain')}"
        self.run_job("plain", "method=lora")
        for sets, words in (([self.start], "give dash.continue: true to train its A, B and the coefficients of its 4"),
                            ([self.start, "dash.continue=true", "dash.directions=3"], "lora.init_adapter has 4"),
                            ([self.start, "dash.continue=true", "lora.rank=12"], "lora.init_adapter has rank 8"),
                            ([self.start, "dash.continue=true", "dash.prelaunch_steps=2"], "dash.prelaunch_steps must be null with"),
                            ([lora, "dash.continue=true"], "is not the output folder of a LoRA-Dash job"),
                            (["lora.init_adapter=null", "dash.continue=true"], "does not say what to continue")):
            self.assertIn(words, self.run_job("no", *sets, fails=True))
        os.rename(self.path("first/checkpoint"), self.path("moved"))
        os.mkdir(self.path("first/checkpoint"))
        self.assertIn("has no checkpoint", self.run_job("none", self.start, "dash.continue=true", fails=True))


if __name__ == "__main__":
    unittest.main()
