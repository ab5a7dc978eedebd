"""Stops that are asked for, and those that the numbers ask for.

usage: stops.py PROGRAMS GOLDEN

SIGTERM and SIGINT to a coordinator: it finishes its step, leaves a checkpoint and exits with 3; the next launch continues to the bytes of
an undisturbed run. A gradient that is zero for a whole module or not finite stops the job with the module's name, and
the last good checkpoint stays.
"""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../parity"), os.path.join(HERE, "..")]
import jobs
import tensors
from processes import SLOWNESS, wait_for

STOPPED = 3
DEADLINE = 60 * SLOWNESS
LONG = """
lora: {rank: 4, dropout: 0.1}
dash: {prelaunch_steps: 30, directions: 3}
training: {batch_size: 8, steps: 300}
"""


def rows(output):
    path = os.path.join(output, "metrics.jsonl")
    if not os.path.exists(path):
        return 0
    with open(path) as f:
        return f.read().count("\n")


def outcome(output):
    with open(os.path.join(output, "outcome.json")) as f:
        return json.load(f)


def digest(output):
    with open(os.path.join(output, "adapter/adapter_model.safetensors"), "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def coordinator_of(process):
    """The pid of the rank 0 that mpirun has started."""
    for name in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{name}/children") as f:
            for pid in f.read().split():
                with open(f"/proc/{pid}/comm") as comm:
                    if comm.read().startswith("dash-coord"):
                        return int(pid)
    return 0


def start(programs, output):
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", "1"]
    command += [os.path.join(programs, "dash-coordinator"), "--output", output]
    command += [":", "-np", "1", os.path.join(programs, "dash-worker")]
    return subprocess.Popen(
        command, env={**os.environ, **jobs.ENVIRONMENT, "DASH_CACHE": output + "-spectra"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )


def stopped_and_resumed(programs, model, data, folder):
    undisturbed, output = os.path.join(folder, "undisturbed"), os.path.join(folder, "stopped")
    for path in (undisturbed, output):
        jobs.write_job(path, model, data, LONG)
    code, text = jobs.run(programs, undisturbed, 1)
    assert code == 0, text
    for number, step in ((signal.SIGTERM, 10), (signal.SIGINT, 60), (signal.SIGTERM, 150)):
        process = start(programs, output)
        wait_for(lambda: rows(output) >= step, f"step {step} is written", DEADLINE)
        os.kill(coordinator_of(process), number)
        assert process.wait(DEADLINE) == STOPPED
        told = outcome(output)
        assert told["how"] == "stopped" and told["reason"] == f"stopped after step {rows(output)}", told
    code, text = jobs.run(programs, output, 1)
    assert code == 0, text
    assert rows(output) == 300 and digest(output) == digest(undisturbed)
    print("stopped three times by a signal: the same bytes")


def write_adapter(folder, golden, change):
    """golden's start adapter with its tensors changed."""
    shutil.copytree(os.path.join(golden, "init"), folder)
    path = os.path.join(folder, "adapter_model.safetensors")
    os.chmod(path, 0o644)
    header, data = {}, b""
    for name, values in tensors.load(path).items():
        values = numpy.array(change(name, values), dtype="<f4")
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


def refused(programs, output, words):
    code, text = jobs.run(programs, output, 1)
    assert code not in (0, STOPPED), text
    told = outcome(output)
    assert told["how"] == "failed", told
    for word in words:
        assert word in told["reason"], (word, told)
    print(told["reason"])


def zero_gradient(programs, golden, model, data, folder):
    start_adapter = os.path.join(folder, "zero")
    write_adapter(start_adapter, golden, lambda name, v: v * ("layers.2.self_attn.v_proj" not in name))
    output = os.path.join(folder, "zero-out")
    lines = LONG.replace("rank: 4", f"rank: 8, alpha: 16, init_adapter: {start_adapter}")
    jobs.write_job(output, model, data, lines)
    refused(programs, output, ["step 1", "model.layers.2.self_attn.v_proj", "zero"])


def not_finite(programs, model, data, folder):
    output = os.path.join(folder, "inf-out")
    lines = LONG.replace("steps: 300", "steps: 300, learning_rate: 1.0e+30, clip_norm: 0, warmup_steps: 4")
    jobs.write_job(output, model, data, lines)
    refused(programs, output, ["step ", "model.layers.0.self_attn.q_proj", "not finite", "learning_rate"])
    done = rows(output)
    assert os.path.exists(os.path.join(output, f"checkpoint/step-{done:08d}.checkpoint"))


def main():
    programs, golden = map(os.path.abspath, sys.argv[1:3])
    model, data = os.path.join(golden, "model"), os.path.join(golden, "train.jsonl")
    with tempfile.TemporaryDirectory() as folder:
        stopped_and_resumed(programs, model, data, folder)
        zero_gradient(programs, golden, model, data, folder)
        not_finite(programs, model, data, folder)


if __name__ == "__main__":
    main()
