"""limits.memory kept by a control group of a real kernel.

Version 2 of control groups must have the memory controller, and a test must own the tree: that is rare. So the tests run in
User-Mode Linux (linux.uml), a kernel in a process of ours, whose root file system is this machine's, read-only: this file is
its first program. Skipped where that kernel is not installed or does not start.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

TREE = "/sys/fs/cgroup"
BEGUN, STATUS = "the first program runs", "its status: "
PASSED_ON = ["DASH_BIN", "DASH_SOURCE", "DASH_TEST_STUBS", "PYTHONDONTWRITEBYTECODE"]
MEMORY = "1200M"
SLOWER = 6  # than this machine: each call of the system is two switches of processes


# ---- the machine ----

def mount(kind, at, *options):
    os.makedirs(at, exist_ok=True)
    subprocess.run(["mount", "-t", kind, *options, kind, at], check=True)


def first_program():
    """Prepares the machine, runs the tests in a process of their own, inherits orphans as init does, and powers off."""
    print(BEGUN, flush=True)
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    for kind, at in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run"), ("tmpfs", "/dev/shm"),
                     ("cgroup2", TREE)):
        mount(kind, at)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["hostname", "uml"], check=True)
    os.chmod("/run", 0o1777)
    os.environ.update(TMPDIR="/run", HOME="/run", DASH_TEST_IN_UML="1")
    arguments = [word for word in sys.argv if word != "console=tty0"]  # which the kernel adds
    tests = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL)
    status = None
    while status is None:
        pid, end = os.wait()
        if pid == tests.pid:
            status = os.waitstatus_to_exitcode(end)
    print(f"{STATUS}{status}", flush=True)
    os.sync()
    ctypes.CDLL(None).reboot(0x4321FEDC)  # LINUX_REBOOT_CMD_POWER_OFF


def boot(kernel, folder, console):
    """Runs it until it powers off, or the time is over."""
    deadline = float(os.environ.get("DASH_TEST_DEADLINE", "30"))
    command = [kernel, f"mem={MEMORY}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "con=null", "con0=fd:0,fd:1",
               f"uml_dir={folder}", f"init={sys.executable}", f"DASH_TEST_DEADLINE={SLOWER * deadline:.0f}",
               *(f"{name}={os.environ[name]}" for name in PASSED_ON if name in os.environ), "--", os.path.abspath(__file__), *sys.argv[1:]]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        process.wait(12 * deadline)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def on_this_machine():
    """Runs this file in User-Mode Linux, and ends as the tests there did."""
    kernel = shutil.which("linux.uml")
    if not kernel or os.environ.get("DASH_TEST_SANITIZED"):
        print("skipped: linux.uml is not installed (user-mode-linux)" if not kernel else "skipped: sanitizers need more addresses than it has")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+", errors="replace") as console:
        boot(kernel, folder, console)
        console.seek(0)
        output = console.read()
    before, begun, after = output.partition(BEGUN)
    if not begun:
        print("skipped: linux.uml does not start here:", *before.strip().splitlines()[-1:])
        sys.exit(77)
    tests, _, status = after.rpartition(STATUS)
    print(tests or after)
    sys.exit(int(status.split()[0]) if status.split() else 1)


if __name__ == "__main__" and os.getpid() == 1:
    first_program()
elif __name__ == "__main__" and "DASH_TEST_IN_UML" not in os.environ:
    on_this_machine()

from harness import *  # noqa: E402

LIMIT = 300 << 20
NOBODY = 65534


class Groups(World):
    """dashd runs in /ml/dashd, where systemd would put it with Delegate=memory and DelegateSubgroup=dashd."""

    def setUp(self):
        super().setUp()
        self.enter("ml", delegated="trusted.delegate")
        self.eat = self.path("eat")

    def put(self, path, text):
        with open(os.path.join(TREE, path), "w") as f:
            f.write(text)

    def enter(self, name, delegated=None, owner=None):
        """What this process starts from now on is in the group NAME/dashd."""
        self.top = os.path.join(TREE, name)
        os.makedirs(os.path.join(self.top, "dashd"), exist_ok=True)
        self.put("cgroup.subtree_control", "+memory")
        if delegated:
            os.setxattr(self.top, delegated, b"1")
        for path in (self.top, *(os.path.join(self.top, f"cgroup.{file}") for file in ("procs", "subtree_control", "threads"))):
            os.chown(path, owner or 0, -1)
        self.put(f"{name}/dashd/cgroup.procs", str(os.getpid()))

    def groups(self):
        return [name for name in os.listdir(self.top) if name.startswith("dash-")]

    def group(self, file):
        name, = self.groups()
        with open(os.path.join(self.top, name, file)) as f:
            return f.read().split()

    def start(self, **more):
        return self.dashd(env={"FAKE_HOLD": self.path("hold"), "FAKE_WORKER_EAT": self.eat}, **more)

    def limited(self, client, *overrides):
        job = self.create(client, overrides=[f"limits.memory={LIMIT >> 20}MiB", "max_restarts=3", *overrides])
        return self.wait_state(client, job.id, pb.RUNNING)

    def failed_for_memory(self, client, job):
        self.write("eat", "")
        ended = self.wait_state(client, job.id, pb.FAILED)
        self.assertRegex(ended.reason, r"limits.memory of 300MiB was exceeded, and the kernel ended the processes of the job "
                                       r"\(the plan says about \d+ MB for all processes\): resume it with a greater limit")
        self.assertEqual(ended.restarts, 1)  # it ends at the same step again
        wait_for(lambda: not self.groups() and not self.launched(), "nothing of the launch is left")

    def launched(self):
        return [p for p in self.job_processes() if program_of(p) in ("mpirun", "dash-worker", "dash-coordinato")]

    def test_a_job_of_too_much_memory_is_ended_whole_and_the_reason_says_so(self):
        client = self.start().client()
        job = self.limited(client)
        self.assertEqual(self.group("memory.max"), [str(LIMIT)])
        self.failed_for_memory(client, job)
        os.unlink(self.eat)
        self.write("hold", "9")
        client.ResumeJob(id=job.id)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        wait_for(lambda: not self.groups(), "the group is removed")

    def test_all_processes_of_the_launch_are_in_it_and_dashd_is_not(self):
        daemon = self.start()
        self.limited(daemon.client(), "parallel.replicas=2")
        wait_for(lambda: len(self.launched()) == 4, "mpirun, the coordinator, and two workers are there")
        inside = set(map(int, self.group("cgroup.procs")))
        self.assertLessEqual(set(self.launched()), inside)
        self.assertNotIn(daemon.process.pid, inside)

    def test_a_dashd_that_comes_again_finds_the_group(self):
        daemon = self.start()
        job = self.limited(daemon.client())
        daemon.stop(signal.SIGKILL)
        os.mkdir(os.path.join(self.top, "dash-fedcba9876543210"))  # of a launch that ended meanwhile
        client = self.start().client()
        self.wait_state(client, job.id, pb.RUNNING)
        wait_for(lambda: len(self.groups()) == 1, "the group that is of no launch is removed")
        self.failed_for_memory(client, job)

    def test_a_dashd_of_a_user_has_what_systemd_left_to_that_user(self):
        as_nobody = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        if subprocess.run([*as_nobody, f"{BIN}/dashd", "--version"], capture_output=True).returncode or \
                subprocess.run([*as_nobody, "cat", f"{TINY}/job.yaml", f"{FAKES}/dash-worker"], capture_output=True).returncode:
            self.skipTest("the programs or the tests lie where other users cannot read them")
        self.enter("users", delegated="user.delegate", owner=NOBODY)
        os.chown(self.folder, NOBODY, NOBODY)
        program = self.write("as-nobody", f"#!/bin/sh\nexec {' '.join(as_nobody)} {BIN}/dashd \"$@\"\n")
        os.chmod(program, 0o755)
        client = self.start(program=program).client()
        self.failed_for_memory(client, self.limited(client))

    def test_without_delegation_no_group_is_made(self):
        self.enter("plain")
        client = self.start().client()
        job = self.limited(client)
        self.assertEqual(self.groups(), [])
        self.write("hold", "9")
        self.wait_state(client, job.id, pb.SUCCEEDED)


if __name__ == "__main__":
    unittest.main()
