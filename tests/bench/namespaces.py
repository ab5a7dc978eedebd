"""Nodes of one core each on this machine: network namespaces with a bridge between them and links of a given rate.

Only root can. A node is a network namespace and a name of host: Open MPI takes ranks of other names for ranks of other nodes,
and they speak TCP. What a node sends is held to the rate by the kernel's token bucket. Nothing of them is left behind when the
block ends; the namespaces' names hold this process's number, so that two programs do not meet.
"""
import os
import shlex
import shutil
import stat
import subprocess
import tempfile

NETWORK = "10.213.77"


def why_not():
    """Why there can be none here, "" if there can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    missing = [name for name in ("ip", "tc", "unshare", "mpirun") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


def call(*words):
    subprocess.run(words, check=True, capture_output=True, text=True)


class Nodes:
    """with Nodes(2, 1.0) as nodes: nodes.command([program, ...]) is what runs a program on the first of them, with an mpirun
    in its PATH that puts the coordinator and the first worker there, and a worker on each of the others."""

    def __init__(self, count, gbits):
        self.count, self.gbits = count, gbits
        self.bridge = f"dash{os.getpid()}"
        self.names = [f"{self.bridge}-{i}" for i in range(count)]
        self.folder = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="dash-nodes-")
        try:
            call("ip", "link", "add", self.bridge, "type", "bridge")
            call("ip", "link", "set", self.bridge, "up")
            for i in range(self.count):
                self.add(i)
            self.write("on", 'name=$1; shift\nexec ip netns exec "$name" unshare --uts sh -c \'hostname "$0"; exec "$@"\' "$name" "$@"\n')
            self.write("agent", f'name=$1; shift\nexec {self.folder}/on "$name" sh -c "$*"\n')  # as ssh does it
            self.write("mpirun", f"exec {shlex.quote(shutil.which('mpirun'))} --host {','.join(self.slots())} --mca plm rsh "
                                 f"--mca plm_rsh_agent {self.folder}/agent --leave-session-attached --mca btl self,vader,tcp "
                                 f"--mca btl_tcp_if_include {NETWORK}.0/24 --mca oob_tcp_if_include {NETWORK}.0/24 \"$@\"\n")
        except BaseException:
            self.__exit__()
            raise
        return self

    def slots(self):
        return [f"{self.names[0]}:2"] + [f"{name}:1" for name in self.names[1:]]

    def add(self, i):
        name, outside = self.names[i], f"{self.bridge}v{i}"
        call("ip", "netns", "add", name)
        call("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name)
        call("ip", "link", "set", outside, "master", self.bridge, "up")
        for words in (("link", "set", "lo", "up"), ("addr", "add", f"{NETWORK}.{i + 1}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            call("ip", "-n", name, *words)
        call("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf",
             "rate", f"{round(self.gbits * 1000)}mbit", "burst", "256kb", "latency", "100ms")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\n" + text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def command(self, words):
        return [f"{self.folder}/on", self.names[0], "env", f"PATH={self.folder}:{os.environ['PATH']}", *words]

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
