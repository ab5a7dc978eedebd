"""A rank that sends a wrong message, has another model or is of another build ends the job with a sentence that names it.

usage: lies.py PROGRAMS LIE GOLDEN [PATTERN]

Each row of the tables is one job of golden/tiny's model by real programs, of which one lies (see lie.c). No program may die
of a signal. A wrong message is "lost", so that the job is tried again; another model or build is "failed", since
the next launch would meet it again.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../parity"))
import jobs

HANG = 30
JOB = """
lora: {{rank: 2, target_modules: [q_proj, up_proj]}}
dash: {{prelaunch_steps: 1, directions: 2}}
training: {{batch_size: 4, micro_batches: 4, steps: 3}}
parallel: {{stages: {stages}, replicas: {replicas}, threads: 1}}
launcher: {launcher}
"""
COORDINATOR, FIRST, LAST = "dash-coordinator.0", "dash-worker.1", "dash-worker.2"

# Who lies, in which message, how, and what must be said. Jobs have two stages and one replica.
MESSAGES = [
    # The coordinator's setup, as the first worker finds it.
    (COORDINATOR, "SETUP:1:cut=1", "lengths are wrong"),
    (COORDINATOR, "SETUP:1:grow=1", "lengths are wrong"),
    (COORDINATOR, "SETUP:1:cut=100", "setup"),
    (COORDINATOR, "SETUP:1:setup.path_len=-1", "lengths are wrong"),
    (COORDINATOR, "SETUP:1:setup.cache_len=-1", "lengths are wrong"),
    (COORDINATOR, "SETUP:1:setup.n_maps=0", "lengths are wrong"),
    (COORDINATOR, "SETUP:1:setup.n_maps=-1", "lengths are wrong"),
    (COORDINATOR, "SETUP:1:setup.map_rank=0", "LoRA rank 0"),
    (COORDINATOR, "SETUP:1:setup.map_kind=77", "kind 77"),
    (COORDINATOR, "SETUP:1:setup.scaling=7", "scaling 7"),
    (COORDINATOR, "SETUP:1:setup.precision=7", "precision 7"),
    (COORDINATOR, "SETUP:1:setup.directions=-1", "-1 directions"),
    (COORDINATOR, "SETUP:1:setup.stage=-1", "stage -1 of 2"),
    (COORDINATOR, "SETUP:1:setup.stage=2", "stage 2 of 2"),
    (COORDINATOR, "SETUP:1:setup.stage=1", "which is not rank 1"),
    (COORDINATOR, "SETUP:1:setup.stages=0", "stage 0 of 0"),
    (COORDINATOR, "SETUP:1:setup.stages=0x7fffffff", "for 2 workers"),
    (COORDINATOR, "SETUP:1:setup.replicas=0", "replica 0 of 0"),
    (COORDINATOR, "SETUP:1:setup.replicas=0x7fffffff", "for 2 workers"),
    (COORDINATOR, "SETUP:1:setup.replica=1", "replica 1 of 1"),
    (COORDINATOR, "SETUP:1:setup.first_layer=-1", "layers -1 to"),
    (COORDINATOR, "SETUP:1:setup.first_layer=1", "layers 1 to"),
    (COORDINATOR, "SETUP:1:setup.last_layer=0", "layers 0 to 0"),
    (COORDINATOR, "SETUP:1:setup.last_layer=1000", "layers 0 to 1000"),
    (COORDINATOR, "SETUP:1:setup.threads=-1", "-1 threads"),
    (COORDINATOR, "SETUP:1:setup.threads=1000000", "1000000 threads"),
    (COORDINATOR, "SETUP:1:tag=STEP", "its tag is 3"),
    # Its steps.
    (COORDINATOR, "STEP:1:cut=1", "micro-batch"),
    (COORDINATOR, "STEP:1:grow=4", "left over"),
    (COORDINATOR, "STEP:1:step.step=0", "step 0"),
    (COORDINATOR, "STEP:1:step.n_micro=-1", "-1 micro-batches"),
    (COORDINATOR, "STEP:1:step.n_micro=0x7fffffff", "2147483647 micro-batches"),
    (COORDINATOR, "STEP:1:step.n_micro=0", "left over"),
    (COORDINATOR, "STEP:1:step.dash=1", "a step with directions"),
    (COORDINATOR, "STEP:1:step.dash=7", "flags 7"),
    (COORDINATOR, "STEP:1:step.evaluate=2", "flags 0 and 2"),
    (COORDINATOR, "STEP:1:step.n_params=0", "with 0 parameters"),
    (COORDINATOR, "STEP:1:step.n_params=-1", "with 4294967295 parameters"),
    (COORDINATOR, "STEP:1:step.inv_trained=nan", "weight"),
    (COORDINATOR, "STEP:1:step.params=inf", "parameter that is not finite"),
    (COORDINATOR, "STEP:1:micro.index=-1", "micro-batch -1"),
    (COORDINATOR, "STEP:1:micro.T=0", "of 0 tokens"),
    (COORDINATOR, "STEP:1:micro.T=-1", "of -1 tokens"),
    (COORDINATOR, "STEP:1:micro.T=0x7fffffff", "within a micro-batch"),
    (COORDINATOR, "STEP:1:micro.n_segments=0", "in 0 segments"),
    (COORDINATOR, "STEP:1:micro.n_segments=-1", "in -1 segments"),
    (COORDINATOR, "STEP:1:micro.n_trained=0", "announces 0"),
    (COORDINATOR, "STEP:1:micro.is_tree=2", "flag of a tree is 2"),
    (COORDINATOR, "STEP:1:micro.ids=-1", "token -1"),
    (COORDINATOR, "STEP:1:micro.ids=1000000", "token 1000000"),
    (COORDINATOR, "STEP:1:micro.targets=-1", "target -1"),
    (COORDINATOR, "STEP:1:micro.targets=1000000", "target 1000000"),
    (COORDINATOR, "STEP:5:step.dash=0", "a step without directions"),
    (COORDINATOR, "STEP:1:tag=UNKNOWN", "its tag is 77"),
    # Directions.
    (COORDINATOR, "IDENTIFY:1:cut=4", "parameters"),
    (COORDINATOR, "IDENTIFY:1:grow=1", "parameters"),
    (COORDINATOR, "IDENTIFY:1:params=nan", "not finite"),
    (COORDINATOR, "DIRECTIONS:1:cut=4", "cut off"),
    (COORDINATOR, "DIRECTIONS:1:grow=4", "left over"),
    (COORDINATOR, "DIRECTIONS:1:directions.map=1", "directions of map 1 where those of 0"),
    (COORDINATOR, "DIRECTIONS:1:directions.map=-1", "directions of map -1"),
    (COORDINATOR, "DIRECTIONS:1:directions.k=-1", "-1 directions"),
    (COORDINATOR, "DIRECTIONS:1:directions.k=0x7fffffff", "2147483647 directions"),
    (COORDINATOR, "DIRECTIONS:1:directions.rows=-1", "of a -1 x"),
    (COORDINATOR, "DIRECTIONS:1:directions.columns=1", "x 1 map"),
    (COORDINATOR, "DIRECTIONS:1:directions.index=-1", "index of a direction"),
    (COORDINATOR, "DIRECTIONS:1:twice=1", "not due"),
    # A worker's answers.
    (FIRST, "READY:1:cut=1", "bytes to say that it is ready"),
    (FIRST, "READY:1:grow=1", "bytes to say that it is ready"),
    (FIRST, "READY:1:cut=32", "0 bytes to say that it is ready"),
    (FIRST, "READY:1:ready.threads=-1", "-1 threads"),
    (FIRST, "READY:1:tag=GRADIENTS", "its tag is 7 where 6 is due"),
    (FIRST, "READY:1:twice=1", "(has answered before|its tag is 6)"),
    (FIRST, "GRADIENTS:1:cut=1", "bytes for"),
    (FIRST, "GRADIENTS:1:grow=1", "bytes for"),
    (FIRST, "GRADIENTS:1:gradients.step=2", "an answer to step 2 where step 1"),
    (FIRST, "GRADIENTS:1:gradients.n_losses=1", "1 losses"),
    (FIRST, "GRADIENTS:1:gradients.n_params=0", "0 gradients"),
    (FIRST, "GRADIENTS:1:gradients.n_params=-1", "4294967295 gradients"),
    (FIRST, "GRADIENTS:1:gradients.seconds=nan", "not a number"),
    (FIRST, "GRADIENTS:1:twice=1", "has answered before|its tag is"),
    (LAST, "GRADIENTS:1:gradients.n_losses=-1", "-1 losses"),
    (LAST, "GRADIENTS:1:gradients.n_losses=0x7fffffff", "2147483647 losses"),
    (FIRST, "PROGRESS:1:cut=1", "bytes where progress has"),
    (FIRST, "PROGRESS:1:grow=1", "bytes where progress has"),
    (FIRST, "PROGRESS:1:progress.n=0", "of 0 matrices"),
    (FIRST, "PROGRESS:1:progress.done=-1", "-1 of"),
    (FIRST, "PROGRESS:1:progress.seconds_left=nan", "nan s left"),
    (FIRST, "GRADIENTS:1:tag=ACTIVATION", "its tag is"),
    (FIRST, "IDENTIFIED:1:cut=1", "cut off"),
    (FIRST, "IDENTIFIED:1:grow=24", "left over"),
    (FIRST, "IDENTIFIED:1:directions.map=-1", "directions of map -1"),
    (FIRST, "IDENTIFIED:1:directions.map=1000", "directions of map 1000"),
    (FIRST, "IDENTIFIED:1:directions.k=3", "3 directions"),
    (FIRST, "IDENTIFIED:1:directions.rows=0", "of a 0 x"),
    (FIRST, "IDENTIFIED:1:directions.index=1000", "index of a direction"),
    (FIRST, "IDENTIFIED:1:directions.next_delta=nan", "delta"),
    # From worker to worker.
    (FIRST, "ACTIVATION:1:cut=4", "bytes for a micro-batch"),
    (FIRST, "ACTIVATION:1:grow=4", "bytes for a micro-batch"),
    (LAST, "BACKWARD:1:cut=4", "bytes for a micro-batch"),
]

# Five workers cannot share the job out: rank 5 has no part in it, but gets the setup of another.
SPARE = [(COORDINATOR, "SETUP:1:to=5", r"rank 5 \(node \S+\) sent a wrong message: it has no part in the job")]


class Bench:
    def __init__(self, programs, lie, golden, folder):
        self.programs, self.lie, self.folder = programs, lie, folder
        self.model, self.data = os.path.join(golden, "model"), os.path.join(golden, "train.jsonl")

    def launch(self, what, workers=2, stages=2, replicas=1, **environment):
        """Returns how the job ended and why."""
        output = os.path.join(self.folder, "job")
        shutil.rmtree(output, ignore_errors=True)
        jobs.write_job(output, self.model, self.data, JOB.format(
            stages=stages, replicas=replicas, launcher="slurm" if stages == "auto" else "local"))
        try:
            code, text = jobs.run(self.programs, output, workers,
                                  {"LD_PRELOAD": self.lie, **environment}, HANG)
        except subprocess.TimeoutExpired as hang:  # of mpirun after an abort: see faults.py
            code, text = -1, hang.stdout or ""
            text = text if isinstance(text, str) else text.decode(errors="replace")
        for sign in ("signal 11", "signal 6", "Assertion", "Sanitizer", "runtime error", "lie.c:"):
            assert sign not in text, f"{what}: {text}"
        path = os.path.join(output, "outcome.json")
        assert os.path.exists(path), f"{what}: no outcome\n{text}"
        with open(path) as f:
            outcome = json.load(f)
        return outcome["how"], outcome["reason"]

    def check(self, what, how, words, **options):
        found, reason = self.launch(what, **options)
        print(f"{what} -> {found}: {reason}")
        assert found == how, f"{what} -> {found}: {reason}"
        for part in words:
            assert re.search(part, reason), f"{what}: '{part}' is not in: {reason}"


def sender(who, lie):
    """The rank that must be named."""
    return rf"rank {who.rsplit('.', 1)[1]} \(node \S+\) sent a wrong message"


def check_messages(bench, pattern):
    for who, lie, words in MESSAGES:
        if re.search(pattern, who + ":" + lie):
            bench.check(f"{who}:{lie}", "lost", [sender(who, lie), words], LIE=f"{who}:{lie}")
    for who, lie, words in SPARE:
        if re.search(pattern, who + ":" + lie):
            bench.check(f"{who}:{lie}", "lost", [words], LIE=f"{who}:{lie}", stages="auto", replicas="auto",
                        workers=5)


# ---- another model ----

def read_tensors(path):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header, data = json.loads(f.read(size)), f.read()
    return header, data


def write_tensors(path, header, data, blanks):
    """The header is padded to the length that the file's own has now, plus some blanks."""
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size + blanks)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def cut_rows(header, data, names, rows):
    """The tensors of these names with their first rows only; all others as they are."""
    whole, at = bytearray(), 0
    for name, t in sorted(((n, t) for n, t in header.items() if n != "__metadata__"),
                          key=lambda item: item[1]["data_offsets"]):
        begin, end = t["data_offsets"]
        if name in names:
            end = begin + (end - begin) // t["shape"][0] * rows
            t["shape"][0] = rows
        whole += data[begin:end]
        t["data_offsets"] = [at, at + end - begin]
        at += end - begin
    return bytes(whole)


def other_model(bench, name, config=None, rows=None, flip=False, blanks=0):
    """A copy of the model with other settings, a smaller vocabulary, a flipped bit or another header."""
    folder = os.path.join(bench.folder, name)
    shutil.copytree(bench.model, folder)
    path = os.path.join(folder, "config.json")
    with open(path) as f:
        settings = {**json.load(f), **(config or {})}
    with open(path, "w") as f:
        json.dump(settings, f)
    path = os.path.join(folder, "model.safetensors")
    header, data = read_tensors(path)
    if rows:
        data = cut_rows(header, data, ("model.embed_tokens.weight", "lm_head.weight"), rows)
    if flip:
        middle = len(data) // 2
        data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]
    write_tensors(path, header, data, blanks)
    return folder


def check_models(bench, pattern):
    with open(os.path.join(bench.model, "config.json")) as f:
        config = json.load(f)
    layers, vocab = config["num_hidden_layers"], config["vocab_size"]
    cases = [
        ("fewer layers", dict(config={"num_hidden_layers": layers - 1}),
         f"model.layers.{layers - 1}.input_layernorm.weight has no place"),
        ("smaller vocabulary", dict(config={"vocab_size": vocab - 8}, rows=vocab - 8),
         f"has a vocabulary of {vocab - 8} tokens there but {vocab}"),
        ("other settings", dict(config={"rms_norm_eps": 0.25}), "RMS norm epsilon 0.25 there but 1e-05 on"),
        ("other weights", dict(flip=True), "has other weights there"),
        ("other size", dict(blanks=8), "has other tensors"),
        ("broken", dict(config={"num_hidden_layers": layers + 1}), "is missing"),
    ]
    for name, changes, words in cases:
        if not re.search(pattern, name):
            continue
        folder = other_model(bench, name.replace(" ", "-"), **changes)
        for who, stages, replicas in ((LAST, 2, 1), (FIRST, 1, 2)):
            rank = who.rsplit(".", 1)[1]
            bench.check(f"{who}: {name}", "failed",
                        [rf"^rank {rank} \(\S+, stage \d\): ", re.escape(bench.model), words],
                        stages=stages, replicas=replicas, LIE_MODEL=f"{who}:{bench.model}:{folder}")
    if re.search(pattern, "hash"):
        bench.check("a hash that differs", "failed", [r"rank 1 \(\S+\) and rank 2 \(\S+\) read different weights"],
                    stages=1, replicas=2, LIE=f"{LAST}:READY:1:ready.weights_hash=1")
    if re.search(pattern, "absent"):
        bench.check("no model", "lost", [r"^rank 2 \(\S+, stage 1\): ", "No such file"],
                    LIE_MODEL=f"{LAST}:{bench.model}:{bench.folder}/nowhere")


def check_builds(bench, pattern):
    for who in (COORDINATOR, FIRST, LAST) if re.search(pattern, "build") else ():
        rank = 1 if who == COORDINATOR else int(who.rsplit(".", 1)[1])
        bench.check(f"{who}: another build", "failed",
                    [rf"^rank {rank} \(\S+\) runs dash \S+ \(build [0-9a-f]+\), the coordinator \S+ \(build [0-9a-f]+\): "
                     "install the same build on every node", "0123456789abcdef"],
                    LIE_BUILD=f"{who}:0123456789abcdef")


def main():
    programs, lie, golden = map(os.path.abspath, sys.argv[1:4])
    pattern = sys.argv[4] if len(sys.argv) > 4 else ""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(programs, lie, golden, folder)
        check_builds(bench, pattern)
        check_models(bench, pattern)
        check_messages(bench, pattern)


if __name__ == "__main__":
    main()
