"""kill -9 at every durable event of every process of a job, and at random: the adapter does not change by a bit.

usage: crash.py PROGRAMS SHIM GOLDEN [events|random [KILLS [SEED]]]

The job is golden/tiny's model and data with dropout and shuffling, by two stages. A killed launch is followed by
another one, as a resume is. Checked each time: equal sha256 of the adapter, every step once in metrics.jsonl, and at
most one finished step that was done again.
"""
import concurrent.futures
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../parity"))
import jobs

STEPS = 8
LINES = f"""
lora: {{rank: 4, dropout: 0.1}}
dash: {{prelaunch_steps: 3, directions: 3}}
training: {{batch_size: 6, micro_batches: 4, steps: {STEPS}, seed: 3}}
"""
WORKERS = 2
DEADLINE = 60 * float(os.environ.get("DASH_TEST_SLOWNESS", "1"))
HANG = 10  # seconds after which a launch with a killed rank is taken to hang


class Bench:
    def __init__(self, programs, shim, golden, folder):
        self.programs, self.shim, self.folder = programs, shim, folder
        self.model, self.data = os.path.join(golden, "model"), os.path.join(golden, "train.jsonl")

    def fresh(self, name):
        output = os.path.join(self.folder, name)
        jobs.write_job(output, self.model, self.data, LINES + "parallel: {stages: 2, threads: 1}\n")
        with open(os.path.join(output, "job.yaml")) as f:
            text = f.read().replace("shuffle: false", "shuffle: true")
        with open(os.path.join(output, "job.yaml"), "w") as f:
            f.write(text)
        return output

    def environment(self, **extra):
        cache = os.path.join(self.folder, "spectra")
        return {"LD_PRELOAD": self.shim, "DASH_CACHE": cache, **extra}

    def launch(self, output, deadline=DEADLINE, **extra):
        return jobs.run(self.programs, output, WORKERS, self.environment(**extra), deadline)


def digest(output):
    hashed = hashlib.sha256()
    for name in ("adapter/adapter_model.safetensors", "spectra.json", "coefficients.jsonl"):
        with open(os.path.join(output, name), "rb") as f:
            hashed.update(f.read())
    return hashed.hexdigest()


def rows(output):
    path = os.path.join(output, "metrics.jsonl")
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [int(n) for n in re.findall(r'"step": (\d+),.*}\n', f.read())]


def reported(output):
    """The steps in report.html, which is there when a job has ended, and whole wherever it is there."""
    with open(os.path.join(output, "report.html"), encoding="utf-8") as f:
        text = f.read()
    assert text.endswith("</html>\n"), text[-100:]
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])["jobs"][0]["steps"]["step"]


def check_launches(output, text, what):
    """Each launch has its line, whole, whatever was killed while it was written."""
    with open(os.path.join(output, "launches.jsonl")) as f:
        lines = [json.loads(line) for line in f]
    begun = [line for line in lines if "after_step" in line]
    assert [line["launch"] for line in begun] == list(range(begun[0]["launch"], begun[0]["launch"] + len(begun))), f"{what}: {lines}"
    resumed = re.search(r"continuing from the checkpoint of step (\d+)", text)
    assert begun[-1]["after_step"] == (int(resumed.group(1)) if resumed else 0), f"{what}: {lines}"
    assert all(line.get("why") for line in begun[1:]), f"{what}: {lines}"
    assert lines[-1] == {**lines[-1], "launch": begun[-1]["launch"], "ended": "adapter_written"}, f"{what}: {lines}"


def check_repeats(before, text):
    """`before` holds the rows of finished steps when the process died."""
    resumed = re.search(r"continuing from the checkpoint of step (\d+)", text)
    repeated = len(before) - (int(resumed.group(1)) if resumed else 0)
    assert repeated <= 1, f"{repeated} finished steps are done again\n{text}"


def finish(bench, output, want, what):
    """Launches until the job ends by itself; everything must be as if nothing had happened."""
    before = rows(output)
    code, text = bench.launch(output)
    assert code == 0, f"{what}: {text}"
    check_repeats(before, text)
    assert rows(output) == list(range(1, STEPS + 1)), f"{what}: rows {rows(output)}"
    assert digest(output) == want, f"{what}: other bytes"
    check_launches(output, text, what)
    assert reported(output) == list(range(1, STEPS + 1)), f"{what}: report.html has the steps {reported(output)}"
    shutil.rmtree(output)


def kill_at(bench, who, event, want):
    output = bench.fresh(f"{who}-{event}")
    try:
        code, _ = bench.launch(output, HANG, SHIM_KILL=f"{who}:{event}")
    except subprocess.TimeoutExpired:
        code = -1  # see end()
    # Behind the last thing that matters a death is not noticed: the job is done.
    if code == 0:
        assert digest(output) == want
    if code == 0 or os.path.exists(os.path.join(output, "report.html")):
        assert len(reported(output)) == STEPS
    finish(bench, output, want, f"{who} killed at event {event}")


def every_event(bench, want, events):
    tasks = [(who, n) for who, count in sorted(events.items()) for n in range(1, count + 1)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda task: kill_at(bench, *task, want), tasks))
    for who, count in sorted(events.items()):
        print(f"{who}: killed at each of {count} events")
    return len(tasks)


def children(pid):
    """(pid, name) of all processes below pid."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            below = [int(p) for p in f.read().split()]
    except OSError:
        return []
    found = []
    for p in below:
        try:
            with open(f"/proc/{p}/comm") as f:
                found.append((p, f.read().strip()))
        except OSError:
            pass
        found += children(p)
    return found


def kill_something(process, draw):
    """One of the job's processes, mpirun itself, or all of them."""
    ranks = [p for p, name in children(process.pid) if name.startswith("dash-")]
    victims = [[p] for p in ranks] + [[process.pid], ranks + [process.pid]]
    for pid in draw.choice(victims):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def end(process):
    """Open MPI 4.1's mpirun may wait without end for a rank that dies while it starts: dashd ends it then, as we do here."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        for pid in [p for p, _ in children(process.pid)] + [process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()


def start(bench, output):
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", "1"]
    command += [os.path.join(bench.programs, "dash-coordinator"), "--output", output, ":", "-np"]
    command += [str(WORKERS), os.path.join(bench.programs, "dash-worker")]
    cache = os.path.join(bench.folder, "spectra")
    return subprocess.Popen(
        command, env={**os.environ, **jobs.ENVIRONMENT, "DASH_CACHE": cache},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )


def killed_at_random(bench, name, seed, kills, span, want):
    """One job, killed `kills` times after a random time each, then finished."""
    draw = random.Random(seed)
    output = bench.fresh(name)
    done = 0
    while done < kills:
        process = start(bench, output)
        try:
            process.wait(draw.uniform(0, span))
        except subprocess.TimeoutExpired:
            kill_something(process, draw)
            end(process)
            done += 1
            continue
        # It was through before it could be killed: begin again.
        assert process.returncode == 0 and digest(output) == want
        shutil.rmtree(output)
        output = bench.fresh(name)
    finish(bench, output, want, f"{kills} random kills with seed {seed}")
    return kills


def random_kills(bench, want, span, total, seed):
    a_job = 10
    seeds = [seed + i for i in range((total + a_job - 1) // a_job)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        work = [
            pool.submit(killed_at_random, bench, f"random-{s}", s, a_job, span, want) for s in seeds
        ]
        done = sum(w.result() for w in work)
    print(f"{done} random kills, seeds {seeds[0]} to {seeds[-1]}")
    return done


def reference(bench):
    """An undisturbed run: its adapter's digest, how long it took, and the events of each process."""
    log = os.path.join(bench.folder, "events")
    os.makedirs(log)
    output = bench.fresh("reference")
    begin = time.monotonic()
    code, text = bench.launch(output, SHIM_LOG=log)
    assert code == 0, text
    events = {}
    for who in os.listdir(log):
        with open(os.path.join(log, who)) as f:
            names = [line.split()[0] for line in f]
        if who.startswith("dash-"):
            events[who] = sum(name != "malloc" for name in names)
    return digest(output), time.monotonic() - begin, events


def main():
    programs, shim, golden = map(os.path.abspath, sys.argv[1:4])
    what = sys.argv[4] if len(sys.argv) > 4 else "events"
    total, seed = (int(sys.argv[i]) if len(sys.argv) > i else d for i, d in ((5, 200), (6, 1)))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(programs, shim, golden, folder)
        want, seconds, events = reference(bench)
        assert set(events) == {"dash-coordinator.0", "dash-worker.1", "dash-worker.2"}, events
        if what == "events":
            every_event(bench, want, events)
        else:
            random_kills(bench, want, seconds, total, seed)


if __name__ == "__main__":
    main()
