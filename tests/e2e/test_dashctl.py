"""dashctl as a person and as a script use it."""
from harness import *

JOB = os.path.join(TINY, "job.yaml")
SETS = ["--set", "data.max_tokens=128"]


class Words(World):
    """What needs no dashd."""

    def said(self, *arguments, status=2, **more):
        done = self.dashctl(*arguments, **more)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_help_names_every_command_and_exits_with_0(self):
        text = self.said("--help", status=0)
        for name in ("run", "submit", "list", "show", "watch", "logs", "cancel", "resume", "plan", "generate", "eval", "export", "tokenize"):
            self.assertRegex(text, rf"(?m)^  {name} ")
        self.assertEqual(text, self.said("help", status=0))
        self.assertIn("Usage: dashctl watch", self.said("help", "watch", status=0))
        self.assertIn("Usage: dashctl watch", self.said("watch", "--help", status=0))
        self.assertRegex(self.said("--version", status=0), r"^dashctl \d+\.\d+")

    def test_a_typo_is_answered_with_the_nearest_command(self):
        self.assertIn("did you mean 'submit'?", self.said("sumbit"))
        self.assertIn("did you mean 'list'?", self.said("lst"))
        self.assertIn("did you mean 'watch'?", self.said("help", "wach"))
        self.assertIn("--help", self.said("frobnicate"))

    def test_wrong_calls_exit_with_2(self):
        self.assertIn("Usage", self.said())
        self.assertIn("ID", self.said("show"))
        self.said("show", "1", "2")
        self.said("list", "--no-such-option")
        self.said("list", "--output", "xml")
        self.said("list", "--state", "happy")
        self.said("watch", "1", "--from", "x")
        self.said("submit")
        self.assertIn("KEY.PATH=VALUE", self.said("submit", JOB, "--set", "steps"))
        self.said("run", JOB, "--server", "unix:/nowhere")

    def test_without_a_dashd_it_says_how_to_get_one(self):
        state = {"XDG_STATE_HOME": self.folder}
        for arguments in (["list"], ["watch", "1"], ["show", "1"], ["submit", JOB]):
            text = self.said(*arguments, status=1, env=state)
            self.assertIn(f"no dashd answers at unix:{self.folder}/dash/dashd.sock", text)
            self.assertIn("--server", text)
        self.assertIn("no dashd answers at unix:/nowhere", self.said("list", "--server", "unix:/nowhere", status=1))
        self.assertIn("no dashd answers at localhost:1", self.said("--server", "localhost:1", "list", status=1))
        self.assertIn("not an address", self.said("list", "--server", "nowhere", status=1))

    def test_a_job_file_that_is_not_there_is_named(self):
        self.assertIn("nothing.yaml: No such file", self.said("submit", "nothing.yaml", status=1))

    def test_plan_needs_no_dashd(self):
        env = {"XDG_STATE_HOME": self.folder}
        text = self.said("plan", JOB, *SETS, "--set", "parallel.stages=2", status=0, env=env)
        self.assertIn("2 workers", text)
        self.assertIn("a step has 1 micro-batch for 2 workers, some of which wait: a job with training.micro_batches: 2 gives", text)
        for sets in (["training.micro_batches=2", "parallel.stages=2"], ["training.batch_size=1", "parallel.stages=2"], []):
            sets = [word for s in sets for word in ("--set", s)]
            self.assertNotIn("some of which wait", self.said("plan", JOB, *SETS, *sets, status=0, env=env))
        plan = json.loads(self.said("plan", JOB, *SETS, "--output", "json", status=0, env=env))
        self.assertIn("rank: 8", plan["job_yaml"])
        self.assertIn("lora.rank", self.said("plan", JOB, "--set", "lora.rank=0", status=1, env=env))

    def test_plan_measures_this_machine(self):
        env = {"XDG_STATE_HOME": self.folder, "DASH_CACHE": self.path("cache")}
        estimates = json.loads(self.said("plan", JOB, *SETS, "--output", "json", status=0, env=env))["estimates"]
        self.assertEqual([(e["nodes"], e["stages"], e["replicas"], e["fits"]) for e in estimates], [(1, 1, 1, True)])
        self.assertGreater(estimates[0]["seconds"], 0)
        kept, = os.listdir(self.path("cache"))
        self.assertRegex(kept, "^rate-[0-9a-f]{16}.json$")
        with open(self.path(os.path.join("cache", kept)), encoding="utf-8") as f:
            whole = f.read()
        # One of a quiet machine stays; one of a busy machine only if it is not measured to be more.
        rate = float(re.search('"gflops": ([0-9.]+)', whole)[1])
        for busy, known, least, most in (("false", "0.5", 0, 0.5), ("true", "5e5", 5e5, 5e5), ("true", "0.5", rate / 100, 1e6)):
            self.write(os.path.join("cache", kept), re.sub('"gflops": [^,]*', f'"gflops": {known}', re.sub('"busy": [a-z]*', f'"busy": {busy}', whole)))
            self.said("plan", JOB, *SETS, status=0, env=env)
            with open(self.path(os.path.join("cache", kept)), encoding="utf-8") as f:
                gflops = json.load(f)["gflops"]
            self.assertTrue(least <= gflops <= most, gflops)
        rates = [re.sub(r'("gflops": )[^,\n]*', rf'\g<1>{rate}', whole) for rate in ("-1", "1e-300", "1e300")]
        for damaged in ("", "{", whole.replace('"gflops"', '"speed"'), *rates):
            with self.subTest(damaged):
                self.write(os.path.join("cache", kept), damaged)
                self.said("plan", JOB, *SETS, status=0, env=env)
                with open(self.path(os.path.join("cache", kept)), encoding="utf-8") as f:
                    self.assertTrue(1e-3 < json.load(f)["gflops"] < 1e9)

    def test_plan_takes_the_nodes_of_a_partition_from_sinfo(self):
        sinfo = self.write("sinfo", "#!/bin/sh\nprintf 'main* 8 4000\\nbig 64 256000\\nbig 48 512000\\n'\n")
        os.chmod(sinfo, 0o755)
        env = {"XDG_STATE_HOME": self.folder, "DASH_CACHE": self.path("cache"), "PATH": f"{self.folder}:{os.environ['PATH']}"}
        slurm = ["plan", JOB, *SETS, "--set", "launcher=slurm"]
        text = self.said(*slurm, "--set", "slurm.partition=big", status=0, env=env)
        self.assertIn("nodes of partition big with 48 cores", text)
        self.assertIn("as fast as one here", text)
        self.assertIn("nodes of the default partition with 8 cores", self.said(*slurm, status=0, env=env))
        text = self.said(*slurm, "--set", "slurm.mem=2G", "--set", "slurm.workers_per_node=4", "--nodes", "1", status=0, env=env)
        self.assertIn("nodes of 8 cores, 2 GiB,", text)
        text = self.said(*slurm, "--set", "slurm.partition=none", status=0, env=env)
        self.assertIn("note: time is not planned: sinfo names no nodes of partition none", text)

    def test_plan_for_nodes_that_are_not_here(self):
        env = {"XDG_STATE_HOME": self.folder}
        node = ["--node", "cores=8,gib=4,gflops=400,gbits=10", "--nodes", "1,2,4"]
        text = self.said("plan", JOB, *SETS, *node, status=0, env=env)
        self.assertIn("efficiency", text)
        estimates = json.loads(self.said("plan", JOB, *SETS, *node, "--output", "json", status=0, env=env))["estimates"]
        self.assertEqual(len(estimates), 3)
        for e in estimates:
            self.assertEqual(e["stages"] * e["replicas"], e["nodes"] * e["workers_per_node"])
            self.assertLessEqual(e["threads"] * e["workers_per_node"], 8)
        said = self.said("plan", JOB, *SETS, "--node", "cores=0,speed=3", "--nodes", "x", status=2, env=env)
        for words in ("cores must be an integer from 1", '"speed" is not known', "gib is missing", "gbits is missing",
                      '--nodes must be integers from 1 to 100000, such as 1,4,16, not "x"'):
            self.assertIn(words, said)

    def test_tokenize_prints_ids_and_texts(self):
        vocabulary = os.path.join(SOURCE, "tests/golden/vocab/ggml-vocab-llama-spm.gguf")
        by = ["tokenize", "--tokenizer", vocabulary]
        text = self.write("text", "Hello world")
        self.assertEqual(self.said(*by, text, status=0), "1 15043 3186\n")
        self.assertEqual(self.said(*by, "--raw", text, status=0), "15043 3186\n")
        special = self.write("special", "<s>Hello\0\0two  x\0")
        self.assertEqual(self.said(*by, "-0", special, status=0), "1 1 15043\n1\n1 1023 29871 921\n")
        raw = self.said(*by, "-0", "--raw", special, "--output", "json", status=0)
        self.assertEqual([json.loads(line) for line in raw.splitlines()],
                         [{"ids": [529, 29879, 29958, 10994]}, {"ids": []}, {"ids": [1023, 29871, 921]}])
        ids = self.write("ids", "1 15043 3186\n[529, 29879, 29958]\n\n")
        self.assertEqual(self.said(*by, "--decode", ids, status=0), "<s> Hello world\n<s>\n\n")
        self.assertEqual(self.said(*by, "--decode", "--raw", "-0", ids, status=0), "Hello world\0<s>\0\0")
        self.assertEqual(json.loads(self.said(*by, "--decode", "--output", "json", self.write("one", "3186"), status=0)),
                         {"text": "world"})

    def test_tokenize_says_what_is_wrong_and_where(self):
        vocabulary = os.path.join(SOURCE, "tests/golden/vocab/mistral-v1.model")
        by = ["tokenize", "--tokenizer", vocabulary]
        self.assertIn("--tokenizer FILE", self.said("tokenize"))
        self.assertIn("--tokenizer FILE", self.said(*by, "--model", TINY))
        self.assertIn("no tokenizer.json", self.said("tokenize", "--model", self.folder, self.write("x", ""), status=1))
        path = os.path.join(self.folder, "bytes")
        with open(path, "wb") as f:
            f.write(b"a\0b\xff\0")
        self.assertIn("bytes: text 2: the text is not UTF-8: byte 0xff at offset 1",
                      self.said(*by, "-0", path, status=1))
        self.assertIn("ids:2: 'x' is not a token id", self.said(*by, "--decode", self.write("ids", "1\n2 x"), status=1))
        self.assertIn("ids:1: no token has the id 99999", self.said(*by, "--decode", self.write("ids", "99999"), status=1))

    def test_a_tokenizer_that_cannot_be_used_matters_to_texts_alone(self):
        env = {"XDG_STATE_HOME": self.folder}
        model = self.path("model")
        shutil.copytree(os.path.join(TINY, "model"), model)
        self.write("model/tokenizer.json", '{"model": {"type": "Unigram", "vocab": []}}')
        texts = self.write("texts.jsonl", '{"text": "a"}\n')
        job = ["plan", JOB, *SETS, "--set", f"model={model}", "--set", f"output={self.path('out')}"]
        self.said(*job, status=0, env=env)
        said = self.said(*job, "--set", f"data.train={texts}", "--set", "data.eval=null", status=1, env=env)
        self.assertIn("texts.jsonl:1: the rows are texts but the model's tokenizer cannot be used", said)
        self.assertIn("the tokenizer model 'Unigram' is not supported", said)
        self.assertIn("Rows of input_ids and labels work without it", said)

    def test_output_that_cannot_be_written_is_an_error(self):
        env = {**os.environ, "XDG_STATE_HOME": self.folder}
        model = os.path.join(SOURCE, "tests/golden/cases/tokenizer/otherchat")
        rows = self.write("rows.jsonl", '{"prompt": "a", "completion": "b"}\n' * 3)
        fast = ["generate", "--model", model, "--max-tokens", "1", "--threads", "1"]
        data = ["data", "check", model, rows]
        for command in (data, data + ["--row", "1"], data + ["--output", "json"], ["init", model, rows], ["--help"], ["--version"],
                        ["tokenize", "--model", model, rows], ["tokenize", "--model", model, "-0", self.write("a", "a\0" * 9999)],
                        ["plan", JOB, *SETS], ["sbatch", JOB, *SETS, "--set", f"output={self.path('out')}"], ["plan", "--help"],
                        fast + ["a"], fast + ["--prompts", rows], fast + ["--chat"], ["doctor"]):
            with self.subTest(command), open("/dev/full", "w") as full:
                done = subprocess.run([os.path.join(BIN, "dashctl"), *command], stdout=full, stderr=subprocess.PIPE, text=True,
                                      input="Hi\n", env=env, timeout=DEADLINE, cwd=self.folder)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("standard output cannot be written", done.stderr)
        nowhere = subprocess.run(["sh", "-c", '"$@" >&-', "sh", os.path.join(BIN, "dashctl"), "help", "x"], env=env,
                                 capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((nowhere.returncode, nowhere.stderr[:23]), (2, "dashctl: there is no co"))

    def test_generate_hands_its_arguments_over(self):
        dashctl = self.own_bin()
        done = subprocess.run([dashctl, "generate", "--model", "a b", "--help", "$(x)"], capture_output=True, text=True,
                              env={**os.environ, "FAKE_GENERATE_STATUS": "5"}, timeout=DEADLINE)
        self.assertEqual(json.loads(done.stdout), ["--model", "a b", "--help", "$(x)"])
        self.assertEqual(done.returncode, 5)


class Commands(World):
    def start(self, **env):
        self.hold = self.write("hold", "9999")
        self.daemon = self.dashd(env={"FAKE_HOLD": self.hold, **env})
        self.client = self.daemon.client()

    def ctl(self, *arguments, status=0):
        done = self.dashctl(*arguments, server=self.daemon.address)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout if status == 0 else done.stdout + done.stderr

    def submit(self, name="out", *more, status=0):
        return self.ctl("submit", JOB, *SETS, "--set", f"output={self.path(name)}", "--set", f"name={name}", *more,
                        status=status)

    def test_submit_list_show_and_logs(self):
        self.start()
        self.assertIn("no jobs yet", self.ctl("list"))
        self.assertIn("dashctl watch 1", self.submit("first"))
        self.wait_state(self.client, "1", pb.SUCCEEDED)
        self.submit("second")
        self.wait_state(self.client, "2", pb.SUCCEEDED)
        lines = self.ctl("list").splitlines()
        self.assertRegex(lines[0], r"^ID +NAME +STATE +STEP +LOSS +ETA +CREATED")
        self.assertRegex(lines[1], r"^2 +second +SUCCEEDED +5/5 +0\.4000 ")
        self.assertEqual(lines[0].index("STATE"), lines[1].index("SUCCEEDED"))
        self.assertIn("no such jobs", self.ctl("list", "--state", "failed"))
        shown = self.ctl("show", "first")
        self.assertIn("job 1 (first): SUCCEEDED", shown)
        self.assertIn(self.path("first/adapter"), shown)
        self.assertIn("coordinator of job 1", self.ctl("logs", "1"))
        self.assertIn("no job 'third'", self.ctl("show", "third", status=1))

    def test_output_that_cannot_be_written_is_an_error(self):
        self.start()
        self.write("hold", "")
        self.ctl("submit", JOB, *SETS, "--set", f"output={self.path('out')}")
        self.ctl("watch", "1")
        for command in ["list"], ["show", "1"], ["logs", "1"], ["watch", "1"], ["list", "--output", "json"]:
            with self.subTest(command), open("/dev/full", "w") as full:
                done = subprocess.run([os.path.join(BIN, "dashctl"), "--server", self.daemon.address, *command], stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=DEADLINE)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("standard output cannot be written", done.stderr)

    def test_json_has_the_names_of_the_proto(self):
        self.start(FAKE_NOTICE='a "quoted" note')
        job = json.loads(self.submit("out", "--output", "json"))["job"]
        self.assertEqual((job["id"], job["name"]), ("1", "out"))
        self.wait_state(self.client, "1", pb.SUCCEEDED)
        job = json.loads(self.ctl("show", "1", "--output", "json"))
        self.assertEqual(set(job), {f.name for f in pb.Job.DESCRIPTOR.fields})
        self.assertEqual((job["state"], job["steps_done"], job["phase"]), ("SUCCEEDED", 5, "DASH"))
        self.assertEqual(job["last_step"]["loss"], 0.4)
        self.assertEqual(job["notices"], ['a "quoted" note'])
        jobs = json.loads(self.ctl("list", "--output", "json"))["jobs"]
        self.assertEqual([j["id"] for j in jobs], ["1"])
        lines = [json.loads(line) for line in self.ctl("watch", "1", "--output", "json").splitlines()]
        self.assertEqual([e["step"]["step"] for e in lines if "step" in e], [1, 2, 3, 4, 5])
        self.assertEqual(lines[-1]["job"]["state"], "SUCCEEDED")

    def test_bad_jobs_are_refused_with_every_problem_and_nothing_starts(self):
        self.start()
        text = self.submit("out", "--set", "lora.rank=0", "--set", "training.stepss=5", "--set", "model=/nowhere",
                           status=1)
        self.assertIn("lora.rank", text)
        self.assertIn("did you mean", text)
        self.assertEqual(len(self.client.ListJobs().jobs), 0)
        self.assertFalse(os.path.exists(self.path("out")))
        text = self.submit("out", "--set", "parallel.stages=9", "--set", "launcher=slurm", "--set", "slurm.time=soon",
                           status=1)
        self.assertIn("stages", text)
        self.assertIn("slurm.time must be", text)
        os.mkdir(self.path("full"))
        self.write("full/file", "")
        self.assertIn("is not empty", self.submit("full", status=1))
        self.write("file", "")
        self.assertIn("is not a folder", self.submit("file/out", status=1))
        self.assertEqual(len(self.client.ListJobs().jobs), 0)

    def test_a_very_long_list_of_problems_arrives_shortened(self):
        self.start()
        unknown = "".join(f"nonsense_{i}: {'x' * 60}\n" for i in range(400))
        path = self.write("long.yaml", "model: m\noutput: o\ndata: {train: t}\n" + unknown)
        text = self.ctl("submit", path, status=1)
        self.assertIn("nonsense_0", text)
        self.assertIn("more", text)

    def test_an_output_folder_of_another_job_is_refused_with_its_id(self):
        self.start()
        self.write("hold", "0")
        self.submit()
        text = self.submit(status=1)
        self.assertRegex(text, r"belongs to job 1 \(out, (STARTING|RUNNING)\)")
        self.assertIn("belongs to job 1", self.submit("../" + os.path.basename(self.folder) + "/out", status=1))

    def test_a_job_file_from_standard_input(self):
        self.start()
        with open(JOB) as f:
            text = f.read()
        done = self.dashctl("submit", "-", *SETS, "--set", f"output={self.path('out')}", server=self.daemon.address,
                            stdin=text, cwd=TINY)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_cancel_and_resume(self):
        self.start()
        self.write("hold", "2")
        self.submit("first")
        self.submit("second")
        self.wait_step(self.client, "1", 2)
        self.assertIn("job 2 is cancelled", self.ctl("cancel", "2"))
        self.assertIn("resume 1", self.ctl("cancel", "1"))
        self.assertIn("dashctl resume 1", self.wait_state(self.client, "1", pb.CANCELLED).reason)
        self.assertIn("CANCELLED cannot be cancelled", self.ctl("cancel", "1", status=1))
        self.write("hold", "9999")
        self.assertIn("continues after step 2", self.ctl("resume", "1"))
        self.wait_state(self.client, "1", pb.SUCCEEDED)
        self.assertIn("SUCCEEDED cannot be resumed", self.ctl("resume", "1", status=1))

    def test_show_of_a_failed_job_has_its_reason_and_log(self):
        self.start(FAKE_CRASH_AT="2")
        self.submit()
        self.wait_state(self.client, "1", pb.FAILED)
        text = self.ctl("show", "1")
        self.assertRegex(text, r"reason +.*something terrible happened")
        self.assertRegex(text, r"(?m)^    coordinator: something terrible happened")
        self.assertIn("dashctl resume 1", text)

    def test_logs_follow_to_the_end(self):
        self.start()
        self.write("hold", "2")
        self.submit()
        self.wait_step(self.client, "1", 2)
        follow = subprocess.Popen([os.path.join(BIN, "dashctl"), "logs", "-f", "1"], stdout=subprocess.PIPE,
                                  env={**os.environ, "DASH_SERVER": self.daemon.address})
        self.addCleanup(follow.stdout.close)
        self.assertIn(b"coordinator of job 1", follow.stdout.readline())
        with open(self.path("out/logs/job.log"), "a") as log:
            log.write("one more line\n")
        self.assertEqual(follow.stdout.readline(), b"one more line\n")
        self.write("hold", "9999")
        self.assertEqual(follow.wait(DEADLINE), 0)

    def test_watch_in_a_pipe_prints_a_line_a_step(self):
        self.start()
        self.submit()
        text = self.ctl("watch", "1")
        steps = re.findall(r"^step (\d+)/5 (\S+) loss (\S+) .* tokens/s", text, re.M)
        self.assertEqual([int(s[0]) for s in steps], [1, 2, 3, 4, 5])
        self.assertIn("SUCCEEDED after 5 steps", text)
        text = self.ctl("watch", "1", "--from", "4")
        self.assertEqual(re.findall(r"^step (\d+)/", text, re.M), ["4", "5"])

    def test_watch_fails_with_the_job(self):
        self.start(FAKE_FAIL_AT="2")
        self.submit()
        self.assertIn("FAILED: the loss is not finite", self.ctl("watch", "1", status=1))

    def test_submit_watch_does_both(self):
        self.start()
        text = self.submit("out", "--watch")
        self.assertIn("step 5/5", text)
        self.assertIn("SUCCEEDED", text)

    def test_watch_outlives_its_dashd_and_shows_each_step_once(self):
        self.start(FAKE_STEPS="40")
        self.write("hold", "5")
        self.submit()
        self.wait_step(self.client, "1", 5)
        watch = subprocess.Popen([os.path.join(BIN, "dashctl"), "watch", "1"], text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env={**os.environ, "DASH_SERVER": self.daemon.address})
        lines = []
        while not lines or not lines[-1].startswith("step 5/"):
            lines.append(watch.stdout.readline())
        for hold, how in ((15, signal.SIGKILL), (25, signal.SIGTERM)):
            self.daemons[-1].stop(how)
            self.write("hold", str(hold))
            client = self.dashd(env={"FAKE_HOLD": self.hold}).client()
            self.wait_step(client, "1", hold)
        self.write("hold", "9999")
        rest, words = watch.communicate(timeout=DEADLINE)
        self.assertEqual(watch.returncode, 0, words)
        steps = re.findall(r"^step (\d+)/", "".join(lines) + rest, re.M)
        self.assertEqual([int(s) for s in steps], list(range(1, 41)))
        self.assertIn("is away: trying again", words)

    def terminal(self, *arguments, columns=100, **env):
        return Terminal([os.path.join(BIN, "dashctl"), *arguments], columns,
                        {"DASH_SERVER": self.daemon.address, **env})

    def test_watch_on_a_terminal_redraws_one_line(self):
        self.start()
        self.write("hold", "3")
        self.submit("arc-easy")
        self.wait_step(self.client, "1", 3)
        t = self.terminal("watch", "1")
        wait_for(lambda: "3/5" in t.read(), "the third step is shown")
        line = re.split(r"\r", t.read())[-1].replace("\x1b[K", "")
        self.assertRegex(line, r"^arc-easy █+░+ 3/5 dash loss 0\.6667 200 tokens/s ETA 1s$")
        self.write("hold", "9999")
        self.assertEqual(t.wait(), 0)
        self.assertEqual(t.read().count("\n"), 1, "only the last word ends a line")
        self.assertIn("SUCCEEDED", t.read())

    def test_the_line_fits_a_narrow_terminal_and_an_ascii_locale(self):
        self.start()
        self.write("hold", "3")
        self.submit("a-job-with-a-very-long-name-indeed")
        self.wait_step(self.client, "1", 3)
        for columns in (20, 30, 50, 80, 200):
            t = self.terminal("watch", "1", columns=columns, LC_ALL="C")
            wait_for(lambda: "3/5" in t.read(), "the third step is shown")
            for line in t.read().replace("\x1b[K", "").split("\r"):
                self.assertLess(len(line), columns, line)
                self.assertTrue(line.isascii(), line)
            t.press(b"\x03")
            t.wait()

    def test_ctrl_c_leaves_the_job_running_and_says_so(self):
        self.start()
        self.write("hold", "2")
        self.submit()
        self.wait_step(self.client, "1", 2)
        t = self.terminal("watch", "1")
        wait_for(lambda: "2/5" in t.read(), "the job is shown")
        t.press(b"\x03")
        self.assertNotEqual(t.wait(), 0)
        self.assertIn("job 1 continues; `dashctl watch 1` shows it again", t.read())
        self.assertEqual(self.get(self.client, "1").state, pb.RUNNING)
        self.write("hold", "9999")
        self.wait_state(self.client, "1", pb.SUCCEEDED)


if __name__ == "__main__":
    unittest.main()
