"""Trains on rows of token ids with PyTorch, transformers and PEFT, as tests/bench/run asks: the other side of its comparison.

usage: peer.py MODEL.gguf ROWS.jsonl STEPS PRECISION PACKING RANK THREADS

PRECISION: f32, or bf16 (autocast). PACKING: padded, or packed: the rows of a step one after the other, each seeing itself
only. Rows are taken in order, 16 a step. Prints a line of JSON for each step: its seconds and its loss.
"""
import json
import os
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

BATCH = 16
TARGETS = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]


def padded(rows):
    """Also what attention_mask is to be."""
    longest = max(len(row["input_ids"]) for row in rows)
    ids, labels = torch.zeros(len(rows), longest, dtype=torch.long), torch.full((len(rows), longest), -100)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        n = len(row["input_ids"])
        ids[i, :n], labels[i, :n], mask[i, :n] = torch.tensor(row["input_ids"]), torch.tensor(row["labels"]), 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def packed(rows):
    lengths = [len(row["input_ids"]) for row in rows]
    example = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(lengths))
    allowed = (example[:, None] == example[None, :]).tril()
    mask = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)[None, None]
    labels = [label for row in rows for label in [-100] + row["labels"][1:]]
    positions = torch.cat([torch.arange(n) for n in lengths])
    return {"input_ids": torch.tensor([[i for row in rows for i in row["input_ids"]]]), "labels": torch.tensor([labels]),
            "attention_mask": mask, "position_ids": positions[None]}


def main():
    path, data, steps, precision, packing, rank, threads = sys.argv[1:8]
    torch.set_num_threads(int(threads))
    model = AutoModelForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path),
                                                 dtype=torch.float32, attn_implementation="sdpa")
    model = get_peft_model(model, LoraConfig(r=int(rank), lora_alpha=2 * int(rank), target_modules=TARGETS))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)
    with open(data, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    for step in range(int(steps)):
        start = time.monotonic()
        at = [rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)]
        batch = padded(at) if packing == "padded" else packed(at)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        print(json.dumps({"seconds": time.monotonic() - start, "loss": loss.item()}), flush=True)


if __name__ == "__main__":
    main()
