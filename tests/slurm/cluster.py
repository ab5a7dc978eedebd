"""A four-node Slurm for tests, by deploy/slurm/testcluster: only root can, and only where Slurm is installed.

Nothing here sleeps for a time: wait_for() polls a condition until its deadline.
"""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from processes import DEADLINE, SLOWNESS, processes_of, wait_for

SCRIPT = os.path.join(HERE, "../../deploy/slurm/testcluster")
NODES = ["n1", "n2", "n3", "n4"]


def why_not():
    """Why there can be no cluster here, "" if there can."""
    if os.geteuid() != 0:
        return "only root can run a test cluster"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in ("slurmctld", "slurmd", "munged", "mpicc") if not shutil.which(name, path=path)]
    return f"not installed: {', '.join(missing)} (slurm-wlm, munge, libopenmpi-dev)" if missing else ""


def skip_unless_possible():
    """Ends the program with 77, which ctest knows as skipped, where there can be no cluster."""
    reason = why_not()
    if reason:
        print("skipped:", reason)
        sys.exit(77)


def testcluster(*arguments, deadline=90 * SLOWNESS):
    """Runs the script, and returns what became of it. What it starts must not hold its output open: that would hang here."""
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=deadline, stdin=subprocess.DEVNULL)


class Cluster:
    """Its folder is made by start() and removed by stop()."""

    def __init__(self):
        self.folder = None

    @property
    def conf(self):
        return os.path.join(self.folder, "slurm.conf")

    @property
    def env(self):
        """For programs that are to see this cluster and no other, as if outside of any job."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH_", "SQUEUE_"))}
        return {**own, "SLURM_CONF": self.conf}

    def script(self, command, *arguments):
        done = testcluster(command, self.folder, *arguments)
        if done.returncode != 0:
            raise AssertionError(f"testcluster {command} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def start(self):
        # sockets need short names, and ordinary users a way in
        self.folder = tempfile.mkdtemp(prefix="dash-slurm-", dir="/tmp")
        os.chmod(self.folder, 0o755)
        return self.script("start")

    def stop(self):
        if self.folder:
            self.script("stop")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def status(self):
        """What the script says of each daemon, whether or not all of them run."""
        return testcluster("status", self.folder).stdout

    def kill_node(self, name):
        self.script("kill-node", name)

    def start_node(self, name):
        self.script("start-node", name)

    def stop_controller(self):
        self.script("stop-controller")

    def start_controller(self):
        self.script("start-controller")

    def run(self, *command, deadline=60 * SLOWNESS, **more):
        """Runs a command against this cluster, and returns what it printed."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=deadline, stdin=subprocess.DEVNULL,
                              env=self.env, **more)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def squeue(self):
        """All jobs that Slurm still knows, those that ended too. nodes is as Slurm writes it, as in n[1-3]."""
        names = ("id", "state", "reason", "nodes", "comment")
        lines = self.run("squeue", "-h", "-t", "all", "-o", "%i|%T|%r|%N|%k").splitlines()
        jobs = [dict(zip(names, line.split("|", len(names) - 1))) for line in lines]
        return [{**job, "comment": "" if job["comment"] == "(null)" else job["comment"]} for job in jobs]

    def job(self, id):
        return next((job for job in self.squeue() if job["id"] == str(id)), None)

    def wait_job(self, id, *states, deadline=DEADLINE):
        """Waits until the job is in one of the states, and returns it."""
        def reached():
            job = self.job(id)
            return job if job and job["state"] in states else None
        return wait_for(reached, lambda: f"job {id} becomes {' or '.join(states)}: {self.squeue()}", deadline)

    def nodes_of(self, id):
        """The names of the nodes that the job has or had, [] before it starts."""
        job = self.job(id)
        return self.run("scontrol", "show", "hostnames", job["nodes"]).split() if job and job["nodes"] else []

    def node_states(self):
        lines = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_idle(self, deadline=DEADLINE):
        """Waits until no job waits or runs, and every node is idle."""
        def idle():
            return not self.run("squeue", "-h") and self.node_states() == dict.fromkeys(NODES, "idle")
        wait_for(idle, lambda: f"all is idle: {self.squeue()} {self.node_states()}", deadline)
