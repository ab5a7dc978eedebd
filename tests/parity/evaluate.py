"""data.eval: the loss on other rows, forward only.

usage: evaluate.py PROGRAMS GOLDEN

With all rows in each batch and in file order, the evaluation after step n sees what step n + 1 will see: the losses must be
equal to the last printed digit, through one stage and through two with two replicas.
"""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import jobs

LINES = """
lora: {rank: 4}
dash: {prelaunch_steps: 2, directions: 2}
training: {batch_size: 32, micro_batches: 4, steps: 5, learning_rate: 0.001, schedule: constant, eval_every: 1}
"""


def check(programs, folder, output, parallel, workers):
    data = os.path.join(folder, "train.jsonl")
    jobs.write_job(output, os.path.join(folder, "model"), data, LINES + parallel)
    path = os.path.join(output, "job.yaml")
    with open(path) as f:
        text = f.read().replace("shuffle: false", f"shuffle: false, eval: {data}")
    with open(path, "w") as f:
        f.write(text)
    code, text = jobs.run(programs, output, workers)
    assert code == 0, text
    with open(os.path.join(output, "metrics.jsonl")) as f:
        rows = [json.loads(line) for line in f]
    for row, following in zip(rows, rows[1:]):
        assert row["eval_loss"] == following["loss"], (row, following)
    assert rows[-1]["eval_loss"] < rows[0]["eval_loss"]
    print(f"{parallel or 'one stage'}: {len(rows)} evaluations")


def main():
    programs, folder = map(os.path.abspath, sys.argv[1:3])
    with tempfile.TemporaryDirectory() as here:
        check(programs, folder, os.path.join(here, "one"), "", 1)
        check(programs, folder, os.path.join(here, "four"), "parallel: {stages: 2, replicas: 2}", 4)


if __name__ == "__main__":
    main()
