"""What follows from a job: metrics for TensorBoard and MLflow, a command and a signed request at its end. The servers are
Python's; tests/peers has the real MLflow and TensorBoard."""
import hashlib
import hmac
import http.client
import http.server
import threading
import urllib.parse

from harness import *


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 if crc & 1 else crc >> 1
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def fields(data):
    """{number: [value]} of a protobuf message."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        key = varint()
        if key & 7 == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            value, at = data[at:at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def events(path):
    """(step, {tag: value}) of a file of TensorBoard; None for the version."""
    with open(path, "rb") as f:
        data = f.read()
    while data:
        size, = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked(data[:8])
        body, (crc,) = data[12:12 + size], struct.unpack("<I", data[12 + size:16 + size])
        assert crc == masked(body)
        data = data[16 + size:]
        event = fields(body)
        if 3 in event:
            assert event[3] == [b"brain.Event:2"]
            yield None
            continue
        values = [fields(v) for v in fields(event[5][0])[1]]
        yield event[2][0], {v[1][0].decode(): struct.unpack("<f", v[2][0])[0] for v in values}


class Server:
    """Keeps (method, path, headers, body) of each request, and answers as `answer` says."""

    def __init__(self, test, answer):
        self.requests = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.requests.append((self.command, self.path, dict(self.headers), body))
                status, text = answer(self.path, json.loads(body) if body else None)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(text).encode())

            do_GET = do_POST

            def log_message(self, *_):
                pass
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", getattr(test, "port", 0)), Handler)
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        test.addCleanup(self.stop)

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


class Mlflow:
    """As much of MLflow's API as a run needs."""

    def __init__(self):
        self.experiments, self.runs = {}, {}

    def __call__(self, path, body):
        path = urllib.parse.urlsplit(path)
        name = path.path.removeprefix("/api/2.0/mlflow/")
        if name == "experiments/get-by-name":
            wanted, = urllib.parse.parse_qs(path.query)["experiment_name"]
            return (200, {"experiment": {"experiment_id": self.experiments[wanted]}}) if wanted in self.experiments else (404, {})
        if name == "experiments/create":
            self.experiments[body["name"]] = str(len(self.experiments) + 1)
            return 200, {"experiment_id": self.experiments[body["name"]]}
        if name == "runs/create":
            run = {"name": body["run_name"], "experiment": body["experiment_id"], "params": {}, "metrics": {}, "status": "RUNNING"}
            self.runs[f"run{len(self.runs)}"] = run
            return 200, {"run": {"info": {"run_id": f"run{len(self.runs) - 1}"}}}
        run = self.runs[body["run_id"]]
        if name == "runs/log-batch":
            run["params"].update({p["key"]: p["value"] for p in body.get("params", [])})
            for m in body.get("metrics", []):
                run["metrics"].setdefault(m["key"], {})[m["step"]] = m["value"]
            return 200, {}
        if name == "runs/update":
            run["status"] = body["status"]
            return 200, {}
        return 501, {}


class FollowUps(World):
    def setUp(self):
        super().setUp()
        self.start()

    def start(self, *options, env=None):
        self.daemon = self.dashd(*options, programs=None, env=env)
        self.client = self.daemon.client()

    def metrics(self, name="out"):
        return [json.loads(line) for line in self.read(name, "metrics.jsonl").splitlines()]

    def test_mlflow_has_what_metrics_have(self):
        mlflow = Mlflow()
        server = Server(self, mlflow)
        job = self.create(self.client, overrides=[f"tracking.mlflow={server.url}/", "tracking.experiment=über 1"])
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        wait_for(lambda: mlflow.runs and mlflow.runs["run0"]["status"] == "FINISHED", "the run is closed")
        run, = mlflow.runs.values()
        self.assertEqual((list(mlflow.experiments), run["name"], run["params"]["lora.rank"]), (["über 1"], "out", "8"))
        self.assertEqual(run["params"]["name"], "out")
        rows = self.metrics()
        self.assertEqual(sorted(run["metrics"]["loss"]), [r["step"] for r in rows])
        for row in rows:
            self.assertAlmostEqual(run["metrics"]["loss"][row["step"]], row["loss"], delta=1e-8)

    def test_a_long_experiment_is_found_again(self):
        mlflow, name = Mlflow(), "Versuch ü&=+/" * 30
        server = Server(self, mlflow)
        for n in range(2):
            self.create(self.client, name=f"job{n}", overrides=[f"tracking.mlflow={server.url}", f"tracking.experiment={name}"])
            wait_for(lambda: [r["status"] for r in mlflow.runs.values()] == ["FINISHED"] * (n + 1), "the run is closed")
        self.assertEqual(mlflow.experiments, {name: "1"})
        self.assertEqual([r["experiment"] for r in mlflow.runs.values()], ["1", "1"])

    def test_a_run_that_was_made_while_dashd_ended_is_found_again(self):
        """dashd waits 30 s for what is under way, and a server has 20 s for each request."""
        mlflow, going_on = Mlflow(), threading.Event()
        self.addCleanup(going_on.set)
        slow = {"/api/2.0/mlflow/runs/create": 15, "/api/2.0/mlflow/runs/log-batch": 60}
        server = Server(self, lambda path, body: (going_on.wait(slow.get(path, 0)), mlflow(path, body))[1])
        self.create(self.client, overrides=[f"tracking.mlflow={server.url}"])
        wait_for(lambda: [r for r in server.requests if r[1].endswith("runs/create")], "the run is about to be made")
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(60 * SLOWNESS), 0)
        self.assertEqual(len(mlflow.runs), 1)
        going_on.set()
        self.start()
        wait_for(lambda: [r["status"] for r in mlflow.runs.values()] == ["FINISHED"], "the one run is closed")

    def test_a_slow_server_of_one_user_delays_nobody_else(self):
        slow, told = threading.Event(), []
        self.addCleanup(slow.set)
        stuck = Server(self, lambda path, body: (slow.wait(DEADLINE), (503, {}))[1])
        quick = Server(self, lambda path, body: (told.append(body["name"]), (200, {}))[1])
        with open(os.path.join(TINY, "job.yaml")) as f:
            text = f.read()
        ask = lambda token, name: self.by_http(token, {"jobYaml": text, "directory": TINY, "overrides": [
            f"output={self.path(name)}", f"name={name}", "training.steps=2", "dash.prelaunch_steps=1", *(
                [f"tracking.mlflow={stuck.url}"] if token is self.tokens[0] else [f"notify.url={quick.url}"])]})
        self.tokens = [self.token("one"), self.token("two")]
        for n in range(6):
            ask(self.tokens[0], f"slow{n}")
        wait_for(lambda: stuck.requests, "the slow server is asked")
        ask(self.tokens[1], "quick")
        wait_for(lambda: told == ["quick"], "the other is reported", 10 * SLOWNESS)  # a server has 20 s to answer
        self.assertEqual(len(stuck.requests), 1)  # one at a time of a user

    def token(self, name):
        return subprocess.run([os.path.join(BIN, "dashd"), "token", "add", name, "--role", "submit", "--state", self.path("state")],
                              capture_output=True, text=True, timeout=DEADLINE, check=True).stdout.strip()

    def by_http(self, token, request):
        connection = http.client.HTTPConnection("127.0.0.1", int(self.read("state/http-port")), timeout=DEADLINE)
        self.addCleanup(connection.close)
        connection.request("POST", "/rpc/dash.v1.FineTuning/CreateJob", json.dumps(request),
                           {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200, answer.read())

    def test_credentials_are_for_the_server_of_the_environment_alone(self):
        other, own = Server(self, lambda path, body: (401, {})), Server(self, Mlflow())
        self.daemon.stop()
        self.start(env={"MLFLOW_TRACKING_URI": own.url + "/", "MLFLOW_TRACKING_TOKEN": "geheim"})
        for server in (other, own):
            self.create(self.client, name=f"to{server.port}", overrides=[f"tracking.mlflow={server.url}"])
            wait_for(lambda: server.requests, "a request")
        self.assertNotIn("Authorization", other.requests[0][2])
        self.assertEqual(own.requests[0][2]["Authorization"], "Bearer geheim")
        self.assertIn("only to MLFLOW_TRACKING_URI", self.daemon_log())

    def test_what_a_server_that_was_away_missed_comes_later(self):
        mlflow = Mlflow()
        server = Server(self, mlflow)
        self.port = server.port
        server.stop()
        job = self.create(self.client, overrides=[f"tracking.mlflow={server.url}", f"notify.url={server.url}/hook"])
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        wait_for(lambda: "tracking.mlflow" in self.daemon_log() or "notify.url" in self.daemon_log(), "it was tried")
        self.daemon.stop()
        hooks = []
        answer = lambda path, body: (hooks.append(body) or (200, {})) if path == "/hook" else mlflow(path, body)
        Server(self, answer)
        self.start()
        wait_for(lambda: mlflow.runs and mlflow.runs["run0"]["status"] == "FINISHED" and hooks, "all has come")
        self.assertEqual(len(mlflow.runs["run0"]["metrics"]["loss"]), len(self.metrics()))
        self.assertEqual([h["state"] for h in hooks], ["SUCCEEDED"])

    def test_a_request_at_the_end_is_signed(self):
        server = Server(self, lambda path, body: (200, {}))
        job = self.create(self.client, overrides=[f"notify.url={server.url}/hook?a=b"])
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        wait_for(lambda: server.requests, "the request")
        (method, path, headers, body), = server.requests
        self.assertEqual((method, path, headers["Content-Type"]), ("POST", "/hook?a=b", "application/json"))
        key = self.read("state/webhook.key").strip()
        self.assertEqual(os.stat(self.path("state/webhook.key")).st_mode & 0o777, 0o600)
        self.assertEqual(headers["X-Dash-Signature-256"], "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest())
        said = json.loads(body)
        self.assertEqual((said["id"], said["state"], said["output"]), (job.id, "SUCCEEDED", self.path("out")))
        self.assertAlmostEqual(said["loss"], self.metrics()[-1]["loss"], delta=1e-8)

    def test_a_command_gets_the_end_on_its_input_and_no_shell_sees_it(self):
        script = self.write("at_end", '#!/bin/sh\ncat > "$2.json"\necho "$DASH_JOB_STATE $DASH_JOB_ID $1 said"\n')
        os.chmod(script, 0o755)
        job = self.create(self.client, name="out", overrides=[f"notify.command=[{script}, '$(id); `id`', {self.path('given')}]"])
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        wait_for(lambda: os.path.exists(self.path("given.json")) and "said" in self.read("out/logs/notify.log"), "it has run")
        self.assertEqual(json.loads(self.read("given.json"))["state"], "SUCCEEDED")
        self.assertEqual(self.read("out/logs/notify.log"), f"SUCCEEDED {job.id} $(id); `id` said\n")

    def test_a_command_ends_with_what_it_has_started(self):
        script = self.write("at_end", f'#!/bin/sh\nsleep 1000 &\necho $! > {self.path("pid")}.new\nmv {self.path("pid")}.new {self.path("pid")}\nwait\n')
        os.chmod(script, 0o755)
        job = self.create(self.client, overrides=[f"notify.command=[{script}]"])
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        wait_for(lambda: os.path.exists(self.path("pid")), "it runs")
        pid = int(self.read("pid"))
        def deleted():
            try:
                self.client.DeleteJob(id=job.id)
                return True
            except grpc.RpcError:  # its ranks have not ended yet
                return None
        wait_for(deleted, "it is deleted")
        wait_for(lambda: not is_alive(pid), "it is killed")

    def test_each_end_is_reported(self):
        server = Server(self, lambda path, body: (200, {}))
        job = self.create(self.client, overrides=["training.steps=100000", f"notify.url={server.url}"])
        self.wait_state(self.client, job.id, pb.RUNNING)
        self.client.CancelJob(id=job.id)
        self.wait_state(self.client, job.id, pb.CANCELLED)
        wait_for(lambda: len(server.requests) == 1, "the first end")
        self.client.ResumeJob(id=job.id)
        self.wait_step(self.client, job.id, 1)
        self.client.CancelJob(id=job.id)
        self.wait_state(self.client, job.id, pb.CANCELLED)
        wait_for(lambda: len(server.requests) == 2, "the second end")

    def test_what_is_wrong_is_refused(self):
        for wrong in ("tracking.mlflow=localhost:5000", "notify.url=ftp://a/b", "notify.url=https://",
                      "notify.command=[at_end]", "notify.url=http://a b"):
            said = self.refused(grpc.StatusCode.INVALID_ARGUMENT, lambda **f: self.create(self.client, overrides=[wrong]))
            self.assertIn(wrong.split("=")[0], said)

    def test_only_admins_name_commands(self):
        self.daemon.stop()
        operator = lambda *a: subprocess.run([os.path.join(BIN, "dashd"), *a, "--state", self.path("state")], check=True,
                                             capture_output=True, text=True, timeout=DEADLINE).stdout.strip()
        operator("init")
        token = operator("token", "add", "ann", "--role", "submit")
        self.start("--listen", "127.0.0.1:0")
        address = re.search(r"127\.0\.0\.1:\d+", self.daemon.greeting)[0]
        with open(self.path("state/tls/ca.crt"), "rb") as f:
            credentials = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(f.read()), grpc.access_token_call_credentials(token))
        ann = Client("unix:/nowhere")
        ann.channel.close()
        ann.channel = grpc.secure_channel(address, credentials)
        self.addCleanup(ann.close)
        said = self.refused(grpc.StatusCode.PERMISSION_DENIED, lambda **f: self.create(ann, overrides=["notify.command=[/bin/true]"]))
        self.assertIn("only admins", said)

    def test_tensorboard_has_what_metrics_have_also_after_kills(self):
        job = self.create(self.client, overrides=["tracking.tensorboard=true", "training.steps=60", "max_restarts=3"])
        self.wait_step(self.client, job.id, 5)
        victim = next(p for p in self.job_processes() if program_of(p) == "dash-coordinato")
        os.kill(victim, signal.SIGKILL)
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        found = list(events(self.path("out/tensorboard/events.out.tfevents.dash")))
        rows = self.metrics()
        self.assertEqual(found[0], None)
        self.assertEqual([step for step, _ in found[1:]], [r["step"] for r in rows])
        for (_, values), row in zip(found[1:], rows):
            self.assertAlmostEqual(values["train/loss"], row["loss"], delta=1e-5)
            self.assertAlmostEqual(values["train/learning_rate"], row["learning_rate"], delta=1e-8)


if __name__ == "__main__":
    unittest.main(verbosity=2)
