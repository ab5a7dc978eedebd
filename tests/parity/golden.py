"""Trains a golden job and compares every number with those of an independent implementation in double precision.

usage: golden.py PROGRAMS GOLDEN MODEL LOSS DIRECTIONS A B DASH

LOSS is the largest relative difference of a step's loss; DIRECTIONS the smallest share of directions that must be the
same; A, B and DASH the largest difference by norm of each module's matrices after the last step.
"""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import jobs
import tensors

SKIPPED = 77


def job_lines(golden):
    """The golden job's own settings, without its paths."""
    with open(os.path.join(golden, "job.yaml")) as f:
        lines = [l for l in f if l.split(":")[0] not in ("name", "model", "data", "output")]
    return "".join(lines).replace("init_adapter: init", f"init_adapter: {golden}/init")


def compare_trace(expected, output, limit):
    with open(os.path.join(expected, "trace.json")) as f:
        expected = json.load(f)
    with open(os.path.join(output, "metrics.jsonl")) as f:
        rows = [json.loads(line) for line in f]
    assert len(rows) == len(expected["trace"]), f"{len(rows)} steps"
    worst = 0
    for row, want in zip(rows, expected["trace"]):
        assert row["trained_tokens"] == want["tokens"], row
        assert abs(row["learning_rate"] - want["lr"]) < 1e-12, row
        assert abs(row["grad_norm"] / want["grad_norm"] - 1) < 20 * limit, (row, want)
        worst = max(worst, abs(row["loss"] / want["loss"] - 1))
    print(f"losses differ by at most {worst:.2e}")
    assert worst < limit
    return expected["directions"]


def compare_directions(directions, output, limit):
    with open(os.path.join(output, "directions.json")) as f:
        found = json.load(f)
    assert set(found) == set(directions), "other modules"
    same = total = 0
    for module, want in directions.items():
        same += len(set(found[module]["indices"]) & set(want["indices"]))
        total += len(want["indices"])
    print(f"{same} of {total} directions are the same")
    assert same >= limit * total
    return {m for m in directions if found[m]["indices"] == directions[m]["indices"]}


def c_of(want):
    return next(value for name, value in want.items() if name.endswith("dash_c"))


def compare_adapter(golden, expected, output, modules, limits):
    """The exported A is [A ; V^T] and B is [s B | U diag(c)]. Signs of a pair (U, V) are free: products are compared."""
    want = tensors.load(os.path.join(expected, "final.safetensors"))
    got = tensors.load(os.path.join(output, "adapter/adapter_model.safetensors"))
    with open(os.path.join(golden, "init/adapter_config.json")) as f:
        config = json.load(f)
    rank, scale = config["r"], config["lora_alpha"] / config["r"]
    with open(os.path.join(output, "adapter/adapter_config.json")) as f:
        whole = json.load(f)
    assert whole["r"] == whole["lora_alpha"] == rank + len(c_of(want)), whole
    worst = [0, 0, 0]
    for module in modules:
        prefix = f"base_model.model.{module}"
        A, B = got[prefix + ".lora_A.weight"], got[prefix + ".lora_B.weight"]
        U, V, c = (want[f"{module}.dash_{part}"] for part in "UVc")
        pairs = (
            (A[:rank], want[prefix + ".lora_A.weight"]),
            (B[:, :rank] / scale, want[prefix + ".lora_B.weight"]),
            (B[:, rank:] @ A[rank:], (U * c) @ V.T),
        )
        for i, (left, right) in enumerate(pairs):
            worst[i] = max(worst[i], tensors.relative(left, right))
    print("A, B and dash differ by at most " + ", ".join(f"{w:.2e}" for w in worst))
    assert all(w < limit for w, limit in zip(worst, limits))


def train(programs, golden, model, expected, loss, directions, limits):
    """Runs the job on the model, and compares what comes out with the folder of expected numbers."""
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "out")
        jobs.write_job(output, model, os.path.join(golden, "train.jsonl"), job_lines(golden))
        code, text = jobs.run(programs, output, 1)
        assert code == 0, text
        wanted = compare_trace(expected, output, loss)
        same = compare_directions(wanted, output, directions)
        compare_adapter(golden, expected, output, sorted(same), limits)


def main():
    if not sys.argv[3]:
        print("skipped: no model was given: DASH_SMOLLM2_GGUF and DASH_GEMMA3_GGUF name them")
        sys.exit(SKIPPED)
    programs, golden, model = map(os.path.abspath, sys.argv[1:4])
    loss, directions, *limits = map(float, sys.argv[4:9])
    if not os.path.exists(golden) or not os.path.exists(model):
        print(f"skipped: {golden if os.path.exists(model) else model} is not here")
        sys.exit(SKIPPED)
    train(programs, golden, model, os.path.join(golden, "expected"), loss, directions, limits)


if __name__ == "__main__":
    main()
