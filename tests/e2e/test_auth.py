"""Who may call dashd, and what: unix sockets, groups, TLS, tokens, certificates, roles. The clients are Python's gRPC and the
`openssl` command, which know nothing of dashd."""
import grp
import hashlib
import pwd
import socket
import ssl
import threading

import http2
from harness import *

ROLES = ("read", "submit", "admin")
# Every method of the services that clients see, with the least role that may call it. A method that is missing here fails.
NEEDED = {
    "CreateJob": "submit", "PlanJob": "submit", "GetJob": "read", "ListJobs": "read", "WatchJob": "read", "WatchJobs": "read",
    "CancelJob": "submit", "ResumeJob": "submit", "GetLogs": "read", "GetServerInfo": "read", "PauseJob": "submit",
    "DeleteJob": "submit", "UpdateJob": "submit", "ListEvents": "read", "ListFiles": "read", "ListCheckpoints": "read",
    "DownloadFile": "read", "FollowLogs": "read", "OpenPage": "read",
    "SignIn": "none",  # proves by itself who calls: test_munge
}
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
TOKEN = re.compile(r"dash_[0-9a-f]{64}")


def openssl(*arguments, stdin=b""):
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, timeout=DEADLINE, check=False)


class Secured(World):
    """A dashd with the keys of `dashd init`, on a free port of loopback."""

    def operator(self, *arguments, status=0, program="dashd"):
        done = subprocess.run([os.path.join(BIN, program), *arguments, "--state", self.path("state")], capture_output=True,
                              text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def token(self, name, role, *options):
        return self.operator("token", "add", name, "--role", role, *options).stdout.strip()

    def setUp(self):
        super().setUp()
        self.fingerprint = self.operator("init").stdout.strip()
        self.ca = self.path("state/tls/ca.crt")
        self.admin = self.read("state/admin.token").strip()

    def start(self, *options, **more):
        self.daemon = self.dashd("--listen", "127.0.0.1:0", *options, **more)
        self.address = re.search(r"serves.* (127\.\S+) \(|serves (127\.\S+) and", self.daemon.greeting)
        self.address = self.address[1] or self.address[2]
        return self.daemon

    def channel(self, token=None, ca=None, key=None, certificate=None):
        with open(ca or self.ca, "rb") as f:
            roots = f.read()
        credentials = grpc.ssl_channel_credentials(roots, key, certificate)
        if token:
            credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
        channel = grpc.secure_channel(self.address, credentials, options=[("grpc.use_local_subchannel_pool", 1)])
        self.addCleanup(channel.close)
        return channel

    def remote(self, token=None, **how):
        client = Client("unix:/nowhere")
        client.channel.close()
        client.channel = self.channel(token, **how)
        return client

    def unauthenticated(self, client):
        return self.refused(grpc.StatusCode.UNAUTHENTICATED, client.ListJobs)

    def audit(self):
        with open(self.path("state/audit.jsonl")) as f:
            return [json.loads(line) for line in f]


class Keys(Secured):
    def test_everything_that_init_makes_is_its_owners_alone(self):
        self.assertEqual(os.stat(self.path("state")).st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(self.path("state/tls")).st_mode & 0o777, 0o700)
        for name in ("tls/ca.pem", "tls/ca.crt", "tls/server.pem", "tokens.json", "admin.token"):
            self.assertEqual(os.stat(self.path("state", name)).st_mode & 0o777, 0o600, name)
        self.assertRegex(self.admin, "^" + TOKEN.pattern + "$")

    def test_the_certificate_is_what_openssl_calls_valid(self):
        done = openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", socket.gethostname(),
                       "-CAfile", self.ca, self.path("state/tls/server.pem"))
        self.assertEqual(done.returncode, 0, done.stderr)
        shown = openssl("x509", "-in", self.ca, "-noout", "-fingerprint", "-sha256").stdout.decode().strip()
        self.assertEqual("SHA256:" + shown.split("=")[1], self.fingerprint)

    def test_init_replaces_nothing_but_the_servers_key(self):
        before = {name: self.read("state/tls", name) for name in ("ca.pem", "ca.crt", "server.pem")}
        self.assertIn("--renew", self.operator("init", status=1).stderr)
        self.assertEqual(before["server.pem"], self.read("state/tls/server.pem"))
        self.operator("init", "--renew", "--name", "dash.example.org", "--name", "192.0.2.7")
        self.assertEqual(before["ca.pem"], self.read("state/tls/ca.pem"))
        self.assertNotEqual(before["server.pem"], self.read("state/tls/server.pem"))
        names = openssl("x509", "-in", self.path("state/tls/server.pem"), "-noout", "-ext", "subjectAltName").stdout.decode()
        for name in ("dash.example.org", "192.0.2.7", "localhost", socket.gethostname()):
            self.assertIn(name, names)

    def test_a_running_dashd_takes_a_new_key(self):
        self.start()
        host, port = self.address.split(":")
        before = ssl.get_server_certificate((host, int(port)))
        self.operator("init", "--renew")
        wait_for(lambda: ssl.get_server_certificate((host, int(port))) != before, "the new certificate is shown")
        self.remote(self.admin).ListJobs()

    def test_a_key_that_others_can_read_is_refused(self):
        os.chmod(self.path("state/tls/server.pem"), 0o644)
        done = subprocess.run([os.path.join(BIN, "dashd"), "--state", self.path("state"), "--listen", "127.0.0.1:0"],
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("others can read this key", done.stderr)

    def test_a_certificate_that_ends_soon_is_reported(self):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj",
                "/CN=localhost", "-keyout", self.path("key"), "-out", self.path("crt"))
        self.start("--tls-cert", self.path("crt"), "--tls-key", self.path("key"))
        wait_for(lambda: re.search("expires in [89] days", self.daemon_log()), "a warning")


class Tokens(Secured):
    def test_a_token_is_accepted_and_no_other(self):
        self.start()
        self.assertEqual(self.remote(self.admin).GetServerInfo().caller, "token:admin")
        said = {self.unauthenticated(self.remote(wrong)) for wrong in
                ("dash_" + "0" * 64, self.admin[:-1], self.admin + "0", self.admin.upper(), "x" * 4000)}
        self.assertEqual(len(said), 1, said)
        self.assertIn("needs a token", self.unauthenticated(self.remote()))

    def test_one_that_expired_or_was_revoked_is_refused_like_one_that_never_was(self):
        self.start()
        token = self.token("ci", "submit", "--expires", "30d")
        client = self.remote(token)
        self.assertEqual(client.GetServerInfo().role, "submit")
        never = self.unauthenticated(self.remote("dash_" + "0" * 64))
        with open(self.path("state/tokens.json")) as f:
            entries = json.load(f)
        for e in entries["entries"]:
            if e["name"] == "ci":
                self.assertAlmostEqual(e["expires_ms"] / 1000, time.time() + 30 * 86400, delta=600)
                self.assertEqual(e["sha256"], hashlib.sha256(token.encode()).hexdigest())
                e["expires_ms"] = 1
        with open(self.path("state/tokens.new"), "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            json.dump(entries, f)
        os.rename(self.path("state/tokens.new"), self.path("state/tokens.json"))
        self.assertEqual(self.unauthenticated(client), never)
        self.operator("token", "revoke", "ci")
        self.assertEqual(self.unauthenticated(client), never)

    def test_the_commands_refuse_what_is_wrong(self):
        for arguments in (("add", "x"), ("add", "--role", "read"), ("add", "x", "--role", "king"), ("list", "x"), ("revoke",),
                          ("add", "x", "--role", "read", "--expires", "soon"), ("burn", "x")):
            self.operator("token", *arguments, status=2)
        self.token("x", "read")
        self.assertIn("revoke it first", self.operator("token", "add", "x", "--role", "read", status=1).stderr)
        self.assertIn("letters, digits", self.operator("token", "add", "a:b", "--role", "read", status=1).stderr)
        self.assertIn("there is no token y", self.operator("token", "revoke", "y", status=1).stderr)

    def test_a_list_has_the_last_use_and_no_secret(self):
        self.start()
        secret = self.token("ci", "read")
        self.remote(secret).ListJobs()
        self.daemon.stop()
        shown = self.operator("token", "list", "--output", "json").stdout
        ci, = (e for e in json.loads(shown) if e["name"] == "ci")
        self.assertAlmostEqual(ci["used_ms"] / 1000, time.time(), delta=600)
        for text in (shown, self.operator("token", "list").stdout, self.read("state/tokens.json")):
            self.assertIsNone(TOKEN.search(text))
            self.assertNotIn(hashlib.sha256(secret.encode()).hexdigest(), shown)

    def test_a_damaged_file_lets_nobody_in(self):
        self.start()
        client = self.remote(self.admin)
        client.ListJobs()
        whole = self.read("state/tokens.json")
        for wrong in ("", "{}", whole[:-20], whole.replace("admin\",\n   \"created", "king\",\n   \"created")):
            if wrong == whole:
                continue
            self.write("state/tokens.json", wrong)
            self.unauthenticated(client)
        self.write("state/tokens.json", whole)
        client.ListJobs()
        os.chmod(self.path("state/tokens.json"), 0o644)
        self.unauthenticated(client)

    def test_a_stream_ends_when_its_token_is_revoked(self):
        self.start(env={"FAKE_HOLD": self.path("hold")})
        job = self.create(self.daemon.client())
        watch = self.remote(self.token("eye", "read")).WatchJob(id=job.id)
        self.assertEqual(next(watch).job.id, job.id)
        other = self.remote(self.admin).WatchJob(id=job.id)
        next(other)
        self.operator("token", "revoke", "eye")
        with self.assertRaises(grpc.RpcError) as ended:
            list(watch)
        self.assertEqual(ended.exception.code(), grpc.StatusCode.UNAUTHENTICATED, ended.exception.details())
        self.assertTrue(other.is_active())
        other.cancel()

    def test_no_secret_reaches_logs_command_lines_environments_or_answers(self):
        self.start(env={"FAKE_HOLD": self.path("hold")})
        client = self.remote(self.admin)
        job = self.create(client)
        wait_for(lambda: [p for p in self.job_processes() if program_of(p) != "dashd"], "its processes")
        self.unauthenticated(self.remote("dash_" + "1" * 64))
        seen = [str(self.get(client, job.id)), self.daemon_log(), self.read("state/audit.jsonl")]
        for pid in self.job_processes():
            for name in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{pid}/{name}", "rb") as f:
                        seen.append(f.read().decode(errors="replace"))
                except OSError:
                    pass
        for folder, _, names in os.walk(self.path("out")):
            for name in names:
                with open(os.path.join(folder, name), errors="replace") as f:
                    seen.append(f.read())
        for text in seen:
            self.assertIsNone(TOKEN.search(text), text[:200])
            self.assertNotIn("PRIVATE KEY", text)


class Roles(Secured):
    def test_every_method_asks_for_its_role(self):
        self.start()
        service = pb.DESCRIPTOR.services_by_name["FineTuning"]
        self.assertEqual(sorted(NEEDED), sorted(m.name for m in service.methods), "a method without a role in this test")
        channels = {role: self.channel(self.token(role + "er", role)) for role in ROLES}
        channels["nobody"] = self.channel()
        for name, needed in ((name, needed) for name, needed in NEEDED.items() if needed in ROLES):
            for role, channel in channels.items():
                with self.subTest(method=name, role=role):
                    call = channel.unary_stream(f"/dash.v1.FineTuning/{name}")
                    with self.assertRaises((grpc.RpcError, StopIteration)) as caught:
                        # an id that no job has: those who may call are answered, and nothing happens
                        answers = call(b"\x0a\x03999", timeout=DEADLINE)
                        next(answers)
                        raise StopIteration
                    code = getattr(caught.exception, "code", lambda: None)()
                    if role == "nobody":
                        self.assertEqual(code, grpc.StatusCode.UNAUTHENTICATED)
                    elif ROLES.index(role) < ROLES.index(needed):
                        self.assertEqual(code, grpc.StatusCode.PERMISSION_DENIED)
                        self.assertIn(f"needs the role {needed}", caught.exception.details())
                    else:
                        self.assertNotIn(code, (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED))

    def test_health_is_open_reflection_is_not_and_reports_are_elsewhere(self):
        self.start()
        check = self.channel().unary_unary("/grpc.health.v1.Health/Check",
                                           request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                                           response_deserializer=health_pb2.HealthCheckResponse.FromString)
        self.assertEqual(check(health_pb2.HealthCheckRequest(), timeout=DEADLINE).status, 1)
        def reflect(channel):
            call = channel.stream_stream(REFLECTION,
                                         request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                                         response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
            return list(call(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=DEADLINE))
        self.refused(grpc.StatusCode.UNAUTHENTICATED, lambda: reflect(self.channel()))
        self.assertEqual(len(reflect(self.channel(self.token("r", "read")))), 1)
        report = self.channel(self.admin).stream_stream("/dash.v1.Coordination/Report")
        self.refused(grpc.StatusCode.UNIMPLEMENTED, lambda: list(report(iter([b""]), timeout=DEADLINE)))

    def test_a_submitter_touches_its_own_jobs_alone(self):
        self.start(env={"FAKE_HOLD": self.path("hold")})
        mine, other = self.remote(self.token("mine", "submit")), self.remote(self.token("other", "submit"))
        job = self.create(mine)
        self.assertEqual(job.created_by, "token:mine")
        self.assertEqual(other.ListJobs().jobs[0].id, job.id)
        for call in (other.CancelJob, other.ResumeJob, other.PauseJob, other.UpdateJob, other.DeleteJob):
            self.assertIn("was created by token:mine", self.refused(grpc.StatusCode.PERMISSION_DENIED, call, id=job.id))
            self.refused(grpc.StatusCode.PERMISSION_DENIED, call, id=job.name)
        mine.CancelJob(id=job.id)
        self.wait_state(mine, job.id, pb.CANCELLED)
        self.remote(self.admin).ResumeJob(id=job.id)
        refused = [line for line in self.audit() if line["caller"] == "token:other"]
        self.assertEqual([(r["outcome"], r["job"]) for r in refused], [("PERMISSION_DENIED", job.id)] * 10)

    def test_what_was_changed_and_refused_is_written_down(self):
        self.start()
        client = self.remote(self.token("ci", "submit"))
        job = self.create(client)
        client.ListJobs()
        self.unauthenticated(self.remote("dash_" + "0" * 64))
        self.refused(grpc.StatusCode.NOT_FOUND, client.CancelJob, id="77")
        lines = [(line["caller"], line["method"].split("/")[-1], line.get("job"), line["outcome"]) for line in self.audit()]
        self.assertEqual(lines, [(f"uid:{os.geteuid()}", "dashd token add", None, "OK"),
                                 ("token:ci", "CreateJob", job.id, "OK"), ("", "ListJobs", None, "UNAUTHENTICATED"),
                                 ("token:ci", "CancelJob", None, "NOT_FOUND")])
        self.assertEqual(os.stat(self.path("state/audit.jsonl")).st_mode & 0o777, 0o600)
        self.assertTrue(all(re.match(r"127\.0\.0\.1:\d+$", line["peer"]) for line in self.audit()[1:]))

    def test_a_large_audit_log_is_moved_on_and_one_that_cannot_be_written_stops_nothing(self):
        self.start()
        with open(self.path("state/audit.jsonl"), "a") as f:
            f.write("x" * (8 << 20))
        client = self.remote(self.admin)
        self.refused(grpc.StatusCode.NOT_FOUND, client.CancelJob, id="77")
        self.assertEqual(os.stat(self.path("state/audit.jsonl.1")).st_size, 8 << 20)
        self.assertEqual(len(self.audit()), 1)
        os.unlink(self.path("state/audit.jsonl"))
        os.mkdir(self.path("state/audit.jsonl"))
        for _ in range(2):
            self.refused(grpc.StatusCode.NOT_FOUND, client.CancelJob, id="77")
        self.assertIn("audit.jsonl", self.daemon_log())
        os.rmdir(self.path("state/audit.jsonl"))
        self.refused(grpc.StatusCode.NOT_FOUND, client.CancelJob, id="77")
        self.assertEqual(self.audit()[0]["lost"], 2)


class Certificates(Secured):
    def make_ca(self, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj",
                f"/CN={name}", "-keyout", self.path(name + ".key"), "-out", self.path(name + ".crt"))
        return self.path(name + ".crt")

    def sign(self, ca, subject):
        """(key, certificate) in PEM."""
        key, request = self.path("client.key"), self.path("client.csr")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout",
                key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.path(ca + ".crt"), "-CAkey", self.path(ca + ".key"),
                "-CAcreateserial", "-days", "9", "-out", self.path("client.crt"))
        return self.read("client.key").encode(), self.read("client.crt").encode()

    def test_a_certificate_counts_if_the_ca_has_signed_it_and_its_name_is_known(self):
        self.make_ca("clients"), self.make_ca("others")
        self.start("--client-ca", self.path("clients.crt"))
        key, certificate = self.sign("clients", "/CN=ann")
        ann = self.remote(key=key, certificate=certificate)
        self.unauthenticated(ann)
        self.operator("token", "add", "ann", "--role", "read", "--certificate")
        self.assertEqual(ann.GetServerInfo().caller, "cert:ann")
        self.refused(grpc.StatusCode.PERMISSION_DENIED, ann.CancelJob, id="1")
        self.operator("token", "revoke", "ann", "--certificate")
        self.unauthenticated(ann)
        key, certificate = self.sign("others", "/CN=ann")
        self.operator("token", "add", "ann", "--role", "read", "--certificate")
        self.refused(grpc.StatusCode.UNAVAILABLE, self.remote(key=key, certificate=certificate).ListJobs)
        key, certificate = self.sign("clients", "/CN=ann/CN=root")
        self.unauthenticated(self.remote(key=key, certificate=certificate))
        self.assertEqual(self.remote(self.admin).GetServerInfo().caller, "token:admin")  # tokens are accepted besides

    def test_a_login_by_a_certificate_needs_no_token(self):
        self.make_ca("clients")
        self.start("--client-ca", self.path("clients.crt"))
        self.operator("token", "add", "ann", "--role", "read", "--certificate")
        self.sign("clients", "/CN=ann")
        env = {"XDG_CONFIG_HOME": self.path("config")}
        by = ("--ca", self.ca, "--cert", self.path("client.crt"), "--key", self.path("client.key"))
        done = self.dashctl("login", self.address, *by, env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("as cert:ann, with the role read", done.stdout)
        self.assertEqual(os.stat(self.path("config/dash/servers.json")).st_mode & 0o777, 0o600)
        os.remove(self.path("client.key"))
        self.assertEqual(self.dashctl("list", server=self.address, env=env).returncode, 0)
        self.assertEqual(self.dashctl("logout", self.address, env=env).returncode, 0)
        self.assertEqual(self.dashctl("list", server=self.address, env=env).returncode, 1)
        wrong = self.dashctl("login", self.address, "--ca", self.ca, "--cert", self.path("clients.crt"), "--key", self.path("clients.key"), env=env)
        self.assertEqual(wrong.returncode, 1)

    def revoke(self, ca, *certificates):
        """Writes the CA's list of revoked certificates, these among them."""
        config = self.write("ca.cnf", f"[ca]\ndefault_ca = d\n[d]\ndatabase = {self.path('index')}\ndefault_md = sha256\n"
                            "default_crl_days = 9\n")
        by = ("-config", config, "-cert", self.path(ca + ".crt"), "-keyfile", self.path(ca + ".key"))
        with open(self.path("index"), "a"):
            pass
        for certificate in certificates:
            self.assertEqual(openssl("ca", *by, "-revoke", certificate).returncode, 0)
        self.assertEqual(openssl("ca", *by, "-gencrl", "-out", self.path("crl.new")).returncode, 0)
        os.replace(self.path("crl.new"), self.path("crl.pem"))

    def test_a_certificate_that_its_ca_has_revoked_is_rejected(self):
        self.make_ca("clients")
        self.revoke("clients")
        self.start("--client-ca", self.path("clients.crt"), "--client-crl", self.path("crl.pem"))
        for name in ("ann", "bob"):
            self.operator("token", "add", name, "--role", "read", "--certificate")
        bob = self.sign("clients", "/CN=bob")
        ann = self.sign("clients", "/CN=ann")
        for (key, certificate), name in ((ann, "ann"), (bob, "bob")):
            self.assertEqual(self.remote(key=key, certificate=certificate).GetServerInfo().caller, f"cert:{name}")
        self.revoke("clients", self.path("client.crt"))

        def is_rejected():
            try:
                self.remote(key=ann[0], certificate=ann[1]).GetServerInfo()
                return False
            except grpc.RpcError as e:
                return e.code() == grpc.StatusCode.UNAVAILABLE
        wait_for(is_rejected, "the new list is read")
        self.assertEqual(self.remote(key=bob[0], certificate=bob[1]).GetServerInfo().caller, "cert:bob")

    def test_clients_notice_another_server(self):
        self.make_ca("others")
        self.start()
        self.refused(grpc.StatusCode.UNAVAILABLE, self.remote(self.admin, ca=self.path("others.crt")).ListJobs)

    def test_plain_text_and_old_tls_get_nothing(self):
        self.start()
        plain = Client(self.address)
        self.addCleanup(plain.close)
        self.refused(grpc.StatusCode.UNAVAILABLE, plain.ListJobs)
        old = openssl("s_client", "-connect", self.address, "-tls1_2")
        self.assertNotEqual(old.returncode, 0)
        new = openssl("s_client", "-connect", self.address, "-alpn", "h2", "-CAfile", self.ca, "-verify_return_error")
        self.assertIn(b"TLSv1.3", new.stdout)
        self.assertIn(b"Verification: OK", new.stdout)
        other = openssl("s_client", "-connect", self.address, "-alpn", "http/1.1")
        self.assertNotEqual(other.returncode, 0)


class Sockets(World):
    def refused_start(self, pattern, *options):
        done = subprocess.run([os.path.join(BIN, "dashd"), "--state", self.path("state"), *options], capture_output=True,
                              text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, pattern)

    def test_the_folder_of_the_socket_is_private(self):
        os.mkdir(self.path("state"))
        for mode in (0o755, 0o750, 0o777, 0o701):
            os.chmod(self.path("state"), mode)
            self.refused_start(f"must have mode 0700, not {mode:04o}: run `chmod 0700 {self.path('state')}`")
        os.chmod(self.path("state"), 0o700)
        self.dashd().client().ListJobs()

    @unittest.skipIf(os.geteuid(), "only root can be another user")
    def test_a_member_of_the_group_sees_all_and_touches_its_own(self):
        nobody, group = pwd.getpwnam("nobody"), grp.getgrnam("nogroup")
        os.chmod(self.folder, 0o711)
        os.mkdir(self.path("state"), 0o700)
        self.refused_start(f"chgrp {group.gr_gid}", "--group", "nogroup")
        os.chown(self.path("state"), -1, group.gr_gid)
        os.chmod(self.path("state"), 0o750)
        self.refused_start("has no group", "--group", "no-such-group")
        daemon = self.dashd("--group", "nogroup", env={"FAKE_HOLD": self.path("hold")})
        self.assertEqual(os.stat(daemon.socket).st_mode & 0o777, 0o660)
        self.assertEqual(os.stat(daemon.socket).st_gid, group.gr_gid)
        self.assertIn("all of which run as root (uid 0)", self.daemon_log())
        job = self.create(daemon.client())

        def become():
            os.setgroups([])
            os.setgid(group.gr_gid)
            os.setuid(nobody.pw_uid)

        def dashctl(*arguments):
            return subprocess.run([os.path.join(BIN, "dashctl"), *arguments], capture_output=True, text=True,
                                  timeout=DEADLINE, preexec_fn=become, cwd="/",
                                  env={**os.environ, "DASH_SERVER": daemon.address, "HOME": "/nonexistent"})
        if dashctl("--version").returncode:
            self.skipTest("another user cannot run what was built here")
        self.assertIn(f"job {job.id} ", dashctl("show", job.id).stdout)
        done = dashctl("cancel", job.id)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"was created by uid:0: only its creator and admins change it, and uid:{nobody.pw_uid} is neither",
                      done.stderr)
        done = dashctl("submit", os.path.join(TINY, "job.yaml"), "--set", f"output={self.path('theirs')}", "--set",
                       "data.max_tokens=128")
        self.assertIn("it runs as root (uid 0), the user of dashd", done.stdout, done.stderr)
        theirs = re.search(r"job (\d+)", done.stdout)[1]
        self.assertEqual(self.get(daemon.client(), theirs).created_by, f"uid:{nobody.pw_uid}")
        self.assertEqual(dashctl("cancel", theirs).returncode, 0)

    @unittest.skipIf(os.geteuid(), "only root can be another user")
    def test_without_a_group_another_user_is_refused_whatever_the_modes(self):
        daemon = self.dashd()
        for path in (self.folder, daemon.state):
            os.chmod(path, 0o711)
        os.chmod(daemon.socket, 0o666)
        pid = os.fork()
        if pid == 0:
            try:
                os.setuid(65534)
                s = socket.socket(socket.AF_UNIX)
                s.settimeout(DEADLINE)
                s.connect(daemon.socket)
                s.sendall(http2.PREFACE)
                os._exit(1 if s.recv(1) else 0)
            except OSError:
                os._exit(0)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        daemon.client().ListJobs()


class Logins(Secured):
    def setUp(self):
        super().setUp()
        self.start()
        self.env = {"XDG_CONFIG_HOME": self.path("config")}
        self.file = self.path("config/dash/servers.json")

    def login(self, *options, stdin=None, env=None):
        return self.dashctl("login", self.address, *options, stdin=self.admin + "\n" if stdin is None else stdin,
                            env={**self.env, **(env or {})})

    def test_login_is_used_until_logout(self):
        done = self.login("--ca", self.ca, "--token-file", "-")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("as token:admin, with the role admin", done.stdout)
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(os.path.dirname(self.file)).st_mode & 0o777, 0o700)
        for how in (dict(server=self.address), {}):
            arguments = [] if how else ["--server", self.address]
            self.assertEqual(self.dashctl("list", *arguments, env=self.env, **how).returncode, 0)
        job = self.create(self.daemon.client())
        watched = self.dashctl("watch", job.id, server=self.address, env=self.env)
        self.assertEqual(watched.returncode, 0, watched.stderr)
        self.assertEqual(self.dashctl("logout", self.address, env=self.env).returncode, 0)
        self.assertIsNone(TOKEN.search(self.read("config/dash/servers.json")))
        self.assertEqual(self.dashctl("list", server=self.address, env=self.env).returncode, 1)
        self.assertIn("there is no login", self.dashctl("logout", self.address, env=self.env).stderr)

    def test_a_file_that_others_can_read_is_refused(self):
        self.login("--ca", self.ca, "--token-file", "-")
        for path, mode, good in ((self.file, 0o640, 0o600), (os.path.dirname(self.file), 0o755, 0o700)):
            os.chmod(path, mode)
            self.assertIn("others can read it", self.dashctl("list", server=self.address, env=self.env).stderr)
            self.assertIn("others can read it", self.login("--ca", self.ca, "--token-file", "-").stderr)
            os.chmod(path, good)
        self.assertEqual(self.dashctl("list", server=self.address, env=self.env).returncode, 0)

    def test_a_fingerprint_is_enough_and_a_wrong_one_is_not(self):
        wrong = self.login("--fingerprint", "SHA256:" + "00:" * 31 + "00", "--token-file", "-")
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("no certificate with this fingerprint", wrong.stderr)
        self.assertFalse(os.path.exists(self.file))
        right = self.login("--fingerprint", self.fingerprint[7:].replace(":", "").lower(), "--token-file", "-")
        self.assertEqual(right.returncode, 0, right.stderr)
        self.assertEqual(self.dashctl("list", server=self.address, env=self.env).returncode, 0)

    def test_wrong_tokens_and_servers_leave_nothing(self):
        for options, stdin, words in (
                (("--ca", self.ca, "--token-file", "-"), "dash_" + "0" * 64, "does not accept this token"),
                (("--ca", self.ca, "--token-file", "-"), "sesame", "not a token of dashd"),
                (("--token-file", "-"), None, "no terminal to confirm"),
                (("--ca", self.path("state/jobs.db"), "--token-file", "-"), None, "")):
            done = self.login(*options, stdin=stdin)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(words, done.stderr)
            self.assertFalse(os.path.exists(self.file))

    def test_a_name_that_the_certificate_lacks_is_refused(self):
        port = self.address.split(":")[1]
        done = self.dashctl("login", f"127.0.0.2:{port}", "--ca", self.ca, "--token-file", "-", stdin=self.admin, env=self.env)
        self.assertEqual(done.returncode, 1)  # it listens on 127.0.0.1 alone
        self.daemon.stop()
        self.start("--listen", "127.0.0.3:0")
        other = re.search(r"127\.0\.0\.3:\d+", self.daemon.greeting)[0]
        done = self.dashctl("login", other, "--ca", self.ca, "--token-file", "-", stdin=self.admin, env=self.env)
        self.assertIn("its certificate is not for 127.0.0.3, but for", done.stderr)

    def test_a_person_confirms_the_fingerprint_and_types_the_token_unseen(self):
        terminal = Terminal([os.path.join(BIN, "dashctl"), "login", self.address], env=self.env)
        wait_for(lambda: "(yes/no)" in terminal.read(), "the question")
        self.assertIn(self.fingerprint, terminal.read())
        terminal.press(b"yes\n")
        wait_for(lambda: "Token for" in terminal.read(), "the next question")
        terminal.press(self.admin.encode() + b"\n")
        self.assertEqual(terminal.wait(), 0)
        self.assertNotIn(self.admin, terminal.read())
        self.assertIn("logged in", terminal.read())
        self.assertEqual(self.dashctl("list", server=self.address, env=self.env).returncode, 0)

    def test_whoever_does_not_confirm_sends_nothing(self):
        terminal = Terminal([os.path.join(BIN, "dashctl"), "login", self.address], env=self.env)
        wait_for(lambda: "(yes/no)" in terminal.read(), "the question")
        terminal.press(b"no\n")
        self.assertEqual(terminal.wait(), 1)
        self.assertIn("not confirmed", terminal.read())

    def test_a_server_with_other_keys_is_noticed(self):
        self.login("--ca", self.ca, "--token-file", "-")
        self.daemon.stop()
        shutil.rmtree(self.path("state/tls"))
        self.operator("init")
        self.daemon = self.dashd("--listen", self.address)
        done = self.dashctl("list", server=self.address, env=self.env)
        self.assertEqual(done.returncode, 1)
        self.assertIn("has other keys than at the last `dashctl login", done.stderr)

    def test_another_address_is_never_called_in_plain_text(self):
        done = self.dashctl("list", "--server", "192.0.2.1:7700", env=self.env)
        self.assertIn("run `dashctl login 192.0.2.1:7700`", done.stderr)


class Hostile(Secured):
    def setUp(self):
        super().setUp()
        self.start()
        self.client = self.remote(self.admin)
        self.client.ListJobs()

    def assert_others_notice_nothing(self, attack):
        """The calls of a client with a token, meanwhile."""
        over, worst = threading.Event(), []

        def look():
            while not over.is_set():
                start = time.monotonic()
                self.client.ListJobs()
                worst.append(time.monotonic() - start)
        thread = threading.Thread(target=look)
        thread.start()
        try:
            attack()
        finally:
            over.set()
            thread.join()
        self.assertTrue(worst)
        self.assertLess(max(worst), 2 * SLOWNESS)

    def test_thousands_of_connections_hold_up_nobody(self):
        def attack():
            opened = []
            for i in range(3000):
                try:
                    opened.append(http2.connect(self.address))
                except OSError:
                    pass
                if len(opened) > 300:
                    opened.pop(0).close()
            for s in opened:
                s.close()
        self.assert_others_notice_nothing(attack)
        self.remote(self.admin).ListJobs()

    def test_a_handshake_that_does_not_end_is_ended(self):
        hello = bytes.fromhex("1603010200010001fc0303")  # the beginning of one
        slow = [http2.connect(self.address) for _ in range(20)]
        for s in slow:
            s.sendall(hello)
            s.settimeout(DEADLINE)
        self.client.ListJobs()
        for s in slow:
            try:
                self.assertEqual(s.recv(1), b"")
            except ConnectionResetError:
                pass
            s.close()

    def test_guesses_are_slowed_down_and_logged_once(self):
        channel = self.channel("dash_" + "0" * 64)
        call = channel.unary_unary("/dash.v1.FineTuning/ListJobs")
        codes = []
        for _ in range(60):
            try:
                call(b"", timeout=DEADLINE)
            except grpc.RpcError as e:
                codes.append(e.code())
        self.assertLessEqual(codes.count(grpc.StatusCode.UNAUTHENTICATED), 45)
        self.assertIn(grpc.StatusCode.UNAVAILABLE, codes)
        self.assertEqual(self.daemon_log().count("does not know its caller"), 1)
        self.client.ListJobs()

    def test_floods_behind_tls_hold_up_nobody(self):
        frames = {"pings": http2.frame(6, 0, 0, b"12345678") * 200, "settings": http2.frame(4, 0, 0, b"") * 200}

        def attack():
            for what in frames.values():
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    try:
                        c = http2.Connection(self.address, tls=True)
                        for _ in range(20):
                            c.socket.sendall(what)
                        c.close()
                    except OSError:
                        pass
        self.assert_others_notice_nothing(attack)

    def test_many_refused_calls_do_not_push_out_the_rest_of_the_audit_log(self):
        for _ in range(8):
            channel = self.channel("dash_" + "0" * 64)
            for _ in range(15):
                try:
                    channel.unary_unary("/dash.v1.FineTuning/ListJobs")(b"", timeout=DEADLINE, wait_for_ready=True)
                except grpc.RpcError:
                    pass
            channel.close()
        self.assertLessEqual(sum(not line["caller"] for line in self.audit()), 120)
        self.refused(grpc.StatusCode.NOT_FOUND, self.client.CancelJob, id="77")
        self.assertEqual(self.audit()[-1]["caller"], "token:admin")

    def test_a_reader_cannot_push_out_the_rest_of_the_audit_log(self):
        reader = self.remote(self.token("reader", "read"))
        for _ in range(200):
            self.refused(grpc.StatusCode.PERMISSION_DENIED, reader.CancelJob, id="77")
        self.assertLessEqual(sum(line["caller"] == "token:reader" for line in self.audit()), 120)
        self.create(self.client)
        self.assertGreaterEqual(self.audit()[-1]["refused_besides"], 80)


if __name__ == "__main__":
    unittest.main()
