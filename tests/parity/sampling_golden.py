#!/usr/bin/env python3
"""Writes tests/golden/sampling.json, which unit_sampling compares with: what transformers' logits processors make of
random logits. Needs torch and transformers."""
import json
import math
import os
import sys

import torch
import transformers
from transformers import (RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper,
                          TopPLogitsWarper)

SETTINGS = [(t, k, p, penalty) for t in (0.5, 1.0, 1.7) for k in (0, 1, 5, 40) for p in (1.0, 0.05, 0.5, 0.9)
            for penalty in (1.0, 1.3)]


def expected(logits, seen, temperature, top_k, top_p, penalty):
    scores, ids = torch.tensor([logits]), torch.tensor([seen])
    for wanted, processor in ((penalty != 1, lambda: RepetitionPenaltyLogitsProcessor(penalty)),
                              (True, lambda: TemperatureLogitsWarper(temperature)),
                              (top_k, lambda: TopKLogitsWarper(top_k)), (top_p < 1, lambda: TopPLogitsWarper(top_p))):
        if wanted:
            scores = processor()(ids, scores)
    return [None if math.isinf(x) else x for x in scores[0].tolist()]


def main():
    generator = torch.Generator().manual_seed(1)
    cases = []
    for i, (temperature, top_k, top_p, penalty) in enumerate(SETTINGS):
        logits = (torch.randn(60, generator=generator) * (1 + i % 3)).tolist()
        if top_p == 1:  # at the edge of a nucleus it is the sort that decides between equal ones
            logits[7] = logits[21] = max(logits)
        seen = torch.randint(0, 60, (12,), generator=generator).tolist()
        cases.append({"logits": logits, "seen": seen, "temperature": temperature, "top_k": top_k, "top_p": top_p,
                      "repetition_penalty": penalty,
                      "expected": expected(logits, seen, temperature, top_k, top_p, penalty)})
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/sampling.json")
    with open(path, "w") as f:
        lines = ",\n ".join(json.dumps(case) for case in cases)
        f.write(f'{{"made_by": "transformers {transformers.__version__}", "cases": [\n {lines}\n]}}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
