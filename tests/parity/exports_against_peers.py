"""Compares what `dashctl export` writes with what its readers make of it.

usage: exports_against_peers.py PROGRAMS [NAME...]
       exports_against_peers.py PROGRAMS --gguf MODEL ADAPTER PROMPT...

Needs torch, transformers, peft, gguf and, with --gguf, xllamacpp of PyPI, so it is not one of the tests of ctest.

The first form merges random adapters into the random models of against_transformers.py: transformers' logits of the merged
folder against those of PEFT's base with adapter, both computed in double. The second one, with a base that is a GGUF or a
folder with a chat template: bytes of quantised tensors against gguf.quantize(), and the answers of llama.cpp, with the merged
GGUF and, of a GGUF, with base and GGUF adapter, against those of `dashctl generate`. llama.cpp rounds what it multiplies with
quantised weights, so that the answers of a random model in Q8_0 may part.
"""
import os
import random
import subprocess
import sys
import tempfile

import numpy as np

LOGITS = 3e-6  # of the largest logit: every merged weight is rounded to f32 once


def run(programs, *arguments):
    done = subprocess.run([os.path.join(programs, "dashctl"), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def logits(model, rows):
    import torch
    with torch.no_grad():
        return torch.cat([model.double()(torch.tensor([row])).logits.double()[0] for row in rows])


def compare_folders(programs, names):
    import torch
    from transformers import AutoModelForCausalLM

    import against_transformers as peers
    random.seed(1)
    rows = [[random.randrange(3, 200) for _ in range(n)] for n in (6, 19, 40)]
    wrong = 0
    for n, name in enumerate(names or [*peers.CASES, *peers.ADAPTED]):
        with tempfile.TemporaryDirectory() as folder:
            model = peers.make_model(peers.CASES.get(name, dict(model_type="llama")))
            model.save_pretrained(os.path.join(folder, "model"))
            base = logits(model, rows)
            model = AutoModelForCausalLM.from_pretrained(os.path.join(folder, "model"), attn_implementation="eager")
            peers.expected(model, rows, folder, n, peers.ADAPTED.get(name, {}))  # saves the adapter, and adds it to the model
            want = logits(model, rows)
            run(programs, "export", os.path.join(folder, "init"), "--model", os.path.join(folder, "model"), "--to", "safetensors",
                "--out", os.path.join(folder, "merged"))
            merged = AutoModelForCausalLM.from_pretrained(os.path.join(folder, "merged"), attn_implementation="eager")
            assert merged.dtype == torch.float32
            got = logits(merged, rows)
        error, change = ((got - want).abs().max() / want.abs().max()).item(), ((base - want).abs().max() / want.abs().max()).item()
        right = error < LOGITS and change > 1e-3
        wrong += not right
        print(f"{name:26} logits {error:.1e} (the adapter changes them by {change:.1e}){'' if right else ': WRONG'}", flush=True)
    return wrong


def compare_bytes(exact, path):
    """Each tensor of path must be what gguf.quantize() makes of it; exact has them as f32."""
    import gguf
    compared = {}
    for t in gguf.GGUFReader(path).tensors:
        want = gguf.quantize(exact[t.name], t.tensor_type) if t.tensor_type != 0 else exact[t.name]
        compared[t.tensor_type.name] = compared.get(t.tensor_type.name, 0) + 1
        assert np.array_equal(np.asarray(t.data).view(np.uint8).ravel(), np.ascontiguousarray(want).view(np.uint8).ravel()), t.name
    return compared


def llama_cpp(model, adapter, prompts, n):
    import xllamacpp
    params = xllamacpp.CommonParams()
    params.model.path = model
    if adapter:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(adapter, 1.0)]
    params.n_ctx, params.n_parallel, params.warmup = 2048, 1, False
    params.cpuparams.n_threads = 2
    server = xllamacpp.Server(params)
    return [server.handle_chat_completions({"messages": [{"role": "user", "content": p}], "temperature": 0, "max_tokens": n})
            ["choices"][0]["message"]["content"] for p in prompts]


def compare_kept(exact, model, path):
    import gguf
    base = {t.name: t for t in gguf.GGUFReader(model).tensors}
    changed = {}
    for t in gguf.GGUFReader(path).tensors:
        if t.tensor_type == base[t.name].tensor_type and np.array_equal(t.data, base[t.name].data):
            continue
        changed[t.tensor_type.name] = changed.get(t.tensor_type.name, 0) + 1
        assert np.array_equal(t.data, gguf.quantize(exact[t.name], t.tensor_type)), t.name
    print("keep is what gguf.quantize() makes of F32 where it is not the base:", changed, "of", len(base))


def compare_gguf(programs, model, adapter, prompts):
    import gguf
    tokens = 24
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: os.path.join(folder, kind + ".gguf") for kind in ("F32", "keep", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "F16", "BF16", "adapter")}
        for kind, path in paths.items():
            more = ["--to", "gguf-adapter"] if kind == "adapter" else ["--to", "gguf", "--type", kind]
            run(programs, "export", adapter, "--model", model, *more, "--out", path)
        exact = {t.name: np.array(t.data) for t in gguf.GGUFReader(paths["F32"]).tensors}
        for kind in "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "F16", "BF16":
            print(kind, "is what gguf.quantize() makes of F32:", compare_bytes(exact, paths[kind]))
        served_as = [("F32", (paths["F32"], None)), ("Q8_0", (paths["Q8_0"], None)), ("keep", (paths["keep"], None))]
        if not os.path.isdir(model):
            compare_kept(exact, model, paths["keep"])
            served_as.append(("adapter", (model, paths["adapter"])))
        for kind, served in served_as:
            said = llama_cpp(*served, prompts, tokens)
            of = ["--model", model, "--adapter", adapter] if kind in ("F32", "adapter") else ["--model", paths[kind]]
            for prompt, got in zip(prompts, said):
                want = run(programs, "generate", *of, "--template", "model", "--max-tokens", str(tokens), prompt).strip()
                right = got.strip() == want
                wrong += not right
                print(f"{kind}: {got.strip()!r}{'' if right else f': WRONG, generate says {want!r}'}", flush=True)
    return wrong


def main():
    programs, rest = os.path.abspath(sys.argv[1]), sys.argv[2:]
    if rest[:1] == ["--gguf"]:
        sys.exit(compare_gguf(programs, rest[1], rest[2], rest[3:]) != 0)
    sys.exit(compare_folders(programs, rest) != 0)


if __name__ == "__main__":
    main()
