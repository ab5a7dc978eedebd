"""The memory of a process and all that descend from it, as proportional set sizes (Pss)."""
import os
import time


def children():
    """{pid: its children}"""
    tree = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        tree.setdefault(parent, []).append(int(pid))
    return tree


def pss_bytes(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
            return 1024 * sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    except OSError:
        return 0


def below(pid):
    tree, todo, total = children(), [pid], 0
    while todo:
        at = todo.pop()
        total += pss_bytes(at)
        todo += tree.get(at, [])
    return total


def watch(process):
    """Waits for a process. Returns the largest memory seen, in bytes, looking twice a second."""
    most = 0
    while process.poll() is None:
        most = max(most, below(process.pid))
        time.sleep(0.5)
    return most
