"""The n-th malloc, write, fsync and rename of a coordinator and of a worker fail, for every n of a short job.

usage: faults.py PROGRAMS SHIM GOLDEN [CLASS...]

Each time the job must end by itself, with a sentence in its log and in outcome.json unless it could do without, never by a
signal; and a launch without the fault continues from there to the bytes of an undisturbed run. Allocations are counted by
call stack (see shim.c): the first of each is refused.
"""
import collections
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crash

CLASSES = {"malloc": "malloc", "write": "write", "fsync": "fsync", "fdatasync": "fsync",
           "rename": "rename"}
HANG = 20
WHO = ("dash-coordinator.0", "dash-worker.1", "dash-worker.2")


def count_calls(bench):
    """{(who, class): calls} of an undisturbed run, and its digest."""
    log = os.path.join(bench.folder, "events")
    os.makedirs(log)
    output = bench.fresh("reference")
    code, text = bench.launch(output, SHIM_LOG=log)
    assert code == 0, text
    calls = collections.Counter()
    for who in WHO:
        with open(os.path.join(log, who)) as f:
            for line in f:
                kind = CLASSES.get(line.split()[0])
                calls[who, kind] += 1
    return {k: n for k, n in calls.items() if k[1]}, crash.digest(output)


def told(output, text):
    """The reason in outcome.json, or the error in the log where there could be none."""
    path = os.path.join(output, "outcome.json")
    if os.path.exists(path):
        with open(path) as f:
            outcome = json.load(f)
        assert outcome["how"] in ("failed", "lost") and outcome["reason"], outcome
        return outcome["reason"]
    errors = [line for line in text.splitlines() if " error " in line]
    assert errors, f"nothing is said:\n{text}"
    return errors[0]


def launch(bench, output, **extra):
    """Open MPI 4.1's mpirun now and then waits without end after an abort (dashd ends it then). The words must be there all the same."""
    try:
        return bench.launch(output, HANG, **extra)
    except subprocess.TimeoutExpired as hang:
        text = hang.stdout or ""
        return -1, text if isinstance(text, str) else text.decode(errors="replace")


def fault(bench, want, who, kind, n):
    what = f"{who}: {kind} {n}"
    output = bench.fresh(what.replace(": ", "-").replace(" ", "-"))
    # Decompositions of its own: the cache is written, and fails, too.
    cache = os.path.join(output, "spectra")
    code, text = launch(bench, output, SHIM_FAIL=f"{who}:{kind}:{n}", DASH_CACHE=cache)
    for sign in ("signal 11", "signal 6", "Assertion", "Sanitizer"):
        assert sign not in text, f"{what}: {text}"
    if code == 0:
        assert crash.digest(output) == want, f"{what}: other bytes"
        reason = None
    else:
        reason = told(output, text)
        if kind == "malloc":
            assert "memory" in reason or "started" in reason, f"{what}: {reason}"
        if kind != "malloc":
            crash.finish(bench, output, want, what)
    shutil.rmtree(output, ignore_errors=True)
    return what, reason


def main():
    programs, shim, golden = map(os.path.abspath, sys.argv[1:4])
    with tempfile.TemporaryDirectory() as folder:
        bench = crash.Bench(programs, shim, golden, folder)
        calls, want = count_calls(bench)
        tasks = [(who, kind, n) for (who, kind), count in sorted(calls.items())
                 for n in range(1, count + 1)]
        if len(sys.argv) > 4:
            tasks = [t for t in tasks if t[1] in sys.argv[4:]]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda task: fault(bench, want, *task), tasks))
    for what, reason in results:
        if os.environ.get("VERBOSE"):
            print(what, "->", reason)
    for (who, kind), count in sorted(calls.items()):
        print(f"{who}: each of {count} calls of {kind} failed once")


if __name__ == "__main__":
    main()
