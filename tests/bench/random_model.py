"""Writes Llama models of random bf16 weights: the shape of a model, with as few layers as one asks for."""
import json
import os
import struct

import numpy

# hidden, intermediate, heads, heads of keys and values
SHAPES = {"135M": (576, 1536, 9, 3), "360M": (960, 2560, 15, 5), "1.7B": (2048, 8192, 32, 32), "7B": (4096, 11008, 32, 32)}


def tensors(shape, layers, vocabulary):
    hidden, intermediate, heads, groups = shape
    kv = hidden // heads * groups
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    yield "lm_head.weight", (vocabulary, hidden)
    yield "model.norm.weight", (hidden,)
    for i in range(layers):
        for name, rows, columns in (("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", kv, hidden),
                                    ("self_attn.v_proj", kv, hidden), ("self_attn.o_proj", hidden, hidden),
                                    ("mlp.gate_proj", intermediate, hidden), ("mlp.up_proj", intermediate, hidden),
                                    ("mlp.down_proj", hidden, intermediate)):
            yield f"model.layers.{i}.{name}.weight", (rows, columns)
        yield f"model.layers.{i}.input_layernorm.weight", (hidden,)
        yield f"model.layers.{i}.post_attention_layernorm.weight", (hidden,)


def elements(shape, layers, vocabulary):
    """Of the matrices of the layers, and of the head."""
    sizes = {name: int(numpy.prod(size)) for name, size in tensors(shape, layers, vocabulary) if len(size) == 2}
    return sum(n for name, n in sizes.items() if ".layers." in name), sizes["lm_head.weight"]


def write(folder, shape, layers, vocabulary):
    hidden, intermediate, heads, groups = shape
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=hidden, intermediate_size=intermediate,
                  vocab_size=vocabulary, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=groups,
                  max_position_embeddings=4096, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False)
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f)
    header, at = {}, 0
    for name, size in tensors(shape, layers, vocabulary):
        end = at + 2 * int(numpy.prod(size))
        header[name] = dict(dtype="BF16", shape=size, data_offsets=[at, end])
        at = end
    text = json.dumps(header).encode()
    random = numpy.random.default_rng(1)
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, size in tensors(shape, layers, vocabulary):  # the upper halves of floats
            values = numpy.ones(size, "f4") if len(size) == 1 else random.standard_normal(size, "f4") * numpy.float32(0.02)
            f.write((values.view("u4") >> 16).astype("u2").tobytes())
