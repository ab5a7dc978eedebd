"""Many tiny jobs at once while dashd is killed and started again; then many with nothing wrong, and dashd stays as small as it was.

usage: soak.py SHIM [JOBS [SEED]]

First JOBS jobs are queued, two may run, and dashd is killed every half to three seconds (seeded) until all are done: none is lost,
each runs to its end exactly once, and all have the same bytes. Then, in a dashd that is left alone, jobs and watchers
come and go: descriptors at rest stay the same, and memory grows by what the jobs' rows need.
"""
import os
import random
import re
import sys
import tempfile
import time

from service import *

KINDS = 2  # dash.prelaunch_steps 1 and 2: each has its bytes
SOAK_STEPS = 4
WARM, MEASURED, WATCHERS = 20, 60, 3
# A job that is done keeps its row, its last steps and its texts in memory, and SQLite their pages (up to 2 MiB): 6 KiB were
# measured. The rest is for gRPC's arenas, which grow and shrink.
GROWTH_KIB = MEASURED * 8 + 512
# dashd looks once a second for connections that gRPC has closed: it is at rest when nothing changes for three.
REST_S = 3


def create(service, i):
    return service.create(f"job-{i}", SOAK_STEPS, 1 + i % KINDS)


def finished(service, ids):
    jobs = {job.id: job for job in service.jobs()}
    assert set(ids) <= set(jobs), "a job is lost"
    return all(jobs[id].state in FINAL for id in ids)


def disturbed(service, ids, seed):
    """Kills dashd until all jobs are done; how often."""
    draw, kills = random.Random(seed), 0
    end = time.monotonic() + 3 * len(ids) + 60
    while True:
        alive_until = time.monotonic() + draw.uniform(0.5, 3)
        while time.monotonic() < alive_until:
            if finished(service, ids):
                return kills
            assert not service.has_ended(0.1), f"dashd ended by itself\n{service.log()}"
        assert time.monotonic() < end, f"not done in time\n{service.log()[-4000:]}"
        service.kill()
        assert service.start(), service.log()
        kills += 1


def check_jobs(service, ids):
    """All ended well, once. How many were launched more than once."""
    again = 0
    digests = [set() for _ in range(KINDS)]
    for i, id in enumerate(ids):
        job = service.job(id)
        assert job.state == pb.SUCCEEDED, f"job {id}: {job.reason}\n{job.log_tail}"
        with open(service.path(f"job-{i}", "logs/job.log")) as f:
            log = f.read()
        assert log.count("the adapter is in") == 1, f"job {id}:\n{log}"
        seen = []
        service.watch(id, seen)
        assert seen == list(range(1, SOAK_STEPS + 1)), f"job {id}: {seen}"
        digests[i % KINDS].add(service.digest(f"job-{i}"))
        again += job.restarts
    assert all(len(d) == 1 for d in digests), digests
    return again, [d.pop() for d in digests]


def at_rest(service):
    """(KiB of memory, descriptors), once nobody is connected but the one who asks."""
    base = f"/proc/{service.process.pid}"
    wait_for(lambda: not service.left_over(), "the jobs' processes end", service.deadline)
    count, since = 0, 0

    def steady():
        nonlocal count, since
        last, count = count, len(os.listdir(f"{base}/fd"))
        if count != last:
            since = time.monotonic()
        return time.monotonic() - since > REST_S
    wait_for(steady, "descriptors come to rest", service.deadline)
    with open(f"{base}/status") as f:
        memory = int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1])
    return memory, count


def undisturbed(service, first, n):
    """n jobs; while they run, watchers come, and go before and after the end."""
    ids = [create(service, i).id for i in range(first, first + n)]
    address = "unix:" + os.path.join(service.state, "dashd.sock")
    for id in ids:
        clients = [Client(address) for _ in range(WATCHERS)]
        streams = [c.WatchJob(id=id, timeout=service.deadline) for c in clients]
        next(streams[0])
        streams[0].cancel()
        clients[0].close()
        for stream in streams[1:]:
            list(stream)
        for client in clients[1:]:
            client.close()
    assert finished(service, ids)
    return ids


def soak(folder, shim, n, seed):
    service = Service(os.path.join(folder, "soak"), shim, "--max-running", "2")
    begin = time.monotonic()
    try:
        assert service.start(), service.log()
        ids = [create(service, i).id for i in range(n)]
        kills = disturbed(service, ids, seed)
        again, digests = check_jobs(service, ids)
        wait_for(lambda: not service.left_over(), "processes are left over", service.deadline)
        assert service.stop() == 0, service.log()
    finally:
        service.close()
    print(f"{n} jobs, dashd killed {kills} times (seed {seed}): none lost, none run twice, {again} relaunched, "
          f"{time.monotonic() - begin:.0f} s")
    return digests


def measure(folder, shim, digests):
    service = Service(os.path.join(folder, "measure"), shim, "--max-running", "2")
    try:
        assert service.start(), service.log()
        ids = undisturbed(service, 0, WARM)
        memory, descriptors = at_rest(service)
        ids += undisturbed(service, WARM, MEASURED)
        memory_after, descriptors_after = at_rest(service)
        assert check_jobs(service, ids) == (0, digests)
        assert service.stop() == 0, service.log()
    finally:
        service.close()
    print(f"{MEASURED} jobs after {WARM}: {memory} to {memory_after} KiB, {descriptors} to {descriptors_after} descriptors")
    assert descriptors_after == descriptors, "descriptors are lost"
    assert memory_after - memory <= GROWTH_KIB, f"memory grows by more than {GROWTH_KIB} KiB"


def main():
    shim = os.path.abspath(sys.argv[1])
    n, seed = (int(sys.argv[i]) if len(sys.argv) > i else d for i, d in ((2, 200), (3, 1)))
    with tempfile.TemporaryDirectory() as folder:
        digests = soak(folder, shim, n, seed)
        measure(folder, shim, digests)


if __name__ == "__main__":
    main()
