"""kill -9 of dashd at every durable event of its own: its job ends as if nothing had happened.

usage: dashd_events.py SHIM [SENDS]

The events are learned from one run of a short job: all that touch the disk, and SENDS of those that send (seeded; 0: all
of them). dashd is killed before each in turn; another takes its place. A CreateJob that broke has made the job whole or
not at all: asked again it makes it, or names the owner of the output folder.
"""
import collections
import concurrent.futures
import os
import random
import sys
import tempfile

from service import *

SEED = 1


def undisturbed(folder, shim):
    """The adapter's digest, and the names of the events in their order."""
    service = Service(os.path.join(folder, "undisturbed"), shim)
    log = service.path("events")
    os.makedirs(log)
    try:
        assert service.start(SHIM_LOG=log), service.log()
        job, seen = service.create(), []
        end = service.watch(job.id, seen)
        want = service.digest()
        check_end(service, job.id, end, seen, want, "undisturbed")
        with open(os.path.join(log, "dashd")) as f:
            names = [line.split()[0] for line in f]
    finally:
        service.close()
    return want, [name for name in names if name != "malloc"]


def survive(service, call):
    """What the call returns, or None if dashd was killed in it; then there is another dashd."""
    try:
        return call()
    except grpc.RpcError as e:
        assert e.code() in LOST and service.has_ended(5), f"{e.code()} {e.details()}\n{service.log()}"
    assert service.process.returncode == -signal.SIGKILL, service.log()
    assert service.start(), service.log()
    return None


def create_again(service):
    """After a CreateJob that broke."""
    jobs = service.jobs()
    if not jobs:
        return service.create()
    assert len(jobs) == 1, jobs
    try:
        service.create()
    except grpc.RpcError as e:
        assert f"belongs to job {jobs[0].id}" in e.details(), e.details()
        return jobs[0]
    raise AssertionError("two jobs have one output folder")


def kill_at(folder, shim, n, want):
    """True if there was an event n."""
    what = f"dashd killed at event {n}"
    service = Service(os.path.join(folder, f"event-{n}"), shim)
    try:
        if not service.start(SHIM_KILL=f"dashd:{n}"):
            assert service.process.returncode == -signal.SIGKILL, service.log()
            assert service.start(), service.log()
        job = survive(service, service.create) or create_again(service)
        seen, end = [], None
        while not end or end.state not in FINAL:
            end = survive(service, lambda: service.watch(job.id, seen))
        assert end.restarts == 0, f"{what}: {list(end.notices)}"
        if service.starts == 1 and service.stop() == -signal.SIGKILL:
            assert service.start(), service.log()
            end = service.job(job.id)
        killed = service.starts > 1
        if killed:
            check_end(service, job.id, end, seen, want, what)
    finally:
        service.close()
    return killed


def choose(names, sends):
    draw = random.Random(SEED)
    of_disk = [n for n, name in enumerate(names, 1) if name != "sendmsg"]
    of_send = [n for n, name in enumerate(names, 1) if name == "sendmsg"]
    if sends and sends < len(of_send):
        of_send = sorted(draw.sample(of_send, sends))
    return of_disk + of_send


def main():
    shim = os.path.abspath(sys.argv[1])
    sends = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as folder:
        want, names = undisturbed(folder, shim)
        events = choose(names, sends)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            killed = sum(pool.map(lambda n: kill_at(folder, shim, n, want), events))
    counts = ", ".join(f"{n} {name}" for name, n in sorted(collections.Counter(names).items()))
    print(f"dashd has {len(names)} events ({counts}); killed at {killed} of {len(events)} chosen, seed {SEED}")


if __name__ == "__main__":
    main()
