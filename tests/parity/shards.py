"""The same job by many shapes gives the same bytes.

usage: shards.py PROGRAMS GOLDEN

Stages 1, 2, 3 x replicas 1, 2, 4, with 1 or 2 threads; and a plain job with dropout and shuffling by three shapes, also
with only a middle layer adapted, so that some stages have nothing to train and the first ones no backward pass. Rows
that begin alike share their beginnings in every shape; whole rows give the same losses, and so does one micro-batch.
"""
import hashlib
import json
import os
import random
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import golden
import jobs

DROPOUT = """
lora: {rank: 4, dropout: 0.1, target_modules: [q_proj, o_proj, gate_proj, down_proj]}
dash: {prelaunch_steps: 4, directions: 3}
training: {batch_size: 7, micro_batches: 4, steps: 9, seed: 5}
"""
ALIKE = """
lora: {rank: 4, target_modules: [q_proj, k_proj, v_proj, up_proj, down_proj]}
dash: {prelaunch_steps: 4, directions: 3}
training: {batch_size: 12, micro_batches: 4, steps: 8, seed: 5, warmup_steps: 0, learning_rate: 1e-2}
"""


def digest(programs, folder, model, data, lines, stages, replicas, threads):
    output = os.path.join(folder, f"{stages}-{replicas}-{threads}")
    lines += f"parallel: {{stages: {stages}, replicas: {replicas}, threads: {threads}}}\n"
    jobs.write_job(output, model, data, lines)
    code, text = jobs.run(programs, output, stages * replicas)
    assert code == 0, text
    hashed = hashlib.sha256()
    for name in ("adapter/adapter_model.safetensors", "spectra.json", "coefficients.jsonl"):
        with open(os.path.join(output, name), "rb") as f:
            hashed.update(f.read())
    return hashed.hexdigest()


def check(programs, model, data, lines, shapes):
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for shape in shapes:
            found[shape] = digest(programs, folder, model, data, lines, *shape)
            print("stages %d, replicas %d, threads %d:" % shape, found[shape][:16])
        assert len(set(found.values())) == 1, "the bytes depend on the shape"
        return metrics(os.path.join(folder, "%d-%d-%d" % shapes[0]))


def metrics(output):
    with open(os.path.join(output, "metrics.jsonl")) as f:
        return [json.loads(line) for line in f]


def write_alike(path):
    """Rows with a beginning that all share, one that every third shares besides, and an end that is trained."""
    draw = random.Random(1)
    header, question = ([draw.randrange(256) for _ in range(n)] for n in (24, 30))
    with open(path, "w") as f:
        for i in range(36):
            begin = header + (question if i % 3 == 0 else []) + [draw.randrange(256) for _ in range(5)]
            end = [draw.randrange(256) for _ in range(4 + i % 5)]
            f.write(json.dumps({"input_ids": begin + end, "labels": [-100] * len(begin) + end}) + "\n")


def check_alike(programs, model):
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "alike.jsonl")
        write_alike(data)
        shared = check(programs, model, data, ALIKE, [(1, 1, 1), (1, 1, 2), (3, 1, 2), (2, 2, 1), (1, 4, 1)])
        whole = check(programs, model, data, ALIKE.replace("seed: 5", "seed: 5, share_prefixes: off"), [(1, 1, 2)])
    for a, b in zip(shared, whole):
        assert a["computed_tokens"] < 0.8 * a["tokens"] <= b["computed_tokens"] < b["tokens"] == a["tokens"], (a, b)
        for key in ("loss", "grad_norm"):
            assert abs(a[key] / b[key] - 1) < 2e-5, (a, b)
    assert len(shared) == len(whole) == 8 and any(a["loss"] != b["loss"] for a, b in zip(shared, whole))


def check_sums(programs, model, data, lines):
    """Micro-batches of a step add up to what one of all its rows gives."""
    one, four = (check(programs, model, data, text, [(1, 1, 1)]) for text in (lines, in_four(lines)))
    for a, b in zip(one, four):
        for key in ("loss", "grad_norm"):
            assert abs(a[key] / b[key] - 1) < 2e-5, (a, b)
    assert any(a["loss"] != b["loss"] for a, b in zip(one, four)), "both took the same micro-batches"


def in_four(lines):
    changed = lines.replace("batch_size: 8,", "batch_size: 8, micro_batches: 4,")
    assert changed != lines
    return changed


def main():
    programs, folder = map(os.path.abspath, sys.argv[1:3])
    model, data = os.path.join(folder, "model"), os.path.join(folder, "train.jsonl")
    shapes = [(s, r, 1 + (s + r) % 2) for s in (1, 2, 3) for r in (1, 2, 4)]
    check(programs, model, data, in_four(golden.job_lines(folder)), shapes)
    check_sums(programs, model, data, golden.job_lines(folder))
    check(programs, model, data, DROPOUT, [(1, 1, 1), (4, 1, 2), (2, 8, 1)])
    check(programs, model, data, DROPOUT.replace("rank: 4", "rank: 4, layers: [2]"), [(1, 1, 2), (4, 1, 1), (2, 8, 1), (3, 2, 2)])
    check_alike(programs, model)


if __name__ == "__main__":
    main()
