"""Evaluations that dashd queues, with the real programs: what they find is what the foreground finds."""
from harness import *

MODEL = os.path.join(TINY, "model")
ROWS = os.path.join(TINY, "train.jsonl")


@unittest.skipUnless(os.path.exists(os.path.join(BIN, "dash-worker")), "dash-worker is not built")
class QueuedEval(World):
    def start(self, *options):
        return self.dashd(*options, programs=BIN).client()

    def queue(self, client, name="eval", **fields):
        fields = {"model": MODEL, "data": [ROWS], "threads": 1, **fields}
        return client.CreateJob(evaluation=pb.Evaluation(output=self.path(name), **fields)).job

    def foreground(self, *arguments):
        done = self.dashctl("eval", "--threads", "1", "--output", "json", "--details", self.path("details"), *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout), self.read("details")

    def many(self):
        """A data set that takes longer than any test."""
        with open(ROWS) as f:
            return self.write("many.jsonl", f.read() * 20000)

    def test_results_are_those_of_the_foreground(self):
        out, client = self.path("out"), self.start()
        job = self.create(client, overrides=[f"data.eval={ROWS}", "training.steps=12"])
        self.wait_state(client, job.id, pb.SUCCEEDED)
        variants = [["--base"], ["--checkpoint"], ["--without-directions"], ["--limit", "8"], []]
        address = self.daemons[0].address
        for i, variant in enumerate(variants):
            queued = self.dashctl("eval", out, "--threads", "1", "--queue", f"of{i}", *variant, server=address)
            self.assertEqual(queued.returncode, 0, queued.stderr)
            self.assertIn(f"results: {self.path(f'of{i}')}", queued.stdout)
        losses = set()
        for i, variant in enumerate(variants):
            done = self.wait_state(client, f"of{i}", pb.SUCCEEDED)
            figures, details = self.foreground(out, *variant)
            self.assertEqual(json.loads(self.read(f"of{i}", "result.json")), figures)
            self.assertEqual(self.read(f"of{i}", "examples.jsonl"), details)
            self.assertEqual((done.steps_done, done.steps_total, done.kind), (figures["examples"], figures["examples"], pb.EVALUATION))
            losses.add(figures["loss"])
        self.assertEqual(len(losses), len(variants) - 1)  # the last checkpoint is what the adapter was written from
        self.assertEqual(self.get(client, job.id).kind, pb.TRAINING)
        files = {f.path for f in client.ListFiles(id="of0").files}
        self.assertLess({"result.json", "examples.jsonl", "logs/job.log"}, files)
        self.assertRegex(self.dashctl("show", "of0", server=address).stdout, r"examples   32 of 32\n(.*\n)*result     .*/of0/result.json\n")
        self.assertRegex(self.dashctl("watch", "of0", server=address).stdout, "SUCCEEDED after 32 examples in .*/of0/result.json")
        chunks = b"".join(m.data for m in client.DownloadFile(id="of0", path="result.json"))
        self.assertEqual(chunks.decode(), self.read("of0", "result.json"))

    def test_it_is_cancelled_and_measures_anew_when_it_is_resumed(self):
        client = self.start()
        job = self.queue(client, data=[self.many()])
        self.wait_step(client, job.id, 1)
        self.assertEqual(self.get(client, job.id).state, pb.RUNNING)
        self.assertEqual(self.get(client, job.id).steps_total, 640000)
        client.CancelJob(id=job.id)
        job = self.wait_state(client, job.id, pb.CANCELLED)
        self.assertRegex(job.reason, r"^stopped after \d+ of 640000 examples; `dashctl resume 1` measures anew$")
        self.assertFalse(os.path.exists(self.path("eval/result.json")))
        self.assertIn("without overrides", self.refused(grpc.StatusCode.INVALID_ARGUMENT, client.ResumeJob, id=job.id, from_step=3))
        shutil.copy(ROWS, self.path("many.jsonl"))
        client.ResumeJob(id=job.id)
        self.assertEqual(self.wait_state(client, job.id, pb.SUCCEEDED).steps_done, 32)

    def test_a_killed_dashd_finds_it_again(self):
        client = self.start()
        job = self.queue(client, data=[self.many()])
        self.wait_step(client, job.id, 1)
        worker, = (p for p in self.job_processes() if program_of(p) == "dash-worker")
        self.daemons[0].stop(signal.SIGKILL)
        self.assertTrue(is_alive(worker))
        client = self.start()
        before = self.wait_state(client, job.id, pb.RUNNING).steps_done
        self.wait_step(client, job.id, before + 1)
        self.daemons[1].stop(signal.SIGKILL)
        os.kill(worker, signal.SIGTERM)
        wait_for(lambda: not is_alive(worker), "the worker ends unseen")
        client = self.start()
        wait_for(lambda: self.get(client, job.id).restarts == 1, "a stop that nobody asked for is followed by a restart")
        client.CancelJob(id=job.id)
        self.wait_state(client, job.id, pb.CANCELLED)

    def test_it_waits_for_memory_as_other_jobs_do(self):
        client = self.start("--max-running", "4", "--memory", "40")
        first = self.queue(client, "first", data=[self.many()])
        self.assertGreater(first.memory_bytes, 10e6)
        second = self.queue(client, "second")
        self.assertIn("waits for memory", wait_for(lambda: self.get(client, second.id).reason, "a reason"))
        client.CancelJob(id=first.id)
        self.wait_state(client, second.id, pb.SUCCEEDED)

    def test_what_is_wrong_is_refused_or_fails_with_its_words(self):
        client = self.start()
        for fields, words in (({"model": ""}, "from is missing"), ({"data": []}, "data is missing"),
                              ({"data": ["rows.jsonl"]}, "data must be an absolute path"), ({"task": "guess"}, "task must be"),
                              ({"checkpoint": True}, "needs the output folder of a job"),
                              ({"base_only": True, "without_directions": True, "from": MODEL}, "cannot be given beside it"),
                              ({"model": self.path("none")}, "none"), ({"name": "x", "output": ""}, "output is missing")):
            evaluation = pb.Evaluation(**{"model": MODEL, "data": [ROWS], "output": self.path("eval"), **fields})
            self.assertIn(words, self.refused(grpc.StatusCode.INVALID_ARGUMENT, client.CreateJob, evaluation=evaluation))
        job = self.queue(client, data=[self.write("wrong.jsonl", '{"input_ids": [9999, 1], "labels": [1, 1]}\n')])
        wait_for(lambda: self.get(client, job.id).state == pb.FAILED, "it fails")
        self.assertIn("wrong.jsonl:1:", self.get(client, job.id).reason)
        done = self.dashctl("eval", "--model", MODEL, "--data", ROWS, "--watch")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--watch needs --queue", done.stderr)

    def test_paths_must_be_in_allowed_folders(self):
        os.mkdir(self.path("allowed"))
        client = self.start("--allow-root", self.path("allowed"))
        evaluation = pb.Evaluation(model=MODEL, data=[ROWS], output=self.path("allowed/eval"))
        said = self.refused(grpc.StatusCode.INVALID_ARGUMENT, client.CreateJob, evaluation=evaluation)
        self.assertIn(f"model: {MODEL} is not in a folder", said)
        self.assertIn(f"data: {ROWS} is not in a folder", said)


if __name__ == "__main__":
    unittest.main()
