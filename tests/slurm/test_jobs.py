"""Jobs on a four-node Slurm: however they are disturbed, their adapters are the bits of an undisturbed local run, and
`show` is right.

All jobs here do the same sums: the tiny golden model with the same rows many times in a step, each of them computed,
which makes a step last a quarter of a second. The one that meets its time limit twice has as many steps as this machine
needs time for; it is looked at last.
"""
import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["DASH_SOURCE"], "tests/e2e"))
from cluster import Cluster, skip_unless_possible
from harness import *

JOB = os.path.join(TINY, "job.yaml")
STEPS = 30
LONG_SECONDS = 35  # of a job that meets its time limit twice, by runs of ten seconds
CLUSTER = LOCAL = None
REFERENCES = {}


def setUpModule():
    global CLUSTER, LOCAL
    CLUSTER = Cluster()
    unittest.addModuleCleanup(CLUSTER.stop)
    CLUSTER.start()
    folder = tempfile.mkdtemp(prefix="dash-slurm-")
    unittest.addModuleCleanup(shutil.rmtree, folder, ignore_errors=True)
    LOCAL = REFERENCES[STEPS] = Local(os.path.join(folder, "local"), STEPS)
    local_sha256()


def settings(output, steps=STEPS, **more):
    sets = {"output": output, "training.steps": steps, "training.batch_size": 512, "training.share_prefixes": "off",
            "data.train": "[{file: train.jsonl, weight: 16}]", **more}
    return [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]


def sha256(output):
    with open(os.path.join(output, "adapter/adapter_model.safetensors"), "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class Local:
    """An undisturbed run on this machine, begun before its hash is wanted."""

    def __init__(self, output, steps, **more):
        self.output = output
        self.process = subprocess.Popen([os.path.join(BIN, "dashctl"), "run", JOB, *settings(output, steps, **more)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def sha256(self):
        if self.process.wait(300 * SLOWNESS):
            raise AssertionError("the local run failed")
        return sha256(self.output)


def local_sha256(steps=STEPS):
    """Of a run that was begun before."""
    if not isinstance(REFERENCES[steps], str):
        REFERENCES[steps] = REFERENCES[steps].sha256()
    return REFERENCES[steps]


def long_steps():
    """As many as take LONG_SECONDS on this machine, by the fast ones among the reference's: others ran beside something."""
    local_sha256()
    with open(os.path.join(LOCAL.output, "metrics.jsonl"), encoding="utf-8") as f:
        seconds = sorted(json.loads(line)["seconds"] for line in f)
    return max(STEPS, round(LONG_SECONDS / seconds[len(seconds) // 10]))


class OnSlurm(World):
    """A dashd and a client for each test; SLURM is what every job asks for."""

    SLURM = {"launcher": "slurm", "parallel.stages": 3, "slurm.cpus_per_task": 1}

    def setUp(self):
        super().setUp()
        self.start_dashd()

    def start_dashd(self, *options, **env):
        self.daemon = self.dashd("--slurm-poll", "2", *options, programs=None, env={**CLUSTER.env, **env})
        self.client = self.daemon.client()

    def ctl(self, *arguments, env=None, cwd=None):
        done = self.dashctl(*arguments, server=self.daemon.address, env={**CLUSTER.env, **(env or {})}, cwd=cwd)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def submit(self, output="out", steps=STEPS, **more):
        sets = settings(self.path(output), steps, **{**self.SLURM, **more})
        self.ctl("submit", JOB, *sets)
        return next(job.id for job in self.client.ListJobs().jobs if job.output == self.path(output))

    def slurm_job(self, id):
        return str(wait_for(lambda: self.get(self.client, id).slurm_job, "a Slurm job"))

    def nodes_of_programs(self):
        found = []
        for pid in self.job_processes():
            with open(f"/proc/{pid}/environ", "rb") as f:
                node = re.search(rb"\0SLURMD_NODENAME=(\w+)", f.read())
            if program_of(pid).startswith("dash-") and node:
                found.append((program_of(pid)[:16], node.group(1).decode()))
        return sorted((("dash-coordinator" if name.startswith("dash-coord") else name), node) for name, node in found)

    def succeeds(self, id, name="out", steps=STEPS, deadline=90 * SLOWNESS):
        def ended():
            job = self.get(self.client, id)
            return job if job.state in FINAL else None
        job = wait_for(ended, f"job {id} ends", deadline)
        self.assertEqual(pb.JobState.Name(job.state), "SUCCEEDED", job.reason + job.log_tail + self.daemon_log())
        self.assertEqual(job.steps_done, steps)
        self.assertEqual(sha256(self.path(name)), local_sha256(steps))
        with open(self.path(name, "metrics.jsonl")) as f:
            self.assertEqual([json.loads(line)["step"] for line in f], list(range(1, steps + 1)))
        return job

    def notice(self, id, words):
        return wait_for(lambda: any(words in n for n in self.get(self.client, id).notices), f"a notice: {words}")


    @contextlib.contextmanager
    def held(self):
        """The workers of this test stand still within it, so that however fast this machine is, no job ends before what it
        is to meet."""
        workers = [pid for pid in self.job_processes() if program_of(pid) == "dash-worker"]
        self.assertTrue(workers)
        try:
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in filter(is_alive, workers):
                os.kill(pid, signal.SIGCONT)


class Jobs(OnSlurm):
    def test_three_workers_on_four_nodes_give_the_local_bits(self):
        id = self.submit(**{"slurm.nodes": 4})
        wait_for(lambda: "on n[1-4], as Slurm job" in self.get(self.client, id).reason, "the nodes, in words")
        self.assertEqual(self.nodes_of_programs(), [("dash-coordinator", "n1"), ("dash-worker", "n2"),
                                                    ("dash-worker", "n3"), ("dash-worker", "n4")])
        self.succeeds(id)

    def test_a_cluster_without_pmix_is_served_by_mpirun(self):
        self.daemon.stop()
        self.start_dashd(DASH_MPI_START="mpirun")
        id = self.submit(**{"slurm.nodes": 4})
        self.wait_step(self.client, id, 2)
        self.assertEqual(self.nodes_of_programs(), [("dash-coordinator", "n1"), ("dash-worker", "n2"),
                                                    ("dash-worker", "n3"), ("dash-worker", "n4")])
        self.succeeds(id)
        self.assertIn("by mpirun", self.read("out/logs/job.log"))

    def test_requeued_by_somebody_it_goes_on(self):
        id = self.submit()
        self.wait_step(self.client, id, 3)
        with self.held():
            CLUSTER.run("scontrol", "requeue", self.slurm_job(id))
            self.notice(id, "Slurm queued the job again: somebody requeued it")
        job = self.succeeds(id)
        self.assertIn("continuing from the checkpoint", self.read("out/logs/job.log"))
        self.assertEqual(job.restarts, 0)

    def test_cancelled_behind_its_back_it_says_so_and_can_be_resumed(self):
        id = self.submit()
        self.wait_step(self.client, id, 3)
        with self.held():
            CLUSTER.run("scancel", self.slurm_job(id))
            job = self.wait_state(self.client, id, pb.CANCELLED)
        self.assertIn("cancelled in Slurm, not here (scancel of job", job.reason)
        self.ctl("resume", id)
        self.succeeds(id)

    def test_cancel_stops_it_after_a_checkpoint_and_leaves_nothing_in_slurm(self):
        id = self.submit()
        self.wait_step(self.client, id, 3)
        number = self.slurm_job(id)
        self.ctl("cancel", id)
        job = self.wait_state(self.client, id, pb.CANCELLED)
        self.assertIn("stopped after step", job.reason)
        wait_for(lambda: not [j for j in CLUSTER.squeue() if j["id"] == number and j["state"] in ("RUNNING", "PENDING")],
                 "it leaves Slurm")
        waiting = self.submit("waiting", **{"slurm.extra": "[--begin=now+600]"})
        wait_for(lambda: "BeginTime" in self.get(self.client, waiting).reason, "it waits in Slurm")
        self.ctl("cancel", waiting)
        self.wait_state(self.client, waiting, pb.CANCELLED)

    def test_a_dead_node_is_left_and_fewer_workers_go_on(self):
        id = self.submit(**{"parallel.stages": "auto", "parallel.replicas": "auto", "slurm.nodes": "2-4"})
        self.wait_step(self.client, id, 3)
        self.addCleanup(CLUSTER.start_node, "n4")
        CLUSTER.kill_node("n4")
        self.notice(id, "Slurm queued the job again: a node failed")
        self.succeeds(id)
        log = self.read("out/logs/job.log")
        self.assertIn("on n[1-4] (run 1): 4 workers", log)
        self.assertRegex(log, r"on n\[1-3\] \(run 2\): 3 workers")

    def test_a_dead_worker_is_started_again_on_the_same_nodes(self):
        id = self.submit()
        self.wait_step(self.client, id, 3)
        workers = [pid for pid in self.job_processes() if program_of(pid) == "dash-worker"]
        os.kill(workers[0], signal.SIGKILL)
        self.succeeds(id)
        self.assertIn("restart 1 of 3", self.read("out/logs/job.log"))
        self.assertIn("(run 1)", self.read("out/logs/job.log"))

    def test_while_the_controller_is_away_nothing_changes_but_a_notice(self):
        id = self.submit()
        self.wait_step(self.client, id, 2)
        try:
            with self.held():
                CLUSTER.stop_controller()
                self.notice(id, "Slurm's controller does not answer")
                self.assertEqual(self.get(self.client, id).state, pb.RUNNING)
            self.wait_step(self.client, id, STEPS - 1)
        finally:
            CLUSTER.start_controller()
        self.succeeds(id)

    def test_dashd_is_killed_while_it_waits_and_while_it_runs(self):
        id = self.submit(**{"slurm.extra": "[--begin=now+5]"})
        wait_for(lambda: "BeginTime" in self.get(self.client, id).reason, "it waits in Slurm")
        self.daemon.stop(signal.SIGKILL)
        self.start_dashd()
        self.wait_step(self.client, id, 3)
        self.daemon.stop(signal.SIGKILL)
        self.start_dashd()
        self.succeeds(id)
        self.assertEqual(self.read("out/logs/job.log").count("(run 1)"), 1)

    def test_unheard_coordinators_are_followed_by_their_folders(self):
        self.daemon.stop()
        self.start_dashd("--reports", "none")
        id = self.submit()
        self.wait_step(self.client, id, 3)
        self.assertEqual(self.get(self.client, id).state, pb.RUNNING)
        self.succeeds(id)

    def test_twenty_jobs_at_once(self):
        small = {"parallel.stages": 1, "training.batch_size": 8, "dash.prelaunch_steps": 2}
        ids = [self.submit(f"out{i}", steps=6, **small) for i in range(20)]
        local = Local(self.path("local"), 6, **small).sha256()
        for id in ids:
            wait_for(lambda: self.get(self.client, id).state == pb.SUCCEEDED, f"job {id}", 90 * SLOWNESS)
        self.assertEqual({sha256(self.path(f"out{i}")) for i in range(20)}, {local})

    def test_preempted_it_goes_on_when_the_nodes_are_free_again(self):
        id = self.submit(**{"slurm.partition": "low", "slurm.nodes": 4})
        self.wait_step(self.client, id, 3)
        with self.held():
            CLUSTER.run("sbatch", "-p", "high", "-N4", "--exclusive", "--wrap", "exec sleep 3")
            self.notice(id, "Slurm queued the job again: it was preempted")
        self.succeeds(id)

    def test_nothing_that_a_user_writes_reaches_a_shell(self):
        name = "a b'c\"d $HOME `touch x` %j;&\\"
        folder = self.path(name)
        hostile = {"OMP_NUM_THREADS": "1000", "BASH_ENV": self.write("evil", "exit 9"), "SLURM_JOB_ID": "7",
                   "SBATCH_PARTITION": "nowhere", "BASH_FUNC_srun%%": "() { exit 9; }", "PATH": os.environ["PATH"]}
        self.daemon.stop()
        self.daemon = self.dashd("--slurm-poll", "2", programs=None, env={**CLUSTER.env, **hostile})
        self.client = self.daemon.client()
        id = self.submit(name, **{"name": "$(touch y) 'z' \"", "slurm.partition": "main"})
        self.succeeds(id, name)
        self.assertTrue(os.path.isdir(folder))
        for stray in ("x", "y"):
            self.assertFalse(os.path.exists(stray) or os.path.exists(os.path.join(folder, stray)))


class WithoutDaemon(World):
    def setUp(self):
        super().setUp()
        self.env = {**CLUSTER.env, "XDG_STATE_HOME": self.path("nobody")}

    def sbatch(self, *options, name="out"):
        done = self.dashctl("sbatch", JOB, *options,
                            *settings(self.path(name), **{k: v for k, v in OnSlurm.SLURM.items() if k != "launcher"}),
                            env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def outcome(self, name="out"):
        try:
            with open(self.path(name, "outcome.json")) as f:
                return json.load(f)["how"]
        except OSError:
            return ""

    def test_the_script_trains_alone_and_survives_a_requeue(self):
        script = self.write("script", self.sbatch())
        number = CLUSTER.run("sbatch", "--parsable", script).strip()
        metrics = self.path("out/metrics.jsonl")
        wait_for(lambda: os.path.exists(metrics) and len(self.read("out/metrics.jsonl").splitlines()) > 3, "steps")
        CLUSTER.run("scontrol", "requeue", number)
        wait_for(lambda: self.outcome() == "adapter_written", "the adapter", 60)
        self.assertEqual(sha256(self.path("out")), local_sha256())
        self.assertIn("(run 2)", self.read("out/logs/job.log"))
        report = json.loads(re.search('id="data">(.*?)</script>', self.read("out/report.html"), re.S)[1])["jobs"][0]
        self.assertEqual((report["state"], [line["launch"] for line in report["launches"]]), ("SUCCEEDED", [1, 2]))
        self.assertTrue(report["launches"][1]["after_step"] > 0 and report["launches"][1]["why"], report["launches"])

    def test_an_older_submission_gives_way_to_a_newer_one(self):
        old = self.write("old", self.sbatch())
        new = self.write("new", self.sbatch("--resume"))
        CLUSTER.run("sbatch", "--wait", old)
        self.assertFalse(os.path.exists(self.path("out/adapter")))
        self.assertIn("another submission has taken the place", self.read("out/logs/job.log"))
        CLUSTER.run("sbatch", "--wait", new)
        self.assertEqual(sha256(self.path("out")), local_sha256())

    def test_what_sbatch_refuses_waits_nowhere(self):
        daemon = self.dashd("--slurm-poll", "2", programs=None, env=CLUSTER.env)
        client = daemon.client()
        refused = ["sbatch", "--submit", JOB, "--set", "slurm.partition=nowhere"]
        alone = self.dashctl(*refused, *settings(self.path("alone")), env=self.env)
        self.assertIn("invalid partition specified: nowhere", alone.stderr)
        self.assertIn("try again with --resume", alone.stderr)
        there = self.dashctl(*refused, *settings(self.path("there")), env={**self.env, "DASH_SERVER": daemon.address})
        self.assertIn("dashctl resume 1 --set", there.stderr)
        self.wait_state(client, "1", pb.CANCELLED)

    def test_with_a_dashd_it_reports_there(self):
        daemon = self.dashd("--slurm-poll", "2", programs=None, env=CLUSTER.env)
        client = daemon.client()
        self.env["DASH_SERVER"] = daemon.address
        self.assertIn("Slurm job", self.sbatch("--submit").replace("is Slurm job", "Slurm job"))
        job = client.ListJobs().jobs[0]
        job = self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertEqual((job.steps_done, sha256(self.path("out"))), (STEPS, local_sha256()))


class TimeLimit(OnSlurm):
    def in_its_grace(self, id):
        """Warned of its limit, with a worker that does not continue. Returns the worker and its number in Slurm."""
        self.wait_step(self.client, id, 3)
        worker = next(pid for pid in self.job_processes() if program_of(pid) == "dash-worker")
        os.kill(worker, signal.SIGSTOP)
        number = self.slurm_job(id)
        CLUSTER.run("scancel", "--batch", "--signal=USR1", number)
        wait_for(lambda: "the time limit is near" in self.read("out/logs/job.log"), "the warning")
        return worker, number

    def test_a_step_longer_than_the_grace_is_given_up_and_done_again_once(self):
        id = self.submit(**{"slurm.grace_seconds": 10})
        self.in_its_grace(id)
        self.succeeds(id)
        log = self.read("out/logs/job.log")
        self.assertIn("it is given up, and done again", log)
        self.assertIn("(run 2)", log)
        self.assertNotIn("(run 3)", log)
        mark = self.read("out/logs/launch").strip()
        self.assertEqual(len([j for j in CLUSTER.squeue() if j["comment"] == "dash:" + mark]), 1)

    def test_cancelled_in_its_grace_it_does_not_rise_again(self):
        id = self.submit()
        worker, number = self.in_its_grace(id)
        CLUSTER.run("scancel", number)
        os.kill(worker, signal.SIGCONT)
        job = self.wait_state(self.client, id, pb.CANCELLED)
        self.assertIn("cancelled in Slurm, not here", job.reason)
        self.assertNotIn("(run 2)", self.read("out/logs/job.log"))
        self.assertEqual([j["state"] for j in CLUSTER.squeue() if j["id"] == number], ["CANCELLED"])

    def test_it_is_queued_again_before_its_limit_until_its_steps_are_done(self):
        steps = long_steps()
        REFERENCES[steps] = Local(self.path("local"), steps)
        id = self.submit(steps=steps, **{"parallel.stages": 1, "slurm.time": 1, "slurm.grace_seconds": 50})
        job = self.succeeds(id, steps=steps, deadline=300 * SLOWNESS)
        self.assertGreaterEqual(len([n for n in job.notices if "its time limit was near" in n]), 2)
        self.assertIn("(run 3)", self.read("out/logs/job.log"))


if __name__ == "__main__":
    skip_unless_possible()
    unittest.main()
