"""Tiny models of every family, as folders: a config.json each, and weights that a formula gives."""
import json
import os
import zlib

import numpy as np

from tensor_files import write_safetensors

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "vocab_size": 40, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "tie_word_embeddings": False}
CASES = {
    "llama": {**LLAMA, "attention_bias": True, "mlp_bias": True, "rope_theta": 5e5},
    "llama3": {**LLAMA, "tie_word_embeddings": True, "head_dim": 16, "rope_theta": 5e5,
               "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                "original_max_position_embeddings": 64}},
    "linear": {**LLAMA, "rope_scaling": {"type": "linear", "factor": 4.0}},
    "yarn": {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": False, "rope_theta": 1e6,
             "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}},
    "mistral": {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "head_dim": 12, "sliding_window": None,
                "tie_word_embeddings": False},
    "qwen2": {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True, "sliding_window": 64,
              "use_sliding_window": False},
    "qwen3": {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 12, "tie_word_embeddings": True},
    "gemma2": {"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"], "head_dim": 12, "query_pre_attn_scalar": 12,
               "sliding_window": 16, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    "gemma3": {"model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], "head_dim": 12, "query_pre_attn_scalar": 12,
               "sliding_window": 16, "rope_theta": 1e6, "rope_local_base_freq": 1e4, "num_hidden_layers": 6,
               "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
    "phi3": {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "tie_word_embeddings": False, "sliding_window": None,
             "original_max_position_embeddings": 64, "num_key_value_heads": 4,
             "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.3, 1.5], "long_factor": [1.0, 2.0, 4.5, 8.25]}},
    "olmo2": {"model_type": "olmo2", "architectures": ["Olmo2ForCausalLM"], "tie_word_embeddings": False},
    "smollm3": {"model_type": "smollm3", "architectures": ["SmolLM3ForCausalLM"], "num_hidden_layers": 4, "rope_theta": 2e6,
                "tie_word_embeddings": True},
    "granite": {"model_type": "granite", "architectures": ["GraniteForCausalLM"], "tie_word_embeddings": True,
                "embedding_multiplier": 12.0, "attention_multiplier": 0.0625, "residual_multiplier": 0.25, "logits_scaling": 8.0},
}


def config_of(case):
    config = {**SIZES, **CASES[case]}
    config["torch_dtype"] = "float32"
    return config


def shapes(config):
    """The tensors of transformers' class."""
    kind = config["model_type"]
    C, F, H, G = (config[k] for k in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"))
    D = config.get("head_dim") or C // H
    both = kind.startswith("gemma")
    out = {"model.embed_tokens.weight": (config["vocab_size"], C), "model.norm.weight": (C,)}
    if not config.get("tie_word_embeddings", both):
        out["lm_head.weight"] = (config["vocab_size"], C)
    for i in range(config["num_hidden_layers"]):
        maps = {"self_attn.q_proj": (H * D, C), "self_attn.k_proj": (G * D, C), "self_attn.v_proj": (G * D, C),
                "self_attn.o_proj": (C, H * D), "mlp.gate_proj": (F, C), "mlp.up_proj": (F, C), "mlp.down_proj": (C, F)}
        if kind == "phi3":
            maps = {"self_attn.qkv_proj": ((H + 2 * G) * D, C), "self_attn.o_proj": (C, H * D), "mlp.gate_up_proj": (2 * F, C),
                    "mlp.down_proj": (C, F)}
        norms = {"input_layernorm": C, "post_attention_layernorm": C}
        if both:
            norms.update({"pre_feedforward_layernorm": C, "post_feedforward_layernorm": C})
        if kind == "olmo2":
            norms = {"post_attention_layernorm": C, "post_feedforward_layernorm": C, "self_attn.q_norm": H * D, "self_attn.k_norm": G * D}
        if kind in ("qwen3", "gemma3_text"):
            norms.update({"self_attn.q_norm": D, "self_attn.k_norm": D})
        for name, shape in maps.items():
            out[f"model.layers.{i}.{name}.weight"] = shape
            if (config.get("attention_bias") and "self_attn" in name) or (config.get("mlp_bias") and "mlp" in name) or \
                    (kind == "qwen2" and name.endswith(("q_proj", "k_proj", "v_proj"))):
                out[f"model.layers.{i}.{name}.bias"] = shape[:1]
        for name, n in norms.items():
            out[f"model.layers.{i}.{name}.weight"] = (n,)
    return out


def numbers(name, shape):
    n = int(np.prod(shape))
    draw = (np.arange(n, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(zlib.crc32(name.encode()))) % np.uint64(1 << 32)
    values = (draw.astype(np.float64) / (1 << 32) - 0.5) * 0.4
    return (values + (1 if "norm" in name else 0)).astype(np.float32).reshape(shape)


def write_model(folder, config):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)
    write_safetensors(os.path.join(folder, "model.safetensors"), {name: numbers(name, shape) for name, shape in shapes(config).items()})


def write_zero_adapter(folder, config):
    """One that changes nothing: of the first layer's q, with a B of zeros."""
    module = "self_attn.qkv_proj" if config["model_type"] == "phi3" else "self_attn.q_proj"
    rows, columns = shapes(config)[f"model.layers.0.{module}.weight"]
    key = f"base_model.model.model.layers.0.{module}"
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "adapter_config.json"), "w") as f:
        json.dump({"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": [module.split(".")[1]], "layers_to_transform": [0]}, f)
    write_safetensors(os.path.join(folder, "adapter_model.safetensors"),
                      {f"{key}.lora_A.weight": np.ones((2, columns), np.float32), f"{key}.lora_B.weight": np.zeros((rows, 2), np.float32)})
