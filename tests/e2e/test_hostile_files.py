"""What neighbours on a shared machine can put in the way of a job: FIFOs, links and huge files in its folder, models and
data that are none, names that act on a terminal; and folders that belong to others."""
import json
import stat
import threading

from harness import *

ESCAPE = "\x1b]0;pwned\x07"


def memory_mb(pid, what="VmHWM"):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(what + r":\s+(\d+)", f.read())[1]) / 1024


class Checks(World):
    """A job is checked in a process of its own, whatever its files are."""

    def setUp(self):
        super().setUp()
        self.daemon = self.dashd()
        self.client = self.daemon.client()

    def plan(self, *overrides, timeout=DEADLINE, daemon=None):
        with open(os.path.join(TINY, "job.yaml")) as f:
            text = f.read()
        client = daemon.client() if daemon else self.client
        return client.PlanJob(job_yaml=text, directory=TINY, file_name="job.yaml", timeout=timeout,
                              overrides=[f"output={self.path('out')}", *overrides])

    def refusal(self, *overrides, code=grpc.StatusCode.INVALID_ARGUMENT, **more):
        return self.refused(code, lambda: self.plan(*overrides, **more))

    def fifo(self, name="fifo"):
        os.mkfifo(self.path(name))
        return self.path(name)

    def model(self, **files):
        """A copy of the tiny model's folder with other files in it."""
        folder = self.path(f"model-{len(os.listdir(self.folder))}")
        shutil.copytree(os.path.join(TINY, "model"), folder)
        for name, text in files.items():
            name = name.replace("__", ".")
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
        return folder

    def test_what_is_not_a_regular_file_is_refused_and_not_waited_for(self):
        fifo = self.fifo()
        for path in (fifo, "/dev/zero", "/dev/tty", "/proc/self/mem"):
            for key in ("model", "data.train", "data.eval", "lora.init_adapter"):
                self.refusal(f"{key}={path}")
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            folder = self.model()
            if os.path.exists(os.path.join(folder, name)):
                os.remove(os.path.join(folder, name))
            os.mkfifo(os.path.join(folder, name))
            if name == "tokenizer.json":  # rows of ids need none
                self.plan("model=" + folder)
                rows = "data.train=" + self.write("texts.jsonl", '{"text": "a"}\n')
                self.assertIn("is a pipe", self.refusal("model=" + folder, rows))
            else:
                self.refusal("model=" + folder)

    def test_an_output_that_is_not_a_folder_is_refused(self):
        for path in (self.fifo(), "/dev/null", self.write("file", "")):
            self.assertIn("exists but is not a folder", self.refusal("output=" + path))

    def test_a_check_that_takes_too_long_is_ended_and_others_go_on(self):
        daemon = self.dashd("--check-time", "1", state="other")
        rows = self.path("rows.jsonl")
        with open(rows, "w") as f:
            f.write(json.dumps({"input_ids": list(range(1, 100)), "labels": list(range(1, 100))}) + "\n")
        with open(rows, "r+") as f:
            line = f.read()
            for _ in range(400000):
                f.write(line)
        self.assertIn("--check-time", self.refusal("data.train=" + rows, daemon=daemon))
        self.plan(daemon=daemon)

    def test_a_check_that_takes_too_much_memory_is_refused(self):
        if ADDRESS_SANITIZER:
            self.skipTest("AddressSanitizer takes more memory than any limit")
        daemon = self.dashd("--check-memory", "64", state="other")
        rows = self.path("rows.jsonl")
        with open(rows, "w") as f:
            f.write(json.dumps({"input_ids": [1] * 2000000, "labels": [1] * 2000000}, separators=(",", ":")) + "\n")
        self.assertIn("--check-memory", self.refusal("data.train=" + rows, daemon=daemon,
                                                    code=grpc.StatusCode.RESOURCE_EXHAUSTED))
        self.assertLess(memory_mb(daemon.process.pid), 120)

    def test_a_model_that_is_cut_while_it_is_read_does_not_end_dashd(self):
        folder = self.model()
        weights = os.path.join(folder, "model.safetensors")
        with open(weights, "rb") as f:
            whole = f.read()
        stop = threading.Event()

        def cut():
            while not stop.is_set():
                with open(weights, "r+b") as f:
                    f.truncate(8)
                with open(weights, "r+b") as f:
                    f.write(whole)
        thread = threading.Thread(target=cut)
        thread.start()
        try:
            for _ in range(10):
                try:
                    self.plan("model=" + folder)
                except grpc.RpcError as e:
                    self.assertEqual(e.code(), grpc.StatusCode.INVALID_ARGUMENT, e.details())
        finally:
            stop.set()
            thread.join()
        self.client.ListJobs()

    def checks_running(self):
        return [pid for pid in filter(str.isdigit, os.listdir("/proc")) if self.is_check(pid)]

    def is_check(self, pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                return parent == self.daemon.process.pid and b"--check" in f.read()
        except OSError:
            return False

    def test_a_check_ends_with_its_client_and_with_dashd(self):
        rows = self.path("rows.jsonl")
        with open(rows, "w") as f:
            for _ in range(3000000):
                f.write('{"input_ids": [1, 2, 3, 4, 5], "labels": [1, 2, 3, 4, 5]}\n')
        call = self.client.channel.unary_unary("/dash.v1.FineTuning/PlanJob",
                                               request_serializer=pb.PlanJobRequest.SerializeToString)
        with open(os.path.join(TINY, "job.yaml")) as f:
            request = pb.PlanJobRequest(job_yaml=f.read(), directory=TINY,
                                        overrides=[f"output={self.path('out')}", "data.train=" + rows])
        future = call.future(request)
        wait_for(self.checks_running, "a check runs")
        future.cancel()
        wait_for(lambda: not self.checks_running(), "the check ends with its client")
        again = call.future(request)
        wait_for(self.checks_running, "a check runs")
        self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual(again.code(), grpc.StatusCode.UNAVAILABLE)
        wait_for(lambda: not self.checks_running(), "the check ends with dashd")

    def test_errors_do_not_quote_files_that_are_not_data(self):
        secret = "root:hunter2:0:0"
        path = self.write("secret", secret + "\n")
        for key in ("model", "lora.init_adapter"):
            self.assertNotIn("hunter2", self.refusal(f"{key}={path}"))
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json"):
            folder = self.model()
            if name.endswith("index.json"):
                os.remove(os.path.join(folder, "model.safetensors"))
            target = os.path.join(folder, name)
            if os.path.exists(target):
                os.remove(target)
            os.symlink(path, target)
            try:
                self.plan("model=" + folder)
            except grpc.RpcError as e:
                self.assertNotIn("hunter2", e.details())
        folder = self.path("adapter")
        os.mkdir(folder)
        os.symlink(path, os.path.join(folder, "adapter_config.json"))
        self.assertNotIn("hunter2", self.refusal("lora.init_adapter=" + folder))


class Outputs(World):
    """Folders that others can write."""

    def finished(self, name="out", **more):
        daemon = self.dashd(**more)
        client = daemon.client()
        job = self.create(client, name)
        self.wait_state(client, job.id, *FINAL)
        return daemon, client, job

    def test_logs_and_checkpoints_are_private_and_the_folder_is_not_writable_by_others(self):
        before = os.umask(0)
        try:
            self.finished()
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("out/logs")).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("out")).st_mode) & 0o022, 0)
        for name in ("job.log", ".lock", "dashd.json"):
            self.assertEqual(stat.S_IMODE(os.stat(self.path("out/logs", name)).st_mode) & 0o077, 0)

    def test_a_folder_that_everybody_or_another_user_owns_is_refused(self):
        client = self.dashd().client()
        os.mkdir(self.path("open"))
        os.chmod(self.path("open"), 0o777)
        with self.assertRaises(grpc.RpcError) as caught:
            self.create(client, "open")
        self.assertIn("everybody can write to", caught.exception.details())
        if os.geteuid() == 0:
            os.mkdir(self.path("foreign"))
            os.chown(self.path("foreign"), 12345, 12345)
            with self.assertRaises(grpc.RpcError) as caught:
                self.create(client, "foreign")
            self.assertIn("belongs to another user (uid 12345)", caught.exception.details())

    def test_a_folder_that_its_group_can_write_is_reported(self):
        client = self.dashd().client()
        os.mkdir(self.path("group"))
        if os.geteuid() == 0:
            os.chown(self.path("group"), 0, 12345)
        os.chmod(self.path("group"), 0o775)
        job = self.create(client, "group")
        self.assertTrue(any("chmod g-w" in n for n in self.get(client, job.id).notices))

    def test_a_fifo_for_a_file_of_the_folder_holds_up_nobody(self):
        for name in ("outcome.json", "metrics.jsonl", "logs/job.log", "job.yaml"):
            hold = self.write("hold", "2")
            daemon = self.dashd(env={"FAKE_HOLD": hold, "FAKE_SILENT": "1"}, state="state-" + name.replace("/", "-"))
            client = daemon.client()
            output = "out-" + name.replace("/", "-")
            job = self.create(client, output)
            wait_for(lambda: os.path.exists(self.path(output, "checkpoint/step")), "it trains")
            path = self.path(output, name)
            if os.path.exists(path):
                os.remove(path)
            os.mkfifo(path)
            client.GetLogs(id=job.id)
            self.get(client, job.id)
            for pid in self.job_processes():
                if pid != daemon.process.pid and program_of(pid).startswith("dash-coord"):
                    os.kill(pid, signal.SIGKILL)
            wait_for(lambda: self.get(client, job.id).state in FINAL, "the job has ended")
            self.assertEqual(daemon.stop(), 0)
            again = self.dashd(state="state-" + name.replace("/", "-"))
            self.get(again.client(), job.id)
            self.assertEqual(again.stop(), 0)

    def test_a_link_for_a_temporary_file_is_not_followed(self):
        victim = self.write("victim", "mine")
        os.makedirs(self.path("linked"))
        client = self.dashd().client()
        os.rmdir(self.path("linked"))
        job = self.create(client, "linked")
        self.wait_state(client, job.id, *FINAL)
        for name in ("job.yaml", "outcome.json", "logs/launch"):
            link = self.path("linked", name + ".tmp")
            if not os.path.lexists(link):
                os.symlink(victim, link)
        self.assertEqual(self.read("victim"), "mine")

    def test_a_foreign_log_is_not_shown(self):
        daemon, client, job = self.finished()
        os.remove(self.path("out/logs/job.log"))
        os.symlink(self.write("secret", "hunter2"), self.path("out/logs/job.log"))
        self.assertNotIn("hunter2", client.GetLogs(id=job.id).text)

    def test_a_lock_that_another_can_open_is_closed_to_him(self):
        os.makedirs(self.path("out"))
        daemon, client, job = self.finished("out")
        os.chmod(self.path("out/logs/.lock"), 0o666)
        job = self.create(client, "again")
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("again/logs/.lock")).st_mode), 0o600)


class Names(World):
    """What comes from outside is bounded, and escaped where it is printed."""

    def test_names_that_act_on_a_terminal_are_refused(self):
        client = self.dashd().client()
        for name in ("a\nb", "a" + ESCAPE, "a\u202eb", "x" * 200):
            with self.assertRaises(grpc.RpcError) as caught:
                self.create(client, overrides=["name=" + json.dumps(name)])
            self.assertIn("name must", caught.exception.details())

    def test_a_folder_whose_name_acts_on_a_terminal_makes_a_plain_name(self):
        client = self.dashd().client()
        with open(os.path.join(TINY, "job.yaml")) as f:
            text = re.sub(r"(?m)^name:.*\n", "", f.read())
        answer = client.CreateJob(job_yaml=text, directory=TINY, overrides=[
            "output=" + json.dumps(self.path("o" + ESCAPE)), "data.max_tokens=128", "max_restarts=0"])
        self.assertEqual(answer.job.name, "o\\x1b]0;pwned\\x07")

    def test_notices_are_bounded_and_escaped(self):
        daemon = self.dashd(env={"FAKE_NOTICE": ESCAPE + "x" * 5000})
        client = daemon.client()
        job = self.create(client)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertLessEqual(len(self.get(client, job.id).notices[0].encode()), 1000)
        shown = self.dashctl("show", job.id, server=daemon.address)
        self.assertNotIn("\x1b", shown.stdout)
        self.assertIn("\\x1b]0;pwned", shown.stdout)

    def test_logs_and_errors_are_escaped(self):
        daemon = self.dashd()
        client = daemon.client()
        job = self.create(client)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        with open(self.path("out/logs/job.log"), "a") as f:
            f.write("before" + ESCAPE + "after\n")
        logs = self.dashctl("logs", job.id, server=daemon.address).stdout
        self.assertNotIn("\x1b", logs)
        self.assertIn("before\\x1b]0;pwned\\x07after\n", logs)
        shown = self.dashctl("show", "x" + ESCAPE, server=daemon.address)
        self.assertNotIn("\x1b", shown.stderr)


class Tokens(World):
    """A launch's token ends with the launch."""

    def test_a_token_adds_nothing_to_a_job_that_has_ended(self):
        hold = self.write("hold", "2")
        daemon = self.dashd(env={"FAKE_HOLD": hold, "FAKE_STEPS": "2"})
        client = daemon.client()
        job = self.create(client)
        self.wait_step(client, job.id, 2)
        token = json.loads(self.read("out/logs/dashd.json"))["token"]
        self.wait_state(client, job.id, pb.SUCCEEDED)
        wait_for(lambda: not [p for p in self.job_processes() if p != daemon.process.pid], "all has ended")
        report = client.channel.stream_stream("/dash.v1.Coordination/Report",
                                              request_serializer=pb.CoordinatorReport.SerializeToString,
                                              response_deserializer=pb.CoordinatorCommand.FromString)
        hello = pb.CoordinatorReport(hello=pb.Hello(job_id=job.id, token=token))
        steps = [pb.CoordinatorReport(step=pb.Step(step=n, loss=1, seconds=1)) for n in range(3, 503)]

        def refused_now():
            with self.assertRaises(grpc.RpcError) as caught:
                list(report(iter([hello, *steps]), timeout=DEADLINE))
            return caught.exception.code() == grpc.StatusCode.PERMISSION_DENIED
        wait_for(refused_now, "the token has ended")
        self.assertEqual(self.get(client, job.id).steps_done, 2)

    def test_a_job_takes_no_more_steps_than_it_has(self):
        hold = self.write("hold", "2")
        daemon = self.dashd(env={"FAKE_HOLD": hold})
        client = daemon.client()
        job = self.create(client)
        self.wait_step(client, job.id, 2)
        token = json.loads(self.read("out/logs/dashd.json"))["token"]
        report = client.channel.stream_stream("/dash.v1.Coordination/Report",
                                              request_serializer=pb.CoordinatorReport.SerializeToString,
                                              response_deserializer=pb.CoordinatorCommand.FromString)
        for bad in (dict(step=2000000000), dict(step=3, seconds=-1), dict(step=3, phase=77),
                    dict(step=3, tokens=1 << 63)):
            hello = pb.CoordinatorReport(hello=pb.Hello(job_id=job.id, token=token, steps_total=5))
            with self.assertRaises(grpc.RpcError) as caught:
                list(report(iter([hello, pb.CoordinatorReport(step=pb.Step(**bad))]), timeout=DEADLINE))
            self.assertIn(caught.exception.code(), (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ABORTED))
        self.write("hold", "9")
        self.wait_state(client, job.id, pb.SUCCEEDED)

    def test_decompositions_are_shown_and_checked(self):
        hold = self.write("hold", "2")
        daemon = self.dashd(env={"FAKE_HOLD": hold})
        client = daemon.client()
        job = self.create(client)
        self.wait_step(client, job.id, 2)
        self.assertFalse(self.get(client, job.id).HasField("decomposition"))
        token = json.loads(self.read("out/logs/dashd.json"))["token"]
        hello = pb.CoordinatorReport(hello=pb.Hello(job_id=job.id, token=token, steps_total=5))
        report = client.channel.stream_stream("/dash.v1.Coordination/Report",
                                              request_serializer=pb.CoordinatorReport.SerializeToString,
                                              response_deserializer=pb.CoordinatorCommand.FromString)

        def decomposed(**fields):
            return pb.CoordinatorReport(decomposition=pb.Decomposition(**fields))
        for bad in (dict(done=9, matrices=8), dict(done=1, matrices=2, seconds_left=-1), dict(matrices=1 << 31),
                    dict(done=1, matrices=2, seconds_left=float("nan"))):
            with self.assertRaises(grpc.RpcError) as caught:
                list(report(iter([hello, decomposed(**bad)]), timeout=DEADLINE))
            self.assertIn(caught.exception.code(), (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ABORTED))
        call = report(iter([hello, decomposed(done=3, matrices=8, seconds_left=40)]), timeout=DEADLINE)
        wait_for(lambda: self.get(client, job.id).decomposition.done == 3, "dashd knows it")
        call.cancel()
        shown = self.dashctl("show", job.id, server=daemon.address)
        self.assertIn("3 of 8 matrices decomposed, 40s left", shown.stdout)
        self.write("hold", "9")
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertFalse(self.get(client, job.id).HasField("decomposition"))


if __name__ == "__main__":
    unittest.main()
