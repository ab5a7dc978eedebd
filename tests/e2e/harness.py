"""A world for one test: a folder, a dashd in it with fake programs, and clients.

The build says where things are: DASH_BIN (the programs), DASH_TEST_STUBS (dash_pb2 and its like, made by protoc),
DASH_SOURCE. Nothing here sleeps for a time: wait_for() polls a condition until its deadline.
"""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

BIN = os.environ["DASH_BIN"]
SOURCE = os.environ["DASH_SOURCE"]
sys.path.insert(0, os.environ["DASH_TEST_STUBS"])
sys.path.insert(0, os.path.join(SOURCE, "tests"))
import grpc
import dash_pb2 as pb
import health_pb2
import reflection_pb2
from processes import DEADLINE, SLOWNESS, is_alive, open_files, processes_of, wait_for

TINY = os.path.join(SOURCE, "tests/golden/tiny")
FAKES = os.path.join(SOURCE, "tests/e2e/programs")
with open(os.path.join(BIN, "dashd"), "rb") as dashd:
    ADDRESS_SANITIZER = b"__asan_init" in dashd.read()  # it keeps freed memory for a while, and takes much itself
FINAL = (pb.SUCCEEDED, pb.FAILED, pb.CANCELLED)


def program_of(pid):
    """The name of a process, "" when it has gone."""
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


class Client:
    """What a program in another language sees: the methods by name, nothing else of ours."""

    def __init__(self, address):
        # gRPC's Python shares connections of one address, and their back-off, unless asked not to
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])

    def __getattr__(self, name):
        response = getattr(pb, name + "Response")
        make = self.channel.unary_stream if name in ("WatchJob", "WatchJobs", "DownloadFile", "FollowLogs") else self.channel.unary_unary
        method = make(f"/dash.v1.FineTuning/{name}",
                      request_serializer=getattr(pb, name + "Request").SerializeToString,
                      response_deserializer=response.FromString)
        request = getattr(pb, name + "Request")
        return lambda timeout=DEADLINE, **fields: method(request(**fields), timeout=timeout)

    def close(self):
        self.channel.close()


class Dashd:
    def __init__(self, world, *options, programs=FAKES, env=None, state="state", program=None):
        self.world = world
        self.state = os.path.join(world.folder, state)
        self.socket = os.path.join(self.state, "dashd.sock")
        self.address = "unix:" + self.socket
        self.log = open(os.path.join(world.folder, "dashd.log"), "ab")
        command = [program or os.path.join(BIN, "dashd"), "--state", self.state]
        if programs:
            command += ["--programs", programs]
        self.process = subprocess.Popen(
            command + list(options), stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})})
        self.greeting = self.process.stdout.readline().decode()

    def client(self):
        client = Client(self.address)
        self.world.addCleanup(client.close)
        return client

    def stop(self, how=signal.SIGTERM):
        """Ends it, and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(DEADLINE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.log.close()
        return status


class World(unittest.TestCase):
    """Each test has a folder of its own, and ends every process that it started."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dash-e2e-")
        self.daemons = []
        self.addCleanup(self.clean)

    def clean(self):
        """Every dashd must end well, and no sanitizer may have reported an error."""
        statuses = [d.stop() for d in self.daemons if d.process.poll() is None]
        for pid in self.job_processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reports = []
        if self.daemons:
            reports = re.findall(r".*(?:Sanitizer|runtime error:).*", self.daemon_log())
        if os.environ.get("DASH_TEST_KEEP"):
            print("kept:", self.folder, file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.assertEqual(reports, [])
        self.assertEqual([s for s in statuses if s], [], "dashd's exit status")

    def job_processes(self):
        """The IDs of all processes that belong to this test's folder."""
        return list(processes_of(self.folder))

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def read(self, *parts):
        with open(self.path(*parts)) as f:
            return f.read()

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def dashd(self, *options, **more):
        d = Dashd(self, *options, **more)
        self.daemons.append(d)
        if not d.greeting:
            status = d.stop()
            raise AssertionError(f"dashd did not start (status {status}):\n{self.daemon_log()}")
        return d

    def daemon_log(self):
        return self.read("dashd.log")

    def create(self, client, name="out", **fields):
        with open(os.path.join(TINY, "job.yaml")) as f:
            text = f.read()
        sets = [f"output={self.path(name)}", f"name={name}", "data.max_tokens=128", "max_restarts=0"] + list(fields.pop("overrides", []))
        return client.CreateJob(job_yaml=text, directory=TINY, file_name="job.yaml", overrides=sets,
                                **fields).job

    def get(self, client, id):
        return client.GetJob(id=id).job

    def wait_state(self, client, id, *states):
        def reached():
            job = self.get(client, id)
            if job.state in states:
                return job
            if job.state in FINAL:
                raise AssertionError(f"job {id} is {pb.JobState.Name(job.state)}: {job.reason}\n{job.log_tail}\n"
                                     + self.daemon_log())
            return None
        names = " or ".join(pb.JobState.Name(s) for s in states)
        return wait_for(reached, f"job {id} becomes {names}\n")

    def wait_step(self, client, id, step):
        return wait_for(lambda: (job := self.get(client, id)).steps_done >= step and job, f"step {step} of job {id}")

    def refused(self, code, call, **fields):
        """The details of the error that the call must give."""
        with self.assertRaises(grpc.RpcError) as caught:
            answer = call(**fields)
            list(answer) if hasattr(answer, "cancel") else None
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception.details()

    def dashctl(self, *arguments, server=None, env=None, cwd=None, stdin=""):
        command = [os.path.join(BIN, "dashctl")] + list(arguments)
        environment = {**os.environ, **(env or {})}
        if server:
            environment["DASH_SERVER"] = server
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=environment,
                              cwd=cwd or self.folder, input=stdin)

    def own_bin(self):
        """The programs with fake ones beside them, as `run` and `generate` look for theirs. Returns dashctl's path."""
        folder = self.path("bin")
        os.mkdir(folder)
        for name in ("dashctl", "dashd"):
            shutil.copy(os.path.join(BIN, name), folder)
        for name in os.listdir(FAKES):
            shutil.copy(os.path.join(FAKES, name), folder)
        return os.path.join(folder, "dashctl")


class Terminal:
    """A program on a pseudo-terminal, as a person uses it."""

    def __init__(self, command, columns=100, env=None, cwd=None):
        self.output = b""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(cwd or "/")
            os.execve(command[0], command, {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})})
        self.pid = pid
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self):
        """What has come so far, as text."""
        while self.fd >= 0 and select.select([self.fd], [], [], 0)[0]:
            try:
                more = os.read(self.fd, 65536)
            except OSError:
                break
            if not more:
                break
            self.output += more
        return self.output.decode(errors="replace")

    def press(self, key):
        os.write(self.fd, key)

    def wait(self):
        """Its exit status."""
        def ended():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (os.waitstatus_to_exitcode(status),) if pid else None
        try:
            status = wait_for(ended, "the program ends")[0]
        except AssertionError:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise AssertionError("the program does not end; it said:\n" + self.read())
        self.read()
        os.close(self.fd)
        self.fd = -1
        return status
