"""dashctl doctor on a four-node Slurm. The nodes share two cores or so: rates and cores may be warned of."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from cluster import SCRIPT, SLOWNESS, Cluster, skip_unless_possible, wait_for

DASHCTL = os.path.join(os.environ["DASH_BIN"], "dashctl")
CLUSTER = None
DEADLINE = 90 * SLOWNESS


def setUpModule():
    global CLUSTER
    CLUSTER = Cluster()
    unittest.addModuleCleanup(CLUSTER.stop)
    CLUSTER.start()


class Doctor(unittest.TestCase):
    def setUp(self):
        # A shell would make something of each of these, and sbatch of %j.
        self.parent = tempfile.mkdtemp(prefix="dash doctor '\"$(touch x)`touch y`; %j ", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.parent, ignore_errors=True)
        self.folder = os.path.join(self.parent, "shared")
        os.mkdir(self.folder)

    def start(self, *arguments, **env):
        return subprocess.Popen([DASHCTL, "doctor", "--folder", self.folder, *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, cwd=self.parent,
                                env={**CLUSTER.env, **env})

    def end_of(self, process):
        """What it said. One that does not end is interrupted, so that it cancels its job."""
        try:
            return process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            process.terminate()
            raise AssertionError("doctor does not end: " + "".join(process.communicate())) from None

    def findings(self, *arguments, status, **env):
        """{check: [(verdict, words, remedy), ...]}. All that it made is gone."""
        process = self.start("--output", "json", *arguments, **env)
        out, err = self.end_of(process)
        self.assertEqual(process.returncode, status, out + err)
        self.assertEqual((os.listdir(self.parent), os.listdir(self.folder)), (["shared"], []))
        found = {}
        for row in json.loads(out):
            found.setdefault(row["check"], []).append((row["verdict"], row["words"], row["remedy"]))
        return found

    def problem(self, found, check):
        (words, remedy), = [(words, remedy) for verdict, words, remedy in found[check] if verdict == "PROBLEM"]
        self.assertTrue(remedy)
        return words

    def is_well(self, found, starter, first, last):
        problems = [row for rows in found.values() for row in rows if row[0] == "PROBLEM"]
        self.assertEqual(problems, [])
        for check in ("programs", "slurm", "starter", "mpi", "folder", "cpu", "memory", "ports"):
            self.assertEqual([verdict for verdict, _, _ in found[check]], ["ok"], found[check])
        self.assertRegex(found["mpi"][0][1], rf"^{starter} starts a rank on each node of job \d+, {first} (and|...) {last}$")
        self.assertLessEqual({"cores", "threads", "rate", "network"}, set(found))


class Well(Doctor):
    def test_two_nodes(self):
        CLUSTER.wait_idle()
        self.is_well(self.findings(status=0), "srun", "n1", "n2")

    def test_four_nodes_by_mpirun(self):
        CLUSTER.wait_idle()
        self.is_well(self.findings("--nodes", "4", status=0, DASH_MPI_START="mpirun"), "mpirun", "n1", "n4")

    def test_one_core_of_a_node(self):
        found = self.findings("--nodes", "1", "--cpus-per-task", "1", "--partition", "high", status=0)
        self.assertTrue(found["cores"][0][1].startswith("1 for n"), found["cores"])


class Refused(Doctor):
    def test_a_partition_that_does_not_exist(self):
        words = self.problem(self.findings("--partition", "no'such $(touch z)", status=1), "job")
        self.assertIn("Invalid partition name", words)

    def test_what_waiting_does_not_help_is_not_waited_for(self):
        words = self.problem(self.findings("--nodes", "5", status=1), "job")
        self.assertRegex(words, r"^job \d+ was pending for \d+ s and is cancelled: Slurm's reason is PartitionNodeLimit$")


class Waiting(Doctor):
    def setUp(self):
        super().setUp()
        CLUSTER.wait_idle()
        job = CLUSTER.run("sbatch", "--parsable", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap", "sleep 300")
        self.blocking = job.strip()
        self.addCleanup(CLUSTER.run, "scancel", self.blocking)
        CLUSTER.wait_job(self.blocking, "RUNNING")

    def doctors_jobs(self, state):
        return [job for job in CLUSTER.squeue() if job["id"] != self.blocking and job["state"] == state]

    def test_a_job_that_stays_pending_is_cancelled_and_slurms_reason_told(self):
        words = self.problem(self.findings("--timeout", "2", status=1), "job")
        self.assertRegex(words, r"was pending for [23] s and is cancelled: Slurm's reason is (Resources|Priority)$")
        self.assertEqual(self.doctors_jobs("PENDING"), [])

    def test_ctrl_c_cancels_the_job(self):
        process = self.start()
        wait_for(lambda: self.doctors_jobs("PENDING"), "doctor's job is in the queue")
        process.send_signal(signal.SIGINT)
        err = self.end_of(process)[1]
        self.assertEqual(process.returncode, 1)
        self.assertRegex(err, r"job \d+ is cancelled\n(?s:.*)interrupted")
        self.assertEqual(self.doctors_jobs("PENDING"), [])
        self.assertEqual(os.listdir(self.folder), [])


class NotShared(Doctor):
    """A node in a mount namespace of its own has another folder of that name, an empty one."""

    def seclude(self, node):
        CLUSTER.wait_idle()
        CLUSTER.kill_node(node)
        done = subprocess.run(["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$1" && exec "$2" start-node "$3" "$4"',
                               "sh", self.folder, SCRIPT, CLUSTER.folder, node], capture_output=True, text=True,
                              timeout=DEADLINE, stdin=subprocess.DEVNULL)
        self.addCleanup(self.restore, node)
        if "mount" in done.stderr and done.returncode:
            self.skipTest("nothing can be mounted here: " + done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        CLUSTER.wait_idle()

    def restore(self, node):
        try:
            CLUSTER.kill_node(node)
        except AssertionError:  # it does not run
            pass
        CLUSTER.start_node(node)

    def test_another_node_than_the_first(self):
        self.seclude("n2")
        found = self.findings(status=1)
        self.assertRegex(self.problem(found, "folder"), r"^n2 does not share .*/shared with this machine: ")
        self.assertEqual([verdict for verdict, _, _ in found["mpi"]], ["ok"])

    def test_the_first_node(self):
        self.seclude("n1")
        self.assertRegex(self.problem(self.findings(status=1), "folder"),
                         r"^the first node of job \d+ does not share .*/shared with this machine$")


if __name__ == "__main__":
    skip_unless_possible()
    unittest.main()
