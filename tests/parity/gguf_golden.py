"""Writes tests/golden/gguf_of_folders.json: what llama.cpp's converter makes of the folders of tests/e2e/tiny_models.py.

usage: gguf_golden.py LLAMA_CPP FILE

LLAMA_CPP is a checkout of llama.cpp, or the folder vendor/llama.cpp of the source package llama-cpp-python of PyPI; needs
torch, transformers, gguf and numpy of PyPI. The models have no tokenizer, so that its converter's set_vocab() does nothing,
and Gemma 3 keeps all rows of its embedding. FILE gets for each case {"keys": {...}, "sha256": {tensor: of its F32 bytes},
"divisors": {tensor: numbers}}.
"""
import hashlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [sys.argv[1] if len(sys.argv) > 1 else "", os.path.join(sys.argv[1] if len(sys.argv) > 1 else "", "gguf-py"),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e")]


def convert(folder, out):
    import gguf
    import torch
    from conversion import get_model_class
    from conversion.base import ModelBase, ModelType, TextModel, get_model_architecture
    architecture = get_model_architecture(ModelBase.load_hparams(Path(folder), False), ModelType.TEXT)
    known = get_model_class(architecture)
    kind = type(known.__name__, (known,), {"model_arch": known.model_arch, "set_vocab": lambda self: None})
    if architecture.startswith("Gemma3"):
        kind.modify_tensors = lambda self, data, name, bid: TextModel.modify_tensors(self, data + self.norm_shift(name), name, bid)
    with torch.inference_mode():
        kind(Path(folder), gguf.LlamaFileType.ALL_F32, Path(out), eager=True).write()


def plain(value):
    return value if isinstance(value, (str, bool, int)) else [plain(v) for v in value] if isinstance(value, list) else float(value)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    import gguf
    import numpy as np
    import tiny_models
    logging.disable(logging.CRITICAL)
    facts = {}
    for case in tiny_models.CASES:
        with tempfile.TemporaryDirectory() as at:
            tiny_models.write_model(at + "/model", tiny_models.config_of(case))
            convert(at + "/model", at + "/model.gguf")
            file = gguf.GGUFReader(at + "/model.gguf")
            keys = {k: plain(f.contents()) for k, f in file.fields.items() if not k.startswith(("GGUF.", "general.name", "general.size_label"))}
            tensors = {t.name: np.array(t.data) for t in file.tensors}
        facts[case] = {"keys": keys, "sha256": {n: hashlib.sha256(v.tobytes()).hexdigest()[:16] for n, v in tensors.items() if not n.startswith("rope_")},
                       "divisors": {n: [float(x) for x in v] for n, v in tensors.items() if n.startswith("rope_")}}
    with open(sys.argv[2], "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(case)}: {json.dumps(facts[case])}" for case in facts) + "\n}\n")


main()
