"""The HTTP port: who may, gRPC's methods as JSON, events, files, metrics, and what strangers can do to it. The clients are
Python's http.client and plain sockets; what JSON means is what Google's json_format says."""
import http.client
import socket
import threading
import urllib.parse

from google.protobuf import json_format

from harness import *

SERVICE = "/rpc/dash.v1.FineTuning/"
SECURITY = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy")


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Http(World):
    def serve(self, *options, **more):
        self.daemon = self.dashd(*options, **more)
        self.client = self.daemon.client()
        self.port = int(self.read("state/http-port"))
        self.cookie = None

    def token(self, name, role):
        done = subprocess.run([os.path.join(BIN, "dashd"), "token", "add", name, "--role", role, "--state", self.path("state")],
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def ask(self, method, path, body=None, token=None, cookie=None, connection=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        if token:
            headers["Authorization"] = "Bearer " + token
        if cookie or self.cookie:
            headers["Cookie"] = cookie or self.cookie
        connection = connection or self.connect()
        connection.request(method, path, body, headers)
        return Answer(connection.getresponse())

    def call(self, method, message=None, **how):
        how.setdefault("Content_Type", "application/json")
        return self.ask("POST", SERVICE + method, json.dumps({} if message is None else message), **how)

    def sign_in(self):
        address = self.dashctl("web", server=self.daemon.address).stdout.strip()
        path = urllib.parse.urlsplit(address)
        answer = self.ask("GET", f"{path.path}?{path.query}")
        self.assertEqual((answer.status, answer.headers["location"]), (303, "./"))
        self.cookie = answer.headers["set-cookie"].split(";")[0]
        return address

    def events(self, response):
        """(event, data) as a browser would read them."""
        kind, data = "message", []
        while line := response.readline():
            line = line.decode().rstrip("\n")
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif not line and data:
                yield kind, json.loads("\n".join(data))
                kind, data = "message", []

    def watch(self, method, message):
        connection = self.connect()
        connection.request("GET", f"{SERVICE}{method}?message=" + urllib.parse.quote(json.dumps(message)),
                           headers={"Cookie": self.cookie or ""})
        response = connection.getresponse()
        return response


class Access(Http):
    def test_nothing_is_told_without_a_token(self):
        self.serve()
        for method, path in (("POST", SERVICE + "ListJobs"), ("GET", SERVICE + "WatchJob"), ("GET", "/metrics"),
                             ("GET", "/files/1/job.yaml")):
            answer = self.ask(method, path, "{}" if method == "POST" else None, Content_Type="application/json")
            self.assertEqual(answer.status, 401, path)
            self.assertEqual(answer.json()["code"], "UNAUTHENTICATED")
        self.assertEqual(self.call("ListJobs", token="dash_" + "0" * 64).status, 401)
        self.assertEqual(self.ask("GET", "/healthz").body, b"ok\n")

    def test_roles_and_the_audit_log_are_those_of_grpc(self):
        self.serve()
        reader = self.token("look", "read")
        self.assertEqual(self.call("ListJobs", token=reader).status, 200)
        refused = self.call("CancelJob", {"id": "1"}, token=reader)
        self.assertEqual((refused.status, refused.json()["code"]), (403, "PERMISSION_DENIED"))
        lines = [json.loads(line) for line in self.read("state/audit.jsonl").splitlines()]
        self.assertTrue(any(l["caller"] == "token:look" and l["method"].endswith("CancelJob") and
                            l["peer"].startswith("127.0.0.1:") for l in lines), lines)
        self.assertEqual(self.ask("POST", "/login", json.dumps({"token": reader}), Content_Type="application/json").status, 200)
        for _ in range(70):
            self.assertEqual(self.ask("DELETE", "/v1/files/%ff").status, 401)
        self.assertEqual(self.call("ListJobs", token="dash_0").status, 401)
        lines = [json.loads(line) for line in self.read("state/audit.jsonl").splitlines()]
        self.assertEqual([l["outcome"] for l in lines if l["method"] == "POST /login" and l["caller"] == "token:look"], ["200"])
        strangers = [l for l in lines if l["caller"] == ""]
        self.assertEqual({(l["method"], l["outcome"]) for l in strangers}, {("DELETE /v1/files/?", "401")})
        self.assertEqual(len(strangers), 60)  # a minute
        self.assertIn("needs a token", strangers[0]["reason"])

    def test_jobs_belong_to_their_creators(self):
        self.serve()
        one, other = self.token("one", "submit"), self.token("other", "submit")
        with open(os.path.join(TINY, "job.yaml")) as f:
            job = self.call("CreateJob", {"jobYaml": f.read(), "directory": TINY, "fileName": "job.yaml", "overrides": [
                f"output={self.path('out')}", "data.max_tokens=128"]}, token=one)
        self.assertEqual(job.status, 200, job.body)
        id = job.json()["job"]["id"]
        self.assertEqual(self.get(self.client, id).created_by, "token:one")
        self.assertEqual(self.call("CancelJob", {"id": id}, token=other).status, 403)
        self.assertEqual(self.call("CancelJob", {"id": id}, token=one).status, 200)

    def test_an_address_signs_in_once(self):
        self.serve()
        address = self.sign_in()
        self.assertEqual(self.call("GetServerInfo").json()["caller"], f"uid:{os.getuid()}")
        path = urllib.parse.urlsplit(address)
        self.assertEqual(self.ask("GET", f"{path.path}?{path.query}").status, 401)
        self.assertEqual(self.ask("POST", "/logout").status, 200)
        self.assertEqual(self.call("GetServerInfo").status, 401)

    def test_a_token_signs_in_until_it_is_revoked(self):
        self.serve()
        token = self.token("page", "read")
        self.assertEqual(self.ask("POST", "/login", json.dumps({"token": token}), Content_Type="text/plain").status, 400)
        self.assertEqual(self.ask("POST", "/login", '{"token": "dash_1"}', Content_Type="application/json").status, 401)
        answer = self.ask("POST", "/login", json.dumps({"token": token}), Content_Type="application/json")
        cookie = answer.headers["set-cookie"]
        for attribute in ("HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(attribute, cookie)
        self.cookie = cookie.split(";")[0]
        self.assertEqual(self.call("GetServerInfo").json(), {**self.call("GetServerInfo").json(), "role": "read"})
        events = self.events(self.watch("WatchJobs", {"jobs": {"pageSize": 3}}))
        self.assertEqual(next(events), ("message", {}))
        subprocess.run([os.path.join(BIN, "dashd"), "token", "revoke", "page", "--state", self.path("state")], check=True,
                       capture_output=True, timeout=DEADLINE)
        wait_for(lambda: self.call("GetServerInfo").status == 401, "the session has ended")
        kind, end = list(events)[-1]
        self.assertEqual((kind, end["code"]), ("end", "UNAUTHENTICATED"))

    def test_many_sessions_of_one_end_none_of_another(self):
        self.serve()
        self.sign_in()
        login = json.dumps({"token": self.token("look", "read")})
        connection = self.connect()
        for _ in range(260):
            self.assertEqual(self.ask("POST", "/login", login, cookie="none=1", connection=connection, Content_Type="application/json").status, 200)
        self.assertEqual(self.call("ListJobs").status, 200)

    def test_pages_of_other_sites_may_nothing(self):
        self.serve()
        self.sign_in()
        here = f"127.0.0.1:{self.port}"
        self.assertEqual(self.call("ListJobs", Origin=f"http://{here}").status, 200)
        self.assertEqual(self.call("ListJobs", Sec_Fetch_Site="same-origin").status, 200)
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"},
                        {"Sec_Fetch_Site": "same-site"}, {"Origin": f"http://127.0.0.1:{self.port + 1}"}):
            self.assertEqual(self.call("ListJobs", **headers).status, 403, headers)
        for host in ("evil.example", f"evil.example:{self.port}", "127.0.0.1.evil.example", "localhost.evil.example", ""):
            self.assertEqual(self.call("ListJobs", Host=host).status, 403, host)
        for host in ("localhost", f"LOCALHOST:{self.port}", here, f"[::1]:{self.port}"):
            self.assertEqual(self.call("ListJobs", Host=host).status, 200, host)
        form = self.ask("POST", SERVICE + "ListJobs", "{}", Content_Type="text/plain")
        self.assertEqual(form.status, 400)

    def test_a_proxys_name_is_accepted_where_it_is_named(self):
        self.serve("--http-url", "https://dash.example.org:8443/dash/")
        address = self.dashctl("web", server=self.daemon.address).stdout.strip()
        self.assertTrue(address.startswith("https://dash.example.org:8443/dash/login?code="), address)
        answer = self.ask("GET", "/login?" + address.split("?")[1], Host="dash.example.org:8443", X_Forwarded_Proto="https")
        self.assertIn("; Secure", answer.headers["set-cookie"])
        self.cookie = answer.headers["set-cookie"].split(";")[0]
        self.assertEqual(self.call("ListJobs", Host="example.org").status, 403)
        self.assertEqual(self.call("ListJobs", Host="dash.example.org", Origin="https://dash.example.org").status, 200)

    def test_plain_addresses_are_loopback_and_others_have_tls(self):
        subprocess.run([os.path.join(BIN, "dashd"), "init", "--state", self.path("state")], check=True, capture_output=True,
                       timeout=DEADLINE)
        import ssl
        port = socket.create_server(("0.0.0.0", 0))
        number = port.getsockname()[1]
        port.close()
        self.daemon = self.dashd("--http", f"0.0.0.0:{number}")
        context = ssl.create_default_context(cafile=self.path("state/tls/ca.crt"))
        connection = http.client.HTTPSConnection("localhost", number, context=context, timeout=DEADLINE)
        self.addCleanup(connection.close)
        admin = self.read("state/admin.token").strip()
        connection.request("POST", SERVICE + "GetServerInfo", "{}",
                           {"Authorization": "Bearer " + admin, "Content-Type": "application/json"})
        answer = Answer(connection.getresponse())
        self.assertEqual((answer.status, answer.json()["role"]), (200, "admin"))
        connection.request("POST", SERVICE + "GetServerInfo", "{}", {"Content-Type": "application/json"})
        self.assertEqual(connection.getresponse().status, 401)

    def test_without_the_port_dashctl_says_so(self):
        self.daemon = self.dashd("--http", "none")
        self.assertIn("--http none", self.dashctl("web", server=self.daemon.address).stderr)

    def test_the_port_stays_the_same(self):
        self.serve()
        before = self.port
        self.daemon.stop()
        self.serve()
        self.assertEqual(self.port, before)


class Rpc(Http):
    def setUp(self):
        super().setUp()
        self.serve()
        self.sign_in()

    def test_answers_are_those_of_grpc(self):
        job = self.create(self.client, labels=[pb.Label(name="a", value='<b>"&')], priority=-3)
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        for name, message in (("GetJob", {"id": job.id}), ("ListJobs", {"states": ["SUCCEEDED"], "pageSize": 5}),
                              ("ListEvents", {"id": job.id}), ("ListFiles", {"id": "out"}), ("ListCheckpoints", {"id": job.id}),
                              ("GetLogs", {"id": job.id}), ("GetServerInfo", {})):
            answer = self.call(name, message)
            self.assertEqual(answer.status, 200, answer.body)
            ours = json_format.Parse(answer.body, getattr(pb, name + "Response")())
            request = json_format.ParseDict(message, getattr(pb, name + "Request")())
            theirs = getattr(self.client, name)(**{f.name: v for f, v in request.ListFields()})
            if name == "GetServerInfo":
                self.assertEqual(ours.caller, theirs.caller)
            else:
                self.assertEqual(ours, theirs, name)
            self.assertEqual(answer.json(), json_format.MessageToDict(ours), name)
        for header in SECURITY:
            self.assertIn(header, answer.headers)

    def test_field_names_may_be_those_of_the_proto(self):
        self.assertEqual(self.call("ListJobs", {"page_size": 1}).status, 200)
        self.assertEqual(self.call("ListJobs", {"pageSize": 1}).status, 200)

    def test_what_is_not_understood_is_refused(self):
        for message, words in (({"pageSiz": 1}, "no field 'pageSiz'"), ({"pageSize": -1}, "page_size"), ({"pageSize": 2**32}, "page_size"),
                               ({"pageSize": "x"}, "page_size"), ({"pageSize": 1.5}, "page_size"), ({"states": "QUEUED"}, "states must be a list"),
                               ({"states": ["QUEUD"]}, "states"), ({"name": 7}, "name"), ({"labels": [{"nam": "x"}]}, "labels"),
                               ([], "must be an object"), ({"name": "a\0b"}, "")):
            answer = self.call("ListJobs", message)
            self.assertEqual((answer.status, answer.json()["code"]), (400, "INVALID_ARGUMENT"), message)
            self.assertIn(words, answer.json()["message"])
        self.assertEqual(self.ask("POST", SERVICE + "ListJobs", "{", Content_Type="application/json").status, 400)
        many = self.call("ListJobs", {"labels": [{}] * 20000})
        self.assertEqual(many.status, 400)
        self.assertIn("more than 20000 values", many.json()["message"])
        long = self.call("ListJobs", {"é" * 40: 1})  # cut within a character
        self.assertIn("no field 'é", long.json()["message"])
        self.assertEqual(self.call("NoSuch").status, 501)
        self.assertEqual(self.ask("POST", "/rpc/dash.v1.Coordination/Report", "{}", Content_Type="application/json").status, 501)
        self.assertEqual(self.ask("GET", "/nowhere").status, 404)
        self.assertEqual(self.ask("PUT", "/").status, 501)

    def test_problems_of_a_job_come_with_their_fields(self):
        answer = self.call("CreateJob", {"jobYaml": "model: nowhere\nlora: {rank: 0, alfa: 3}\n", "directory": "/", "validateOnly": True})
        self.assertEqual(answer.status, 400)
        fields = {v["field"] for v in answer.json()["violations"]}
        self.assertTrue({"lora.rank", "data.train", "output"} <= fields, answer.body)

    def test_a_job_is_watched_to_its_end(self):
        job = self.create(self.client)
        response = self.watch("WatchJob", {"id": job.id, "events": True})
        self.assertEqual(response.headers["content-type"], "text/event-stream")
        messages = list(self.events(response))
        self.assertEqual(messages[-1], ("end", {"code": "OK"}))
        seen = [json_format.ParseDict(data, pb.WatchJobResponse()) for kind, data in messages[:-1]]
        steps = [m.step.step for m in seen if m.HasField("step")]
        self.assertEqual(steps, list(range(1, len(steps) + 1)))
        self.assertGreater(len(steps), 1)
        self.assertEqual(seen[-1].job.state, pb.SUCCEEDED)
        end = list(self.events(self.watch("WatchJob", {"id": "77"})))
        self.assertEqual((end[0][0], end[0][1]["code"]), ("end", "NOT_FOUND"))
        refused = self.ask("GET", SERVICE + "CancelJob?message=%7B%7D")
        self.assertEqual(refused.status, 501)
        for method in ("WatchJob", "FollowLogs", "DownloadFile"):
            refused = self.call(method, {"id": job.id})
            self.assertEqual(refused.status, 501, method)
            self.assertIn("call it by GET", refused.json()["message"])

    def test_files_come_whole(self):
        job = self.create(self.client)
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        for file in self.client.ListFiles(id=job.id).files:
            answer = self.ask("GET", f"/files/{job.id}/{file.path}")
            self.assertEqual(answer.status, 200)
            with open(self.path("out", file.path), "rb") as f:
                self.assertEqual(answer.body, f.read(), file.path)
            self.assertEqual(answer.headers["content-disposition"], "attachment")
        self.assertEqual(self.ask("GET", f"/files/{job.id}/job.yaml?view").headers["content-type"], "text/plain; charset=utf-8")
        for path in ("../state/jobs.db", "..%2fstate%2fjobs.db", "%2e%2e/state/tokens.json", "logs/dashd.json", "/etc/passwd",
                     "%2fetc%2fpasswd", ""):
            self.assertEqual(self.ask("GET", f"/files/{job.id}/{path}").status, 404, path)
        self.assertEqual(self.ask("GET", f"/files/{job.id}/job.yaml%00.png").status, 400)
        self.assertEqual(self.ask("GET", "/files/77/job.yaml").status, 404)

    def test_metrics_are_as_prometheus_wants_them(self):
        job = self.create(self.client, name='q"\\uote')
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        self.call("GetJob", {"id": "77"})
        answer = self.ask("GET", "/metrics")
        text = answer.body.decode()
        self.assertTrue(answer.headers["content-type"].startswith("text/plain; version=0.0.4"))
        self.assertIn('dash_jobs{state="succeeded"} 1', text)
        self.assertIn('dash_rpcs_total{method="GetJob",code="NOT_FOUND"} 1', text)
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        self.assertEqual(float(values["dash_steps_total"]), self.get(self.client, job.id).steps_done)
        self.assertEqual(values["dash_job_queue_seconds_count"], "1")
        self.assertGreater(float(values['dash_resident_memory_bytes{job="",process="dashd"}']), 1e6)
        promtool = shutil.which("promtool")
        self.assertTrue(promtool, "promtool is a part of Debian's prometheus")
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)


class Hostile(Http):
    def setUp(self):
        super().setUp()
        self.serve()
        self.sign_in()

    def resident(self):
        with open(f"/proc/{self.daemon.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def served(self):
        """How long one request takes, which must be answered."""
        begun = time.monotonic()
        self.assertEqual(self.call("ListJobs").status, 200)
        return time.monotonic() - begun

    def cancel(self, id):
        """A job that may have ended meanwhile."""
        try:
            self.client.CancelJob(id=id)
        except grpc.RpcError as error:
            self.assertEqual(error.code(), grpc.StatusCode.FAILED_PRECONDITION)

    def raw(self, data=b""):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        self.addCleanup(s.close)
        s.sendall(data)
        return s

    def test_connections_that_say_nothing_hold_up_nobody(self):
        before = self.resident()
        opened = []
        for i in range(2000):
            try:
                opened.append(self.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: " if i % 2 else b""))
            except OSError:
                pass
            if i % 200 == 199:
                self.served()
        self.served()
        if not ADDRESS_SANITIZER:
            self.assertLess(self.resident() - before, 48 << 10)
        for s in opened:
            s.close()

    def test_connections_that_were_closed_count_no_more(self):
        """An address may have 128 that have not said who they are: many short ones must not end one that stays."""
        kept = self.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertTrue(kept.recv(1000).startswith(b"HTTP/1.1 200"))
        for _ in range(600):
            socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE).close()
            time.sleep(0.001)
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertTrue(kept.recv(1000).startswith(b"HTTP/1.1 200"))

    def test_heads_and_bodies_are_bounded(self):
        s = self.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Long: " + b"a" * 100000)
        self.assertRegex(s.recv(100), b"HTTP/1.1 4(13|14|31)")
        s = self.raw(b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertRegex(s.recv(100), b"HTTP/1.1 4(13|14|31)")
        head = f"POST {SERVICE}ListJobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nCookie: {self.cookie}\r\n"
        s = self.raw((head + "Content-Length: 999999999\r\n\r\n").encode())
        self.assertIn(b"400", s.recv(100))
        s = self.raw((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        with self.assertRaises(OSError):  # ended while it sends
            for _ in range(20000):
                s.sendall(b"1000\r\n" + b"a" * 4096 + b"\r\n")
        self.served()

    def test_what_is_no_http_is_ended(self):
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n" * 5000, b"\0" * 40000,
                     b"GET / HTTP/9.9\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
            s = self.raw(data)
            s.shutdown(socket.SHUT_WR)
            s.settimeout(DEADLINE)
            try:
                while s.recv(65536):
                    pass
            except ConnectionError:
                pass
        self.served()

    def test_events_do_not_wait_for_the_next_sign_of_life(self):
        """That comes every 15 s: all before it must be here earlier."""
        hold = self.write("hold", "0")
        self.daemon.stop()
        self.serve(env={"FAKE_HOLD": hold})
        self.sign_in()
        connection = self.connect()
        job = self.create(self.client)
        connection.request("GET", f"{SERVICE}WatchJob?message=" + urllib.parse.quote(json.dumps({"id": job.id, "events": True})),
                           headers={"Cookie": self.cookie})
        response = connection.getresponse()
        connection.sock.settimeout(10)
        seen = self.events(response)
        self.assertIn("happened", next(m for _, m in seen if "job" not in m))
        self.write("hold", "9999")
        self.assertEqual([m["step"]["step"] for _, m in seen if "step" in m], [1, 2, 3, 4, 5])

    def test_a_client_that_leaves_a_stream_is_forgotten(self):
        job = self.create(self.client, overrides=["training.steps=100000"])
        for _ in range(40):
            response = self.watch("WatchJob", {"id": job.id})
            response.readline()
            response.close()
        self.cancel(job.id)
        self.served()

    def test_a_slow_reader_delays_no_other(self):
        job = self.create(self.client)
        self.wait_state(self.client, job.id, pb.SUCCEEDED)
        with open(self.path("out/big.jsonl"), "wb") as f:
            f.truncate(256 << 20)
        before = self.resident()
        slow = [self.raw(f"GET /files/{job.id}/big.jsonl HTTP/1.1\r\nHost: localhost\r\nCookie: {self.cookie}\r\n\r\n".encode())
                for _ in range(20)]
        for s in slow:
            s.recv(1)
        for _ in range(20):
            self.served()
        if not ADDRESS_SANITIZER:
            self.assertLess(self.resident() - before, 40 << 10)

    def test_thousands_of_random_requests(self):
        import random
        rng = random.Random(3)
        paths = ["/", "/login", "/metrics", "/healthz", "/files/", "/rpc/", SERVICE + "GetJob", SERVICE + "WatchJob", "/v1/models"]
        connection = self.connect()
        for i in range(3000):
            path = rng.choice(paths) + "".join(rng.choice("/.%?=&{}\"a0~") for _ in range(rng.randrange(12)))
            body = bytes(rng.randrange(256) for _ in range(rng.randrange(64)))
            try:
                connection.request(rng.choice(["GET", "POST", "DELETE", "HEAD"]), path, body,
                                   {"Cookie": self.cookie, "Content-Type": rng.choice(["application/json", "text/plain", ""])})
                connection.getresponse().read()
            except (http.client.HTTPException, OSError):
                connection.close()
        self.served()

    def test_jobs_go_on_while_dashd_stops_with_open_streams(self):
        job = self.create(self.client, overrides=["training.steps=100000"])
        response = self.watch("WatchJob", {"id": job.id})
        response.readline()
        self.assertEqual(self.daemon.stop(), 0)
        self.serve()
        self.cancel(job.id)


if __name__ == "__main__":
    unittest.main(verbosity=2)
