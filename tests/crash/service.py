"""One dashd after another on one state folder, perhaps with the shim before it, and a client who outlives them.

usage of the tests on top: NAME.py SHIM [...], in the environment of tests/e2e/harness.py.
"""
import hashlib
import os
import select
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from harness import BIN, FINAL, SLOWNESS, TINY, Client, grpc, pb, processes_of, wait_for

LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)
STEPS = 6
JOB = f"""
name: NAME
model: {TINY}/model
data: {{train: {TINY}/train.jsonl, max_tokens: 512}}
lora: {{rank: 4, dropout: 0.1}}
dash: {{prelaunch_steps: 2, directions: 3}}
training: {{batch_size: 4, steps: STEPS, seed: 3}}
parallel: {{stages: 1, threads: 1}}
output: OUTPUT
"""


class Service:
    """A state folder and its dashd. Every wait has a deadline; close() ends all that is left."""

    def __init__(self, folder, shim, *options, deadline=60):
        self.folder, self.shim, self.options, self.deadline = folder, shim, options, deadline * SLOWNESS
        self.cache = os.path.join(os.path.dirname(folder), "spectra")
        self.state = os.path.join(folder, "state")
        self.process = self.client = None
        self.starts = 0
        os.makedirs(folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def start(self, **shim):
        """A dashd; false if it ends before it serves. shim: SHIM_KILL and its like."""
        environment = {**os.environ, "DASH_CACHE": self.cache}
        if shim:
            environment |= {"LD_PRELOAD": self.shim, **shim}
        self.starts += 1
        command = [os.path.join(BIN, "dashd"), "--state", self.state, "--restart-delay", "50"]
        with open(self.path("dashd.log"), "ab") as log:
            self.process = subprocess.Popen(
                command + list(self.options), stdout=subprocess.PIPE, stderr=log,
                stdin=subprocess.DEVNULL, env=environment)
        said = select.select([self.process.stdout], [], [], self.deadline)[0]
        greeting = self.process.stdout.readline() if said else b""
        self.process.stdout.close()
        if self.client:
            self.client.close()
        self.client = Client("unix:" + os.path.join(self.state, "dashd.sock"))
        assert said, f"dashd neither serves nor ends\n{self.log()}"
        if not greeting:
            self.process.wait(self.deadline)
        return bool(greeting)

    def log(self):
        with open(self.path("dashd.log"), errors="replace") as f:
            return f.read()

    def has_ended(self, within=0.0):
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """By SIGTERM; its exit status."""
        self.process.terminate()
        return self.process.wait(self.deadline)

    def create(self, name="out", steps=STEPS, prelaunch=2):
        text = JOB.replace("NAME", name).replace("STEPS", str(steps))
        text = text.replace("OUTPUT", self.path(name))
        text = text.replace("prelaunch_steps: 2", f"prelaunch_steps: {prelaunch}")
        return self.client.CreateJob(job_yaml=text, directory=self.folder, file_name="job.yaml",
                                     timeout=self.deadline).job

    def jobs(self):
        return list(self.client.ListJobs().jobs)

    def job(self, id):
        return self.client.GetJob(id=id).job

    def digest(self, name="out"):
        with open(self.path(name, "adapter/adapter_model.safetensors"), "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    def watch(self, id, seen):
        """Appends the numbers of the steps after seen[-1], and returns the job when it has ended."""
        job = None
        first = seen[-1] + 1 if seen else 1
        for event in self.client.WatchJob(id=id, from_step=first, timeout=self.deadline):
            if event.HasField("step"):
                seen.append(event.step.step)
            else:
                job = event.job
        return job

    def left_over(self):
        """Processes other than dashd that have to do with this folder."""
        return [pid for pid in processes_of(self.folder) if pid != self.process.pid]

    def close(self):
        """Ends what is left, and removes the folder. For a test that went well nothing is left."""
        if self.process and not self.has_ended():
            self.kill()
        for pid in self.left_over() if self.process else []:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.client:
            self.client.close()
        if not os.environ.get("DASH_TEST_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)


def check_end(service, id, job, seen, want, what):
    """As if nothing had happened: state, bytes, steps, and no process that is left over."""
    told = f"{what}: {pb.JobState.Name(job.state)}: {job.reason}\n{service.log()}"
    assert job.state == pb.SUCCEEDED, told
    assert service.digest() == want, f"{what}: other bytes"
    assert seen == list(range(1, STEPS + 1)), f"{what}: watched {seen}"
    again = []
    service.watch(id, again)
    assert again == seen, f"{what}: replayed {again}"
    wait_for(lambda: not service.left_over(), f"{what}: processes are left over", service.deadline)
    assert service.stop() == 0, f"{what}: exit status\n{service.log()}"
