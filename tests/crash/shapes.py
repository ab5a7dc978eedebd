"""A job begun in one shape and finished in another gives the bytes of an undisturbed run.

usage: shapes.py PROGRAMS SHIM GOLDEN

Each of stages 1 to 4 x replicas 1, 2, 4 x threads 1, 2 is killed in the middle once and takes over from another once.
"""
import itertools
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crash
import jobs

SHAPES = list(itertools.product((1, 2, 3, 4), (1, 2, 4), (1, 2)))


def write(bench, name, shape):
    """The job in its folder, in this shape; what is there already stays."""
    output = os.path.join(bench.folder, name)
    path = os.path.join(output, "job.yaml")
    if not os.path.exists(path):
        bench.fresh(name)
    with open(path) as f:
        lines = [line for line in f if not line.startswith("parallel")]
    with open(path, "w") as f:
        f.writelines(lines)
        f.write("parallel: {stages: %d, replicas: %d, threads: %d}\n" % shape)
    return output


def run(bench, output, shape, **extra):
    workers = shape[0] * shape[1]
    return jobs.run(bench.programs, output, workers, bench.environment(**extra), crash.DEADLINE)


def hand_over(bench, want, i):
    """SHAPES[i] dies at some event of the middle; another shape finishes. 7 is coprime to 24: each takes over once."""
    first, second = SHAPES[i], SHAPES[(i * 7 + 5) % len(SHAPES)]
    name = "%d-%d-%d" % first
    output = write(bench, name, first)
    code, text = run(bench, output, first, SHIM_KILL=f"dash-coordinator.0:{25 + 2 * i}")
    assert code != 0, f"{first} was not killed\n{text}"
    done = len(crash.rows(output))
    assert 0 < done < crash.STEPS, f"{first} was killed after {done} steps"
    write(bench, name, second)
    code, text = run(bench, output, second)
    assert code == 0, f"{second} takes over from {first}: {text}"
    assert crash.digest(output) == want, f"{second} after {first}: other bytes"
    print("stages %d, replicas %d, threads %d" % first, f"for {done} steps, then", second)


def main():
    programs, shim, golden = map(os.path.abspath, sys.argv[1:4])
    with tempfile.TemporaryDirectory() as folder:
        bench = crash.Bench(programs, shim, golden, folder)
        want, _, events = crash.reference(bench)
        for i in range(len(SHAPES)):
            hand_over(bench, want, i)


if __name__ == "__main__":
    main()
