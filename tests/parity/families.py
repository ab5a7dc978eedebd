"""Trains the golden job of each family of models, from each form of its model, and compares every number.

usage: families.py PROGRAMS FOLDER...

A folder holds a golden job; its model may be a folder with config.json as hub files have it, the same with config.v5.json,
which is what transformers 5 writes, and a GGUF. Folders of a kind that is not supported must be refused by name.
"""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import golden
import jobs

LOSS, DIRECTIONS, LIMITS = 1e-6, 1, (1e-5, 1e-5, 2e-5)
REFUSED = {"qwen3-moe": "mixture of experts"}


def forms_of(case, scratch):
    """(name, model, folder of expected numbers) of each form."""
    expected = os.path.join(case, "expected")
    yield "folder", os.path.join(case, "model"), expected
    newer = os.path.join(case, "config.v5.json")
    if os.path.exists(newer):
        model = os.path.join(scratch, "v5")
        shutil.copytree(os.path.join(case, "model"), model)
        os.chmod(model, 0o700)
        os.remove(os.path.join(model, "config.json"))
        shutil.copy(newer, os.path.join(model, "config.json"))
        yield "folder of transformers 5", model, expected
    gguf = os.path.join(case, "model.gguf")
    if os.path.exists(gguf):
        other = os.path.join(case, "expected_gguf")
        yield "GGUF", gguf, other if os.path.isdir(other) else expected


def check_refused(programs, case, model, words):
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "out")
        jobs.write_job(output, model, os.path.join(case, "train.jsonl"), golden.job_lines(case))
        code, text = jobs.run(programs, output, 1)
        assert code != 0 and words in text, text
        print(f"is refused: {words}")


def main():
    programs = os.path.abspath(sys.argv[1])
    cases = [os.path.abspath(case) for case in sys.argv[2:] if os.path.isdir(case)]
    if not cases:
        print("skipped: no folder of a golden job is here")
        sys.exit(golden.SKIPPED)
    for case in cases:
        name = os.path.basename(case)
        with tempfile.TemporaryDirectory() as scratch:
            for form, model, expected in forms_of(case, scratch):
                print(f"{name}, {form}:", flush=True)
                if name in REFUSED:
                    check_refused(programs, case, model, REFUSED[name])
                else:
                    golden.train(programs, case, model, expected, LOSS, DIRECTIONS, LIMITS)


if __name__ == "__main__":
    main()
