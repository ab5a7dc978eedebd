"""What tests in Python share: waiting with a deadline, and the processes that belong to a folder."""
import os
import time

SLOWNESS = float(os.environ.get("DASH_TEST_SLOWNESS", "1"))  # of this machine: deadlines grow with it
DEADLINE = float(os.environ.get("DASH_TEST_DEADLINE", "30")) * SLOWNESS


def wait_for(condition, what, deadline=DEADLINE):
    """Waits until condition() is true, and returns what it returned. what: words, or a function called when the time is over."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {deadline} s still not: {what() if callable(what) else what}")
        time.sleep(0.02)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def open_files(pid):
    """The names of the files that a process has open. Those that it closes meanwhile are left out."""
    names = []
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            names.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
        except FileNotFoundError:
            pass
    return names


def processes_of(folder):
    """The command lines, by process ID, of all processes whose command line, working folder or SLURM_CONF names the folder."""
    found = {}
    name = folder.encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                line = f.read()
            cwd = os.readlink(f"/proc/{pid}/cwd").encode()
            ours = name in line or (cwd + b"/").startswith(name + b"/")
            if not ours:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    ours = b"SLURM_CONF=" + name + b"/" in f.read()
        except OSError:
            continue
        if ours and is_alive(pid) and int(pid) != os.getpid():
            found[int(pid)] = line.replace(b"\0", b" ").decode(errors="replace")
    return found
