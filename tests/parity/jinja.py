#!/usr/bin/python3
"""The Jinja engine against Python's jinja2: text, spans, and what raises must agree.

usage: jinja.py RENDER_LINES [NUMBER [SEED]]    NUMBER: of generated templates
"""
import sys
import warnings

try:
    import jinja2  # noqa: F401
except ImportError:
    print("skipped: python3-jinja2 is not installed")
    sys.exit(77)

import jinja_cases
import jinja_generated
import jinja_peer

SHOWN = 10
UNSUPPORTED = -5
BATCH = 1000


def compare(program, cases, may_refuse):
    """Counts what differs, what renders, raises and is refused."""
    found = {"wrong": 0, "rendered": 0, "raised": 0, "refused": 0}
    for case, answer in zip(cases, jinja_peer.render_all(program, cases)):
        wrong = jinja_peer.difference(case, answer)
        kind = "rendered" if "text" in answer else "refused" if answer["code"] == UNSUPPORTED else "raised"
        if wrong is None and kind == "refused" and not may_refuse and jinja_peer.renders(case):
            wrong = f"is refused: {answer['error']}"
        if wrong is None:
            found[kind] += 1
            continue
        found["wrong"] += 1
        if found["wrong"] <= SHOWN:
            print(f"{case[0]!r}\n    {wrong}\n    values: {case[1]}")
    return found


def main():
    program = sys.argv[1]
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 3000
    seed = sys.argv[3] if len(sys.argv) > 3 else "dash"
    warnings.simplefilter("ignore")  # escapes that Python does not know
    found = compare(program, list(jinja_cases.cases()), False)
    print("written by hand:", found)
    failed = found["wrong"] > 0
    generated = list(jinja_generated.cases(number, seed))
    for begin in range(0, number, BATCH):
        found = compare(program, generated[begin:begin + BATCH], True)
        print(f"generated from {begin}:", found)
        failed = failed or found["wrong"] > 0 or found["rendered"] < found["raised"]
    sys.exit(failed)


if __name__ == "__main__":
    main()
