"""The same job by many shapes gives the same bytes.

usage: shards.py PROGRAMS GOLDEN

Stages 1, 2, 3 x replicas 1, 2, 4, with 1 or 2 threads; and a plain job with dropout and shuffling by three shapes, also
with only a middle layer adapted, so that some stages have nothing to train and the first ones no backward pass.
"""
import hashlib
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import golden
import jobs

DROPOUT = """
lora: {rank: 4, dropout: 0.1, target_modules: [q_proj, o_proj, gate_proj, down_proj]}
dash: {prelaunch_steps: 4, directions: 3}
training: {batch_size: 7, steps: 9, seed: 5}
"""


def digest(programs, folder, model, data, lines, stages, replicas, threads):
    output = os.path.join(folder, f"{stages}-{replicas}-{threads}")
    lines += f"parallel: {{stages: {stages}, replicas: {replicas}, threads: {threads}}}\n"
    jobs.write_job(output, model, data, lines)
    code, text = jobs.run(programs, output, stages * replicas)
    assert code == 0, text
    with open(os.path.join(output, "adapter/adapter_model.safetensors"), "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def check(programs, model, data, lines, shapes):
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for shape in shapes:
            found[shape] = digest(programs, folder, model, data, lines, *shape)
            print("stages %d, replicas %d, threads %d:" % shape, found[shape][:16])
        assert len(set(found.values())) == 1, "the bytes depend on the shape"


def main():
    programs, folder = map(os.path.abspath, sys.argv[1:3])
    model, data = os.path.join(folder, "model"), os.path.join(folder, "train.jsonl")
    shapes = [(s, r, 1 + (s + r) % 2) for s in (1, 2, 3) for r in (1, 2, 4)]
    check(programs, model, data, golden.job_lines(folder), shapes)
    check(programs, model, data, DROPOUT, [(1, 1, 1), (4, 1, 2), (2, 8, 1)])
    check(programs, model, data, DROPOUT.replace("rank: 4", "rank: 4, layers: [2]"), [(1, 1, 2), (4, 1, 1), (2, 8, 1), (3, 2, 2)])


if __name__ == "__main__":
    main()
