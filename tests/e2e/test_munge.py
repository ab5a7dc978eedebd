"""Signing in by MUNGE: a munged of the test's own, the `munge` command and Python's gRPC, none of which know dashd."""
import grp
import pwd
import shutil

from harness import *
from test_auth import Secured

MUNGED = shutil.which("munged", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
TEXT = "dash.v1 sign in to "
ONE_SENTENCE = "does not accept this credential of MUNGE"


def become(name):
    """For a child process: to be this user, in its own group alone."""
    user = pwd.getpwnam(name)

    def change():
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    return change


class Munge(Secured):
    """A dashd that accepts what a munged of this test attests."""

    def setUp(self):
        if not MUNGED:
            self.skipTest("not installed: munge")
        super().setUp()
        os.chmod(self.folder, 0o711)
        os.mkdir(self.path("munge"), 0o755)
        self.socket = self.path("munge/socket")
        with open(self.path("munge/key"), "wb", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(os.urandom(128))
        self.start_munged()
        done = self.dashd_refuses("--munge", "--help")
        if "built without" in done:
            self.skipTest("this build has no MUNGE")

    def dashd_refuses(self, *options):
        return subprocess.run([os.path.join(BIN, "dashd"), *options], capture_output=True, text=True, timeout=DEADLINE).stderr

    def start_munged(self):
        self.munged = subprocess.Popen(
            [MUNGED, "--foreground", "--force", "--socket", self.socket, "--key-file", self.path("munge/key"), "--pid-file",
             self.path("munge/pid"), "--log-file", self.path("munge/log"), "--seed-file", self.path("munge/seed")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.end_munged, self.munged)
        wait_for(lambda: subprocess.run(["munge", "-n", "-S", self.socket], capture_output=True, check=False,
                                        timeout=DEADLINE).returncode == 0, "munged answers")

    def end_munged(self, munged):
        if munged.poll() is None:
            munged.send_signal(signal.SIGCONT)
            munged.kill()
            munged.wait(DEADLINE)

    def start(self, *options, **more):
        return super().start(f"--munge={self.socket}", *options, **more)

    def credential(self, text=None, user=None):
        text = TEXT + self.fingerprint if text is None else text
        done = subprocess.run(["munge", "-S", self.socket, "-s", text], capture_output=True, text=True, timeout=DEADLINE,
                              check=True, preexec_fn=user and become(user), cwd="/")
        return done.stdout.strip()

    def sign_in(self, credential):
        return self.remote().SignIn(munge_credential=credential)

    def sign_in_later(self, client, credential, n):
        """Calls that are under way, on the client's connection, which dashd has read."""
        call = client.channel.unary_unary("/dash.v1.FineTuning/SignIn", response_deserializer=pb.SignInResponse.FromString,
                                          request_serializer=pb.SignInRequest.SerializeToString)
        client.ListJobs()
        calls = [call.future(pb.SignInRequest(munge_credential=credential), timeout=DEADLINE) for _ in range(n)]
        client.ListJobs()
        return calls

    def refused_sign_in(self, credential):
        said = self.refused(grpc.StatusCode.UNAUTHENTICATED, self.remote().SignIn, munge_credential=credential)
        self.assertIn(ONE_SENTENCE, said)
        return said


class SignIn(Munge):
    def test_a_credential_of_dashds_user_signs_in_as_at_the_socket(self):
        daemon = self.start()
        answer = self.sign_in(self.credential())
        me = daemon.client().GetServerInfo()
        self.assertEqual((answer.caller, answer.role), (me.caller, me.role))
        self.assertEqual((answer.caller, answer.role), (f"uid:{os.geteuid()}", "admin"))
        self.assertAlmostEqual(answer.expires_ms / 1000, time.time() + 3600, delta=60)
        client = self.remote(answer.token)
        self.assertEqual(client.GetServerInfo().caller, answer.caller)
        job = self.create(client)
        self.assertEqual(self.get(daemon.client(), job.id).created_by, answer.caller)
        for text in (self.daemon_log(), self.read("state/audit.jsonl")):
            self.assertNotIn(answer.token[-64:], text)

    def test_a_credential_signs_in_once_and_one_that_does_not_hold_never(self):
        self.start()
        good = self.credential()
        self.sign_in(good)
        fresh = self.credential()
        middle = len(fresh) // 2
        tampered = fresh[:middle] + ("A" if fresh[middle] != "A" else "B") + fresh[middle + 1:]
        other = "SHA256:" + ":".join(["00"] * 32)
        said = {self.refused_sign_in(wrong) for wrong in (
            good, tampered, "", "MUNGE:", "x" * 3000, self.credential(""), self.credential("sign in"),
            self.credential(self.fingerprint), self.credential(TEXT + other), self.credential(TEXT + self.fingerprint + "\n0"),
            self.credential(TEXT + self.fingerprint[:-1]), self.credential("x" * 1000))}
        self.assertEqual(len(said), 1, said)
        refused = [line for line in self.audit() if line["method"].endswith("/SignIn")]
        self.assertEqual({(line["caller"], line["outcome"]) for line in refused}, {("", "UNAUTHENTICATED")})
        self.assertEqual(len(refused), 12)
        self.assertRegex(self.daemon_log(), "a call from 127.0.0.1:.* is refused: Replayed credential")
        self.sign_in(fresh)  # what was tampered with was a copy

    def test_a_token_that_dashd_has_not_made_is_refused_and_it_ends_with_dashd(self):
        daemon = self.start()
        token = self.sign_in(self.credential()).token
        self.remote(token).ListJobs()
        name, uid, expires, digits = token.split("_")
        never = self.unauthenticated(self.remote("dash_" + "0" * 64))
        for wrong in (f"{name}_{int(uid) + 1}_{expires}_{digits}", f"{name}_{uid}_{int(expires) + 1}_{digits}", token[:-1],
                      f"{name}_{uid}_{expires}_{'0' * 64}", token + "0", f"{name}_ {uid}_{expires}_{digits}", "munge_",
                      f"{name}_{'9' * 40}_{'9' * 80}_{digits}", f"{name}_-1_-1_{digits}"):
            self.assertEqual(self.unauthenticated(self.remote(wrong)), never, wrong)
        self.assertEqual(daemon.stop(), 0)
        self.start()
        self.assertEqual(self.unauthenticated(self.remote(token)), never)

    @unittest.skipIf(os.geteuid(), "only root can be another user")
    def test_other_users_are_refused_unless_they_are_of_the_group(self):
        self.start()
        one = self.refused_sign_in("MUNGE:AwQ:")
        self.assertEqual(self.refused_sign_in(self.credential(user="nobody")), one)
        self.assertEqual(self.daemon.stop(), 0)
        group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid)
        os.chown(self.path("state"), -1, group.gr_gid)
        os.chmod(self.path("state"), 0o750)
        self.start("--group", group.gr_name)
        answer = self.sign_in(self.credential(user="nobody"))
        self.assertEqual((answer.caller, answer.role), (f"uid:{pwd.getpwnam('nobody').pw_uid}", "submit"))
        self.assertEqual(self.refused_sign_in(self.credential(user="daemon")), one)  # of another group

    def test_a_munged_that_hangs_or_has_gone_holds_up_nobody_else(self):
        daemon = self.start()
        client = self.remote(self.sign_in(self.credential()).token)
        last = self.credential()
        self.munged.send_signal(signal.SIGSTOP)
        waiting = self.sign_in_later(client, last, 8)
        other = self.create(client)
        self.wait_state(client, other.id, pb.SUCCEEDED)  # its check and its launch use the pool and the loop
        for one in waiting[1:]:
            one.cancel()
        self.munged.send_signal(signal.SIGKILL)
        self.munged.wait(DEADLINE)
        self.assertIn("MUNGE does not answer", self.refused(grpc.StatusCode.FAILED_PRECONDITION, waiting[0].result))
        self.start_munged()
        self.sign_in(self.credential())
        self.assertEqual(daemon.stop(), 0)

    def test_dashd_stops_while_munged_hangs(self):
        daemon = self.start()
        last = self.credential()
        self.munged.send_signal(signal.SIGSTOP)
        waiting = self.sign_in_later(self.remote(self.admin), last, 3)
        daemon.process.send_signal(signal.SIGTERM)
        for one in waiting:
            self.assertEqual(one.exception().code(), grpc.StatusCode.UNAVAILABLE)
        self.end_munged(self.munged)
        self.assertEqual(daemon.stop(), 0)

    def test_where_it_is_not_offered_the_answer_says_so(self):
        daemon = self.start()
        self.assertIn("needs no sign-in", self.refused(grpc.StatusCode.FAILED_PRECONDITION, daemon.client().SignIn))
        daemon.stop()
        Secured.start(self)
        self.assertIn("without --munge", self.refused(grpc.StatusCode.FAILED_PRECONDITION, self.remote().SignIn,
                                                      munge_credential=self.credential()))


class Commands(Munge):
    def setUp(self):
        super().setUp()
        self.env = {"XDG_CONFIG_HOME": self.path("config")}

    def login(self, *options):
        return self.dashctl("login", self.address, "--fingerprint", self.fingerprint, *options, env=self.env)

    def test_a_login_by_munge_keeps_no_secret_and_outlives_dashd(self):
        self.start("--http", "none")
        done = self.login(f"--munge={self.socket}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"as uid:{os.geteuid()}, with the role admin", done.stdout)
        kept = json.loads(self.read("config/dash/servers.json"))[self.address]
        self.assertEqual((sorted(kept), kept["munge"]), (["ca", "munge"], self.socket))
        address = self.address
        for name in ("before", "after"):
            job = self.create(self.daemon.client(), name)
            watched = self.dashctl("watch", job.id, server=address, env=self.env)
            self.assertEqual(watched.returncode, 0, watched.stderr)
            self.assertEqual(self.daemon.stop(), 0)
            self.daemon = self.dashd("--listen", address, f"--munge={self.socket}")
        self.end_munged(self.munged)
        failed = self.dashctl("list", server=address, env=self.env)
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))
        self.assertIn("MUNGE does not answer", failed.stderr)
        self.assertEqual(self.dashctl("logout", address, env=self.env).returncode, 0)
        self.assertIn("without TLS", self.dashctl("list", server=address, env=self.env).stderr)

    def test_a_command_that_goes_on_signs_in_again(self):
        self.start("--http", "none")
        self.login(f"--munge={self.socket}")
        address = self.address
        t = Terminal([os.path.join(BIN, "dashctl"), "list", "--watch", "--server", address], env=self.env)
        wait_for(lambda: "no jobs yet" in t.read(), "the table is shown")
        self.assertEqual(self.daemon.stop(), 0)
        wait_for(lambda: "went away" in t.read() or "no dashd answers" in t.read(), "it says that dashd is away")
        self.daemon = self.dashd("--listen", address, f"--munge={self.socket}")
        self.create(self.daemon.client(), "later")
        wait_for(lambda: "later" in t.read(), "it is known again")
        t.press(b"\x03")
        self.assertEqual(t.wait(), 0, t.read())

    def test_a_login_that_fails_is_not_kept(self):
        Secured.start(self)
        self.assertIn("without --munge", self.login(f"--munge={self.socket}").stderr)
        self.assertIn("MUNGE does not answer", self.login(f"--munge={self.path('nowhere')}").stderr)
        self.assertFalse(os.path.exists(self.path("config/dash/servers.json")))
        self.assertEqual(self.login("--munge", "--token-file", "-").returncode, 2)


if __name__ == "__main__":
    unittest.main()
