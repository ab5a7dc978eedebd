#!/usr/bin/python3
"""Writes seeds for a target of libFuzzer: usage: seeds.py TARGET FOLDER. Inputs of several kinds have their kind as the first
byte."""
import glob
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "../golden")


def golden(pattern, most=12_000):  # what is larger makes a target slow
    for path in sorted(glob.glob(os.path.join(GOLDEN, pattern), recursive=True)):
        if os.path.isfile(path) and os.path.getsize(path) <= most:
            with open(path, "rb") as f:
                yield f.read()


def seeds_of(target):
    if target == "tensors":
        yield from golden("**/*.safetensors")
        yield from golden("**/*.gguf")
    elif target == "tokenizers":
        for kind, pattern in enumerate(("**/tokenizer.json", "**/*.model", "**/*.gguf")):
            for data in golden(pattern):
                yield bytes([kind]) + data
        yield (b'\0{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}, "pre_tokenizer":'
               b' {"type": "ByteLevel"}, "added_tokens": [{"id": 3, "content": "<s>", "special": true}]}')
    elif target == "jobs":
        yield from golden("**/job.yaml")
        for sets in (b"lora.rank=3", b"training: {steps: 4}", b"data.train=[a, {file: b, weight: 2}]", b"slurm.nodes=2-4"):
            yield from (data + b"\0" + sets for data in golden("tiny/job.yaml"))
    elif target == "models":
        for kind, pattern in enumerate(("**/config.json", "**/adapter_config.json", "tiny/init/*.safetensors")):
            for data in golden(pattern):
                yield bytes([kind]) + data
    elif target == "ranks":
        yield from (bytes([kind]) + bytes(size) for kind in range(7) for size in (0, 16, 40, 200))
    elif target == "messages":
        yield from (bytes([kind]) + b"\x0a\x03abc\x12\x01/" for kind in range(15))
        yield b"\x09\x12\x1b\x08\x01\x11\0\0\0\0\0\0\xf0\x3f\x19\0\0\0\0\0\0\xf0\x3f\x28\x10\x30\x08\x40\x01"
    elif target == "checkpoints":
        yield from (bytes([kind, size & 255, size >> 8]) for kind in range(4) for size in (0, 1, 8, 500, 2000))
        yield from (bytes([kind, 0, 0, at & 255, at >> 8, value]) for kind in (0, 1) for at in (0, 8, 30, 700) for value in (0, 0x7f, 0xff))
    elif target == "requests":
        for kind, text in enumerate((b'{"jobYaml": "model: x", "overrides": ["a=b"], "labels": [{"name": "a", "value": "b"}], "priority": -3}',
                                     b'{"node": {"cores": 4, "memoryBytes": 1e9, "gflops": 2.5}, "nodeCounts": [1, 2]}',
                                     b'{"states": ["QUEUED", 3], "page_size": 4, "pageToken": "x"}', b'{"id": "7", "events": true, "afterEvent": "-9"}',
                                     b'{"id": "7", "priority": {"value": 3}, "removeLabels": []}', b'{"id": "1", "path": "a/b", "fromOffset": "18446744073709551615"}',
                                     b'{"step": {"step": 1, "loss": 0.5}}', b'{"jobs": [{"id": "1", "state": "FAILED", "lastStep": null}]}')):
            yield bytes([kind]) + text
    elif target == "answers":
        yield b"\x0017|RUNNING|None|n[1-4]|dash:0123456789abcdef\n18|PENDING|Resources||(null)\n"
        yield b"\x01sbatch: error: Batch job submission failed: Invalid account or account/partition combination\n"
        yield (b'\x02{"step": 1, "loss": 1.5, "grad_norm": 1, "learning_rate": 0.1, "tokens": 3, "trained_tokens": 2,'
               b' "seconds": 0.5, "phase": "lora"}\n')
        yield b'\x03{"how": "stopped", "reason": "by command"}'
        yield b'\x04{"job": "1", "token": "0123", "addresses": ["unix:/a", "h:1"], "certificate": null}'
        yield b"\x05PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]) + bytes([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82])
        yield b"\x06team"


def main():
    target, folder = sys.argv[1:]
    if target == "jinja":
        subprocess.run([sys.executable, os.path.join(HERE, "../parity/jinja_cases.py"), folder], check=True)
    elif target == "rows":
        for i, data in enumerate(golden("cases/data/*")):
            with open(os.path.join(folder, f"seed-{i}"), "wb") as f:
                f.write(b"\0" + data)
    for i, data in enumerate(seeds_of(target)):
        with open(os.path.join(folder, f"seed-{i}"), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
