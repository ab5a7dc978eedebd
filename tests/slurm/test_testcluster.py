"""deploy/slurm/testcluster: what it starts is a Slurm, what it kills is dead, and what it stops is gone."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from cluster import NODES, SCRIPT, Cluster, processes_of, skip_unless_possible, testcluster, wait_for

RANKS = """
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Prints the rank, its node, the sum of all ranks, and whether MPI_Finalize waited for rank 0. */
int main(int argc, char **argv)
{
    int rank, sum;
    double start;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    start = MPI_Wtime();
    if (rank == 0)
        sleep(2);
    MPI_Finalize();
    printf("%d %s %d %d\\n", rank, getenv("SLURMD_NODENAME"), sum, MPI_Wtime() - start > 1);
    return 0;
}
"""


def sleepers(folder):
    """The processes of the folder that are `sleep 1000`."""
    return [line for line in processes_of(folder).values() if re.match(r"(/usr)?(/bin/)?sleep 1000", line)]


class WithCluster(unittest.TestCase):
    """One cluster for all tests of a class, which leave it idle."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.stop)
        cls.said = cls.cluster.start()
        cls.states_at_start = cls.cluster.node_states()

    def setUp(self):
        # beside the cluster's own
        self.folder = tempfile.mkdtemp(prefix="dash-jobs-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def lines(self, name):
        try:
            with open(self.path(name)) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def sbatch(self, script, *options):
        """Submits a script, and returns the job's number. What it prints goes to the file `out`."""
        file = self.write("script", "#!/bin/bash\n" + script)
        return self.cluster.run("sbatch", "--parsable", "--open-mode=append", "-o", self.path("out"), *options, file,
                                cwd=self.folder).strip()


class Jobs(WithCluster):
    def test_start_says_where_the_configuration_is_and_nothing_else(self):
        self.assertEqual(self.said, f"SLURM_CONF={self.cluster.folder}/slurm.conf\n")
        self.assertEqual(self.states_at_start, dict.fromkeys(NODES, "idle"))

    def test_a_batch_job_runs_on_three_nodes(self):
        self.sbatch("srun bash -c 'echo $SLURMD_NODENAME'", "--wait", "-N3", "--ntasks-per-node=1")
        self.assertEqual(sorted(self.lines("out")), NODES[:3])

    def test_mpi_ranks_that_share_nodes_reach_each_other(self):
        program = self.path("ranks")
        subprocess.run(["mpicc", "-o", program, self.write("ranks.c", RANKS)], check=True, timeout=60)
        for ranks in (4, 6):
            # as the job script sets it: without it a barrier holds no other node, and MPI_Init crashes at times
            said = self.cluster.run("env", "SLURM_PMIX_FENCE=ring", "srun", "-N3", f"-n{ranks}", "--mpi=pmix",
                                    "--overcommit", "--kill-on-bad-exit=1", program)
            found = sorted(line.split() for line in said.splitlines())
            self.assertEqual([(int(rank), int(total)) for rank, _, total, _ in found],
                             [(rank, sum(range(ranks))) for rank in range(ranks)])
            self.assertEqual({node for _, node, _, _ in found}, set(NODES[:3]))
            self.assertEqual([waited for _, _, _, waited in found], ["1"] * ranks)

    def test_high_sends_low_back_to_the_queue(self):
        low = self.sbatch("echo runs\nexec sleep 100", "-p", "low", "-N4", "--exclusive")
        wait_for(lambda: self.lines("out"), "the job in low runs")
        self.cluster.run("sbatch", "-p", "high", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "true")
        self.cluster.wait_job(low, "PENDING")
        self.assertIn("DUE TO PREEMPTION", self.lines("out")[-1])
        self.cluster.run("scancel", low)
        self.cluster.wait_idle()


class Disturbances(WithCluster):
    def test_a_second_start_is_refused_and_harms_nothing(self):
        self.sbatch("echo started\nuntil [ -e go ]; do sleep 0.1; done\necho ended")
        wait_for(lambda: self.lines("out"), "the job runs")
        before = self.cluster.status()
        again = testcluster("start", self.cluster.folder)
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertIn("a cluster runs in", again.stderr)
        self.assertIn("testcluster stop", again.stderr)
        self.assertEqual(re.sub(", .*", "", self.cluster.status()), re.sub(", .*", "", before))
        self.write("go", "")
        wait_for(lambda: self.lines("out")[-1] == "ended", "the job continues")
        self.cluster.wait_idle()

    def test_a_job_leaves_a_node_that_dies_and_the_node_comes_back(self):
        # one process in the job's tree, one that has left it
        job = self.sbatch("echo $SLURMD_NODENAME ${SLURM_RESTART_COUNT:-0}\n(setsid sleep 1000 &)\nsleep 1000", "--requeue")
        wait_for(lambda: self.lines("out"), "the job runs")
        (dead,) = self.cluster.nodes_of(job)
        self.assertEqual(self.lines("out"), [f"{dead} 0"])
        wait_for(lambda: len(sleepers(self.folder)) == 2, "both")
        self.cluster.kill_node(dead)
        self.assertEqual(sleepers(self.folder), [])
        self.assertIn(f"{dead}: does not run", self.cluster.status())
        self.cluster.wait_job(job, "PENDING", "COMPLETING")
        wait_for(lambda: len(self.lines("out")) == 2, "the job runs again")
        (other,) = self.cluster.nodes_of(job)
        self.assertNotEqual(other, dead)
        self.assertEqual(self.lines("out")[-1], f"{other} 1")
        self.cluster.start_node(dead)
        self.cluster.run("scancel", job)
        self.cluster.wait_idle()

    def test_jobs_outlive_the_controller(self):
        job = self.sbatch("echo $$\nuntil [ -e go ]; do sleep 0.1; done\necho ended")
        (process,) = wait_for(lambda: self.lines("out"), "the job runs")
        self.cluster.stop_controller()
        self.assertIn("slurmctld: does not run", self.cluster.status())
        with self.assertRaisesRegex(AssertionError, "Unable to contact slurm controller"):
            self.cluster.squeue()
        os.kill(int(process), 0)
        self.cluster.start_controller()
        self.assertEqual(self.cluster.job(job)["state"], "RUNNING")
        self.write("go", "")
        self.cluster.wait_job(job, "COMPLETED")
        self.assertEqual(self.lines("out"), [process, "ended"])
        self.cluster.wait_idle()


class Ends(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.stop)

    def test_stop_leaves_nothing_though_half_of_it_is_dead(self):
        self.cluster.start()
        # steps on the nodes, and a process that has left its job and cannot be asked to go
        self.cluster.run("sbatch", "-N3", "-o", os.path.join(self.cluster.folder, "out"), "--wrap",
                         "(trap '' TERM; setsid sleep 1000 &) ; srun -N3 -n3 sleep 1000")
        wait_for(lambda: len(sleepers(self.cluster.folder)) == 4, "the job runs")
        self.cluster.kill_node("n2")
        self.cluster.stop_controller()
        done = testcluster("stop", self.cluster.folder)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertEqual(processes_of(self.cluster.folder), {})
        # nothing is left to be stopped, and it can be started again
        self.assertEqual(testcluster("stop", self.cluster.folder).returncode, 0)
        self.assertEqual(testcluster("start", self.cluster.folder).returncode, 0)
        self.assertEqual(self.cluster.squeue(), [])

    def test_an_interrupted_start_leaves_nothing(self):
        folder = tempfile.mkdtemp(prefix="dash-slurm-", dir="/tmp")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        start = subprocess.Popen([SCRIPT, "start", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: os.path.exists(os.path.join(folder, "munge/munged.pid")), "the first daemon runs")
        start.send_signal(signal.SIGINT)
        out, error = start.communicate(timeout=30)
        self.assertEqual((start.returncode, out), (130, ""), error)
        self.assertIn("Interrupted", error)
        self.assertEqual(processes_of(folder), {})


def is_free(port):
    with contextlib.closing(socket.socket()) as s:
        try:
            s.bind(("", port))
        except OSError:
            return False
    return True


class Refusals(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dash-slurm-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def refused(self, words, *arguments, status=1):
        done = testcluster(*arguments)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertIn(words, done.stderr)

    def test_of_commands_that_are_none(self):
        for wrong in ([], ["begin", self.folder], ["start"], ["start", self.folder, "x"], ["start", self.folder, "65535"],
                      ["stop", self.folder, "n1"], ["kill-node", self.folder], ["kill-node", self.folder, "n5"]):
            self.refused("usage: testcluster start FOLDER [PORT]", *wrong, status=2)

    def test_of_folders(self):
        self.refused("no folder with other characters", "start", self.folder + "/a b")
        self.refused("too long for sockets", "start", self.folder + "/" + "x" * 60)
        self.refused("there is no test cluster", "stop", self.folder)
        self.refused("there is no test cluster", "kill-node", self.folder, "n1")
        with open(os.path.join(self.folder, "file"), "w"):
            pass
        self.refused("holds other things", "start", self.folder)
        self.assertEqual(os.listdir(self.folder), ["file"])

    def test_of_ports_that_are_taken(self):
        # below the ports that clients and other test clusters are given, so that only the one that is meant is taken
        first = next(port for port in range(10000, 17000, 5) if all(map(is_free, range(port, port + 5))))
        with contextlib.closing(socket.socket()) as taken:
            taken.bind(("", first + 2))
            self.refused(f"port {first + 2} is taken", "start", self.folder, str(first))
        self.assertEqual(processes_of(self.folder), {})


if __name__ == "__main__":
    skip_unless_possible()
    unittest.main()
