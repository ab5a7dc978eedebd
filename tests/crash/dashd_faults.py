"""The n-th write, fsync, rename and allocation of dashd fails, for every n of a short job.

usage: dashd_faults.py SHIM [CLASS...]

dashd must neither die by a signal nor hang. It refuses in words what it cannot do, and a refused change has not been made; or
it tries again by itself. It may end in words while it starts. Whatever it said, the job can then be brought to the
bytes of an undisturbed run, and dashd reports of it what the next dashd, which only has the disk, reports. Allocations are
counted by call stack (see shim.c): the first of each is refused.

The same for the process in which dashd checks a job ("dashd.check"): each one fails, so the job is refused in words or is not
harmed, and dashd without faults takes it.
"""
import collections
import concurrent.futures
import os
import sys
import tempfile

from service import *

CLASSES = {"malloc": "malloc", "write": "write", "fsync": "fsync", "fdatasync": "fsync",
           "rename": "rename"}
WHO = ("dashd", "dashd.check")
REFUSALS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
TRIES = 4


def count_calls(service):
    log = service.path("events")
    os.makedirs(log)
    assert service.start(SHIM_LOG=log), service.log()
    whole_job(service, "undisturbed")
    calls = {}
    for who in WHO:
        with open(os.path.join(log, who)) as f:
            counted = collections.Counter(CLASSES.get(line.split()[0]) for line in f)
        calls |= {(who, kind): n for kind, n in counted.items() if kind}
    return calls


def check_refusal(service, e):
    # A model that could not be read for lack of memory is reported as a problem of the job.
    told = e.code() in REFUSALS or "out of memory" in e.details()
    assert told and e.details(), f"{e.code()} {e.details()}\n{service.log()}"
    assert not service.has_ended(), f"status {service.process.returncode}\n{service.log()}"


class Refusals(list):
    """What dashd has refused, in its words."""

    def ask(self, service, call):
        """What the call returns, once it is not refused."""
        for _ in range(TRIES):
            try:
                return call()
            except grpc.RpcError as e:
                check_refusal(service, e)
                self.append(e.details())
        raise AssertionError(f"still refused: {self}")


def create(service, refused):
    def call():
        jobs = service.jobs()
        if jobs and refused[-1].startswith("the call succeeded, but"):
            return jobs[0]
        assert not jobs, f"refused and yet made: {refused}"
        return service.create()
    return refused.ask(service, call)


def follow(service, id, refused):
    """The job's end. A job that failed in words is resumed."""
    for _ in range(TRIES):
        seen = []
        end = refused.ask(service, lambda: (seen.clear(), service.watch(id, seen))[1])
        if end.state == pb.SUCCEEDED:
            return end, seen
        assert end.state == pb.FAILED and end.reason, f"{end}\n{service.log()}"
        refused.append(end.reason)
        refused.ask(service, lambda: service.client.ResumeJob(id=id))
    raise AssertionError(f"still fails: {refused}\n{service.log()}")


def whole_job(service, what, job=None):
    """Creates (unless there is a job), follows, looks and stops. Returns what was refused on the way."""
    refused = Refusals()
    job = job or create(service, refused)
    end, seen = follow(service, job.id, refused)
    refused.ask(service, lambda: service.client.GetLogs(id=job.id))
    told = refused.ask(service, lambda: service.job(job.id))
    assert seen == list(range(1, STEPS + 1)), f"{what}: {seen}\n{service.log()}"
    wait_for(lambda: not service.left_over(), f"{what}: processes are left over", service.deadline)
    assert service.stop() == 0, f"{what}: status {service.process.returncode}\n{service.log()}"
    return refused, job.id, told


def check_disk(service, id, told, what):
    """The next dashd reports the same."""
    assert service.start(), service.log()
    found, seen = service.job(id), []
    service.watch(id, seen)
    for field in ("state", "reason", "restarts", "steps_done", "steps_total", "finished_ms", "last_step"):
        assert getattr(found, field) == getattr(told, field), f"{what}: {field}\n{found}\n{told}"
    assert seen == list(range(1, STEPS + 1)), f"{what}: {seen}"
    assert service.stop() == 0, service.log()


def create_under_fault(service):
    """Every check fails: the job is refused in words and not made, unless it does not need the call. What was said, and the job."""
    try:
        return [], service.create()
    except grpc.RpcError as e:
        check_refusal(service, e)
        assert not service.jobs() and not os.path.exists(service.path("out")), "refused and yet made"
        assert service.stop() == 0, service.log()
        assert service.start(), service.log()
        return [e.details()], None


def fault(folder, shim, want, who, kind, n):
    """(what failed, what was said, what is wrong about it or None)."""
    what = f"{who}: {kind} {n}"
    service = Service(os.path.join(folder, f"{who}-{kind}-{n}"), shim, deadline=20)
    said, job, wrong = [], None, None
    try:
        if not service.start(SHIM_FAIL=f"{who}:{kind}:{n}"):
            said = [service.log().strip()]
            assert service.process.returncode == 1, f"status {service.process.returncode}"
            assert " error " in said[0] or "out of memory" in said[0]
            assert service.start(), service.log()
        if who == "dashd.check":
            said, job = create_under_fault(service)
        refused, id, told = whole_job(service, what, job)
        assert service.digest() == want, f"{what}: other bytes"
        check_disk(service, id, told, what)
        assert "Sanitizer" not in service.log(), service.log()
        said = said + refused
    except (AssertionError, grpc.RpcError, OSError, subprocess.SubprocessError) as e:
        wrong = f"{what}: {e}\n{service.log()}"
    finally:
        service.close()
    return what, said, wrong


def main():
    shim, kinds = os.path.abspath(sys.argv[1]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        service = Service(os.path.join(folder, "undisturbed"), shim)
        try:
            calls = count_calls(service)
            want = service.digest()
        finally:
            service.close()
        tasks = [(who, kind, n) for (who, kind), count in sorted(calls.items()) for n in range(1, count + 1)
                 if not kinds or kind in kinds]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda task: fault(folder, shim, want, *task), tasks))
    if os.environ.get("VERBOSE"):
        for what, said, _ in results:
            print(what, "->", said)
    wrong = [wrong for _, _, wrong in results if wrong]
    if wrong:
        sys.exit("\n".join(wrong))
    for who, kind in sorted({task[:2] for task in tasks}):
        reported = sum(bool(said) for what, said, _ in results if what.startswith(f"{who}: {kind} "))
        print(f"{who}: each of {calls[who, kind]} calls of {kind} failed once, {reported} were reported")


if __name__ == "__main__":
    main()
