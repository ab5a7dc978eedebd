"""Compares the first loss and gradient of many tiny random models with those of transformers and PEFT in double precision.

usage: against_transformers.py PROGRAMS [NAME...]

Needs torch, transformers and peft of PyPI, so it is not one of the tests of ctest. Each case is a setting that real models
have and that no golden job covers. The adapter to start from is PEFT's with random A and B, and the job gives neither its
rank nor its alpha nor its targets.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

import peft
import torch
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = dict(hidden_size=64, intermediate_size=80, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=200, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LOSS, GRADIENT = 1e-6, 1e-5


def rope(kind, theta=10000.0, **more):
    return dict(rope_type=kind, rope_theta=theta, **more)


CASES = {
    "llama-bias": dict(model_type="llama", attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
    "llama-linear": dict(model_type="llama", rope_parameters=rope("linear", factor=4.0)),
    "llama-dynamic": dict(model_type="llama", rope_parameters=rope("dynamic", factor=4.0)),
    "llama-yarn": dict(model_type="llama", rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=32)),
    "llama-yarn-mscale": dict(model_type="llama", rope_parameters=rope(
        "yarn", 500000.0, factor=4.0, original_max_position_embeddings=32, beta_fast=16.0, beta_slow=2.0, mscale=0.8,
        mscale_all_dim=0.6, truncate=False)),
    "llama-yarn-attention": dict(model_type="llama", rope_parameters=rope(
        "yarn", factor=2.0, attention_factor=1.3, original_max_position_embeddings=64)),
    "llama-longrope": dict(model_type="llama", rope_parameters=rope(
        "longrope", short_factor=[1 + i / 10 for i in range(8)], long_factor=[2.0 + i for i in range(8)],
        original_max_position_embeddings=20)),
    "llama-llama3": dict(model_type="llama", rope_parameters=rope(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "llama-gelu": dict(model_type="llama", hidden_act="gelu"),
    "mistral-window": dict(model_type="mistral", sliding_window=5, head_dim=24),
    "qwen2-window": dict(model_type="qwen2", use_sliding_window=True, sliding_window=6, max_window_layers=2),
    "qwen2-types": dict(model_type="qwen2", use_sliding_window=True, sliding_window=6,
                        layer_types=["sliding_attention", "full_attention"] * 2),
    "qwen3-bias-window": dict(model_type="qwen3", head_dim=20, attention_bias=True, use_sliding_window=True, sliding_window=6,
                              max_window_layers=1),
    "gemma2-bias": dict(model_type="gemma2", head_dim=20, attention_bias=True, query_pre_attn_scalar=17, sliding_window=7,
                        attn_logit_softcapping=None, final_logit_softcapping=4.0),
    "gemma3-pattern": dict(model_type="gemma3_text", head_dim=20, sliding_window=7, sliding_window_pattern=3,
                           query_pre_attn_scalar=24, final_logit_softcapping=5.0),
    "gemma3-yarn": dict(model_type="gemma3_text", head_dim=16, sliding_window=7, query_pre_attn_scalar=16,
                        layer_types=["full_attention", "sliding_attention"] * 2,
                        rope_parameters=dict(full_attention=rope("yarn", 1e6, factor=4.0, original_max_position_embeddings=32),
                                             sliding_attention=rope("default"))),
    "phi3-partial": dict(model_type="phi3", partial_rotary_factor=0.5, sliding_window=6, original_max_position_embeddings=128),
    "olmo2-bias": dict(model_type="olmo2", attention_bias=True),
    "smollm3-window": dict(model_type="smollm3", use_sliding_window=True, sliding_window=6, no_rope_layer_interval=2,
                           attention_bias=True, mlp_bias=True),
    "smollm3-no-rope": dict(model_type="smollm3", no_rope_layers=[0, 1, 1, 0]),
    "granite-bias": dict(model_type="granite", attention_bias=True, mlp_bias=True, embedding_multiplier=6.0,
                         attention_multiplier=0.2, residual_multiplier=0.4, logits_scaling=3.0, tie_word_embeddings=False),
}

# Settings of PEFT beside a model, which the job then has as well: the modules and ranks that they mean must be the same ones.
# Patterns stand in the order of their texts, as PEFT saves them.
ADAPTED = {
    "targets-pattern": dict(target_modules=r".*\.(0|3)\.(self_attn\.(q|v)_proj|mlp\.\w+_proj)"),
    "targets-pattern-lookahead": dict(target_modules=r"model\.layers\.\d+\.(?!mlp)\w+\.[kqo]_proj"),
    "targets-names": dict(target_modules=["layers.1.self_attn.q_proj", "mlp.down_proj", "model.layers.2.mlp.up_proj"]),
    "layers": dict(target_modules=["q_proj", "down_proj"], layers_to_transform=[1, 3]),
    "layers-one": dict(target_modules=["q_proj", "o_proj"], layers_to_transform=2),
    "ranks": dict(target_modules=["q_proj", "v_proj", "up_proj"], rank_pattern={"v_proj": 2, "layers.1.mlp.up_proj": 7}),
    "ranks-first": dict(target_modules=["q_proj", "v_proj"], rank_pattern={".*v_proj": 1, r"layers\.[01]\..*": 3, "q_proj": 5}),
    "ranks-whole": dict(target_modules=["k_proj", "gate_proj"], rank_pattern={r"^model\.layers\.2\..*": 6}),
    "alphas": dict(target_modules=["q_proj", "down_proj"], alpha_pattern={"q_proj": 20, r"(1|2)\.mlp\.down_proj": 2.5}),
    "both": dict(target_modules="all-linear", rank_pattern={r".*\.mlp\.(up|down)_proj": 2}, use_rslora=True,
                 alpha_pattern={r"layers.3.*": 9, "self_attn.o_proj": 1}),
}


def make_model(settings):
    torch.manual_seed(3)
    settings = dict(settings)
    config = AutoConfig.for_model(settings.pop("model_type"), **SIZES, **settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    for name, p in model.named_parameters():
        if p.ndim > 1:
            p.data.normal_(0, 0.08)
        elif "bias" in name:
            p.data.normal_(0, 0.3)
        else:
            p.data.add_(torch.randn_like(p) * 0.2)
    if config.tie_word_embeddings:
        model.tie_weights()
    return model


def expected(model, rows, folder, n, more):
    """The loss and the norm of its gradient, of the model with an adapter, which is saved."""
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    if model.config.model_type == "phi3":
        targets = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
    settings = dict(r=4, lora_alpha=6 + n % 5, use_rslora=n % 2 == 1, target_modules=targets, init_lora_weights=False,
                    task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(model, peft.LoraConfig(**{**settings, **more}))
    for name, p in adapted.named_parameters():
        if "lora_" in name:
            p.data.mul_(0.3)  # larger ones make f32 itself differ
    adapted.save_pretrained(os.path.join(folder, "init"))
    adapted = adapted.double()
    loss = 0
    for row in rows:
        ids = torch.tensor([row])
        loss = loss + torch.nn.functional.cross_entropy(adapted(ids).logits.double()[0, :-1], ids[0, 1:], reduction="sum")
    loss = loss / sum(len(row) - 1 for row in rows)
    loss.backward()
    square = sum((p.grad ** 2).sum() for p in adapted.parameters() if p.requires_grad)
    return loss.item(), square.sqrt().item()


def trained(programs, folder, rows, n, more):
    lora = {"init_adapter": "init"}
    if "rank_pattern" in more:
        lora["rank"] = 4
    if "alpha_pattern" in more:
        lora["alpha"] = 6 + n % 5
    for ours, theirs in (("target_modules", "target_modules"), ("layers", "layers_to_transform"),
                         ("rank_pattern", "rank_pattern"), ("alpha_pattern", "alpha_pattern")):
        if theirs in more:
            lora[ours] = more[theirs]
    with open(os.path.join(folder, "train.jsonl"), "w") as f:
        f.writelines(json.dumps({"input_ids": row, "labels": row}) + "\n" for row in rows)
    with open(os.path.join(folder, "job.yaml"), "w") as f:
        f.write("model: model\ndata: {train: train.jsonl, shuffle: false}\nmethod: lora\n"
                f"lora: {json.dumps(lora)}\ntraining: {{batch_size: {len(rows)}, steps: 1}}\noutput: out\n")
    done = subprocess.run([os.path.join(programs, "dashctl"), "run", "job.yaml"], cwd=folder, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    with open(os.path.join(folder, "out/metrics.jsonl")) as f:
        row = json.loads(f.readline())
    return row["loss"], row["grad_norm"]


def main():
    programs = os.path.abspath(sys.argv[1])
    names = sys.argv[2:] or [*CASES, *ADAPTED]
    random.seed(1)
    rows = [[random.randrange(3, 200) for _ in range(random.choice([6, 11, 19, 30, 40]))] for _ in range(8)]
    wrong = 0
    for n, name in enumerate(names):
        with tempfile.TemporaryDirectory() as folder:
            model = make_model(CASES.get(name, dict(model_type="llama")))
            more = ADAPTED.get(name, {})
            model.save_pretrained(os.path.join(folder, "model"))
            want = expected(model, rows, folder, n, more)
            got = trained(programs, folder, rows, n, more)
        loss, gradient = (abs(a / b - 1) for a, b in zip(got, want))
        right = loss < LOSS and gradient < GRADIENT
        wrong += not right
        print(f"{name:22} loss {loss:.1e}, gradient {gradient:.1e}{'' if right else ': WRONG'}", flush=True)
    sys.exit(wrong != 0)


if __name__ == "__main__":
    main()
