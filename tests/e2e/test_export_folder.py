"""dashctl export --to safetensors of a GGUF: a folder that became a GGUF comes back, and what a folder cannot say is refused."""
import struct

import numpy as np

from harness import *
import tiny_models
from tensor_files import Gguf, Safetensors, gguf_key, write_gguf
from test_export import CASES, MODEL, MODEL_GGUF, Export

U32, I32, F32, STRING, ARRAY = 4, 5, 6, 8, 9
NORMAL, UNKNOWN = 1, 2  # types of tokens
SPLIT = os.path.join(SOURCE, "tests/golden/split")
GENERATED = {"bos_token_id", "eos_token_id", "torch_dtype"}  # a GGUF without a tokenizer has no ids


class FromGguf(Export):
    def to_gguf(self, name, *more):
        """A folder, as the converter would write it."""
        self.export("zero", "--model", name, "--to", "gguf", "--out", f"{name}.gguf", "--force", *more)
        return f"{name}.gguf"

    def make(self, case, **changes):
        config = {**tiny_models.config_of(case), **changes}
        tiny_models.write_model(self.path(case), config)
        tiny_models.write_zero_adapter(self.path("zero"), config)
        return config

    def to_folder(self, model, *more, adapter="zero", out="out", **status):
        return self.export(adapter, "--model", model, "--to", "safetensors", "--out", out, "--force", *more, **status)

    def config(self, folder="out"):
        return json.loads(self.read(folder, "config.json"))

    def refused(self, model):
        said = self.to_folder(model, out="refused", status=1)
        self.assertFalse(os.path.exists(self.path("refused")))
        return said


class Weights(FromGguf):
    def assertSame(self, got, want):
        """All tensors, to the bit. Gemma's norms stand in a GGUF with one added, which is what counts."""
        a, b = Safetensors(self.path(got)), Safetensors(self.path(want))
        self.assertEqual(set(a.raw), set(b.raw))
        one = np.float32(1)
        for name in a.raw:
            self.assertEqual(a.header[name]["shape"], b.header[name]["shape"], name)
            if a.raw[name] != b.raw[name]:
                self.assertIn("norm", name)
                np.testing.assert_array_equal(one + a.numbers(name), one + b.numbers(name), err_msg=name)
                np.testing.assert_allclose(a.numbers(name), b.numbers(name), rtol=0, atol=2.0 ** -23, err_msg=name)

    def assertConfig(self, was, now, case):
        """All that the folder said is said again."""
        if case == "mistral":  # in a GGUF it is a Llama
            was = {**was, "model_type": "llama", "architectures": ["LlamaForCausalLM"]}
        for key, value in was.items():
            if key == "rope_scaling":
                kind = value.get("rope_type", value.get("type"))
                got = {**now[key], "rope_type": now[key].get("rope_type", now[key].get("type"))}
                got.pop("type", None)
                value = {**value, "rope_type": kind}
                value.pop("type", None)
                if kind == "yarn":
                    value = {"beta_fast": 32, "beta_slow": 1, **value}
                self.assertEqual({k: np.float32(v).tolist() if k.endswith("factor") else v for k, v in got.items()},
                                 {k: np.float32(v).tolist() if k.endswith("factor") else v for k, v in value.items()}, case)
            elif key == "sliding_window" and not (was.get("use_sliding_window", True) and value):
                self.assertFalse(now.get("use_sliding_window", False) and now[key], case)
            elif key not in GENERATED:
                self.assertEqual(now[key], value, f"{case}: {key}")

    def test_every_family_comes_back(self):
        for case in tiny_models.CASES:
            with self.subTest(case=case):
                was = self.make(case)
                self.to_folder(self.to_gguf(case))
                self.assertSame("out/model.safetensors", f"{case}/model.safetensors")
                self.assertConfig(was, self.config(), case)
                self.assertEqual(sorted(os.listdir(self.path("out"))), ["config.json", "generation_config.json", "model.safetensors"])
                # and makes the same GGUF again
                os.rename(self.path("out"), self.path("again"))
                a, b = Gguf(self.path(f"{case}.gguf")), Gguf(self.path(self.to_gguf("again")))
                shutil.rmtree(self.path("again"))
                self.assertEqual(a.raw, b.raw)
                self.assertEqual({k: v for k, v in a.raw_keys.items() if k != "general.name"},
                                 {k: v for k, v in b.raw_keys.items() if k != "general.name"})

    def test_settings_of_their_own_come_back(self):
        scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256}
        for case, changes in (("llama3", {"rope_scaling": scaling, "head_dim": 32}), ("gemma3", {"layer_types": ["full_attention", "sliding_attention"] * 3}),
                              ("gemma3", {"final_logit_softcapping": 12.5}), ("phi3", {"sliding_window": 77, "rope_scaling": None, "original_max_position_embeddings": None}),
                              ("granite", {"residual_multiplier": 0.22, "logits_scaling": 13.3, "attention_bias": True}),
                              ("llama", {"attention_bias": False, "rope_theta": 12345.5, "rms_norm_eps": 1.2345e-5, "tie_word_embeddings": True}),
                              ("olmo2", {"tie_word_embeddings": True}), ("gemma2", {"attn_logit_softcapping": 7.25})):
            with self.subTest(case=case, changes=changes):
                changed = self.make(case, **changes)
                self.to_folder(self.to_gguf(case))
                self.assertSame("out/model.safetensors", f"{case}/model.safetensors")
                self.assertConfig({k: v for k, v in changed.items() if v is not None}, self.config(), case)

    def test_the_adapter_is_added_as_to_the_folder(self):
        adapter = self.random_adapter()
        self.to_folder(MODEL_GGUF, adapter=adapter)
        self.to_folder(MODEL, adapter=adapter, out="want")
        self.assertSame("out/model.safetensors", "want/model.safetensors")
        zero = os.path.join(TINY, "init")
        self.to_folder(MODEL_GGUF, adapter=zero)
        self.assertNotEqual(Safetensors(self.path("out/model.safetensors")).raw, Safetensors(self.path("want/model.safetensors")).raw)

    def test_what_is_quantised_is_expanded_and_rounded_once(self):
        self.make("llama")
        for kind, keeps in ("Q8_0", "F32"), ("Q4_1", "F32"), ("F16", "F16"), ("BF16", "BF16"), ("F32", "F32"):
            base = Gguf(self.path(self.to_gguf("llama", "--type", kind)))
            names = {"token_embd.weight": "model.embed_tokens.weight", "output.weight": "lm_head.weight", "output_norm.weight": "model.norm.weight",
                     "blk.1.attn_v.weight": "model.layers.1.self_attn.v_proj.weight", "blk.0.ffn_down.bias": "model.layers.0.mlp.down_proj.bias"}
            said = self.to_folder("llama.gguf")
            self.assertEqual("which holds their numbers as they are" in said, kind.startswith("Q"))
            self.assertEqual(f"vectors are F32 in the GGUF and are written as {keeps}" in said, keeps != "F32")
            now = Safetensors(self.path("out/model.safetensors"))
            self.assertEqual({now.type(t) for t in now.raw}, {keeps})
            self.assertEqual(self.config()["torch_dtype"], {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[keeps])
            for gguf, name in names.items():
                if keeps == "F32" or len(base.shapes[gguf]) > 1:
                    np.testing.assert_array_equal(now.numbers(name).view(np.uint32) if keeps != "F16" else now.numbers(name).astype(np.float32),
                                                  base.numbers(gguf).view(np.uint32) if keeps != "F16" else base.numbers(gguf))
            self.to_folder("llama.gguf", "--type", "F16")
            now = Safetensors(self.path("out/model.safetensors"))
            for gguf, name in names.items():
                np.testing.assert_array_equal(now.numbers(name), base.numbers(gguf).astype(np.float16))

    def test_a_model_in_parts_stays_one(self):
        part, whole = os.path.join(SPLIT, "model-00001-of-00003.gguf"), os.path.join(SPLIT, "whole.gguf")
        keys = Gguf(whole).keys
        config = {**tiny_models.config_of("llama"), "hidden_size": int(keys["llama.embedding_length"]),
                  "num_attention_heads": int(keys["llama.attention.head_count"]), "num_key_value_heads": int(keys["llama.attention.head_count_kv"])}
        tiny_models.write_zero_adapter(self.path("zero"), config)
        self.to_folder(whole, out="whole")
        self.to_folder(part)
        index, one = json.loads(self.read("out", "model.safetensors.index.json")), Safetensors(self.path("whole/model.safetensors"))
        files = sorted(set(index["weight_map"].values()))
        self.assertGreater(len(files), 1)
        self.assertEqual(files, sorted(f for f in os.listdir(self.path("out")) if f.endswith(".safetensors")))
        parts = {file: Safetensors(self.path("out", file)) for file in files}
        self.assertEqual(set(index["weight_map"]), set(one.raw))
        for name, file in index["weight_map"].items():
            self.assertEqual(parts[file].raw[name], one.raw[name])
        self.assertEqual(index["metadata"]["total_size"], sum(map(len, one.raw.values())))

    @unittest.skipUnless(os.path.exists(os.path.join(BIN, "dash-coordinator")), "dash-coordinator is not built")
    def test_it_trains_as_the_gguf_does(self):
        self.to_folder(MODEL_GGUF, adapter=os.path.join(TINY, "init"))
        losses = []
        for model in MODEL_GGUF, self.path("out"):
            sets = [f"output={self.path(str(len(losses)))}", "training.steps=3", "method=lora", f"model={model}"]
            done = self.dashctl("run", os.path.join(TINY, "job.yaml"), *(word for s in sets for word in ("--set", s)))
            self.assertEqual(done.returncode, 0, done.stderr)
            losses.append([json.loads(line)["loss"] for line in self.read(str(len(losses)), "metrics.jsonl").splitlines()])
        self.assertEqual(*losses)


class Tokenizers(FromGguf):
    def make_tokenizer(self, name):
        """A GGUF for one of golden/tokenizers."""
        golden = os.path.join(SOURCE, "tests/golden/tokenizers", name)
        shutil.rmtree(self.path("model"), ignore_errors=True)
        shutil.copytree(golden, self.path("model"))
        os.remove(self.path("model/cases.json"))
        config = {**tiny_models.config_of("llama"), "vocab_size": 720}
        tiny_models.write_model(self.path("model"), config)
        tiny_models.write_zero_adapter(self.path("zero"), config)
        with open(os.path.join(golden, "cases.json")) as f:
            return json.load(f)

    def test_texts_have_the_ids_of_transformers(self):
        for name in "converted", "gpt2", "legacy":
            with self.subTest(tokenizer=name):
                cases = self.make_tokenizer(name)
                self.to_folder(self.to_gguf("model"))
                texts = [c for c in cases if c["text"] and "\0" not in c["text"]]
                done = self.dashctl("tokenize", "-0", "--model", "out", stdin="".join(c["text"] + "\0" for c in texts))
                self.assertEqual([[int(i) for i in line.split()] for line in done.stdout.splitlines()], [c["ids"] for c in texts])

    def test_special_tokens_and_templates(self):
        self.make_tokenizer("converted")
        settings = json.loads(self.read("model/tokenizer_config.json"))
        templates = [{"name": "default", "template": "{{ bos_token }}\u2581\"\n"}, {"name": "tools", "template": "T"}]
        self.write("model/tokenizer_config.json", json.dumps({**settings, "pad_token": "<spec>", "chat_template": templates}))
        self.write("model/generation_config.json", '{"eos_token_id": [2, 5, 6]}')
        self.to_folder(self.to_gguf("model"))
        now = json.loads(self.read("out/tokenizer_config.json"))
        self.assertEqual({k: v for k, v in now.items() if k.endswith("_token")},
                         {"add_bos_token": False, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                          "pad_token": "<spec>"})
        self.assertEqual((now["tokenizer_class"], now["model_max_length"], now["chat_template"]), ("PreTrainedTokenizerFast", 512, templates))
        self.assertEqual(now["model_input_names"], ["input_ids", "attention_mask"])  # no token_type_ids, which generate() refuses
        self.assertEqual(json.loads(self.read("out/generation_config.json")), {"bos_token_id": 1, "eos_token_id": [2, 5, 6], "pad_token_id": 700})
        self.assertEqual({k: self.config()[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id")},
                         {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 700})
        tokenizer = json.loads(self.read("out/tokenizer.json"))
        self.assertEqual([t["id"] for t in tokenizer["added_tokens"]], sorted(t["id"] for t in tokenizer["added_tokens"]))
        self.assertTrue(tokenizer["model"]["byte_fallback"])

    @unittest.skipUnless(os.path.exists(os.path.join(BIN, "dash-coordinator")), "dash-coordinator is not built")
    def test_the_template_that_was_trained_goes_along(self):
        model = os.path.join(CASES, "tokenizer/otherchat")
        with open(os.path.join(model, "config.json")) as f:
            tiny_models.write_zero_adapter(self.path("zero"), {"model_type": "llama", **json.load(f)})
        self.export("zero", "--model", model, "--to", "gguf", "--out", "base.gguf")
        jinja = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        data = self.write("data.jsonl", '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]}\n')
        job = self.write("job.yaml", json.dumps({
            "model": self.path("base.gguf"), "data": {"train": data, "chat_template": self.write("own.jinja", jinja)}, "method": "lora",
            "lora": {"rank": 2, "alpha": 4}, "output": self.path("trained"), "parallel": {"threads": 1},
            "training": {"batch_size": 1, "steps": 1, "warmup_steps": 0}}))
        done = self.dashctl("run", job)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.to_folder("base.gguf", adapter="trained")
        self.assertEqual(json.loads(self.read("out/tokenizer_config.json"))["chat_template"], jinja)
        self.assertFalse(os.path.exists(self.path("out/chat_template.jinja")))


class Refusals(FromGguf):
    def rewritten(self, model, drop=(), keys=(), tensors=None):
        """The GGUF without some of its keys and tensors, and with others."""
        was = Gguf(self.path(model))
        values = {name: was.numbers(name) for name in was.raw if name not in drop}
        write_gguf(self.path("changed.gguf"), [raw for key, raw in was.raw_keys.items() if key not in drop] + list(keys), {**values, **(tensors or {})})
        return "changed.gguf"

    def test_what_a_config_cannot_say(self):
        self.make("llama")
        base = self.to_gguf("llama")
        said = self.refused(self.rewritten(base, drop=[f"blk.{i}.attn_output.bias" for i in range(2)],
                                           tensors={"rope_freqs.weight": np.array([1, 2, 1, 3], np.float32)}))
        self.assertIn("cannot become a folder of LlamaForCausalLM: it has biases of q_proj, k_proj, v_proj, gate_proj, up_proj, down_proj and none of "
                      "o_proj", said)
        self.assertIn("no numbers of the rope scaling llama3 give the divisors of rope_freqs.weight", said)
        said = self.refused(self.rewritten(base, keys=[gguf_key("llama.rope.scaling.type", STRING, b"linear"),
                                                       gguf_key("llama.rope.scaling.factor", F32, struct.pack("<f", 2))],
                                           tensors={"rope_freqs.weight": np.array([1, 1, 1, 8], np.float32)}))
        self.assertIn("config.json has no words for its rope scaling", said)
        # divisors of one are no scaling
        self.to_folder(self.rewritten(base, tensors={"rope_freqs.weight": np.ones(4, np.float32)}))
        self.assertIsNone(self.config()["rope_scaling"])

    def test_a_gguf_of_mistral_has_lost_its_window(self):
        self.make("llama", max_position_embeddings=8192)
        model = self.rewritten(self.to_gguf("llama"), drop=["general.name"], keys=[gguf_key("general.name", STRING, b"Mistral 7B")])
        self.assertIn("if it was one of 4096 tokens, the folder differs from the original in longer texts", self.to_folder(model))

    def test_hostile_tokenizers(self):
        self.make("llama")
        base = self.to_gguf("llama")

        def texts(key, values):
            return gguf_key(key, ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(struct.pack("<Q", len(v)) + v for v in values))

        def pieces(tokens, scores, template=b"T"):
            tokens, scores, n = tokens + [b"<unk>"], scores + [0], len(tokens) + 1
            return self.rewritten(base, drop=["tokenizer.ggml.model"], keys=[
                gguf_key("tokenizer.ggml.token_type", ARRAY, struct.pack(f"<IQ{n}i", I32, n, *[NORMAL] * (n - 1), UNKNOWN)),
                gguf_key("tokenizer.ggml.model", STRING, b"llama"), texts("tokenizer.ggml.tokens", tokens),
                gguf_key("tokenizer.ggml.scores", ARRAY, struct.pack(f"<IQ{n}f", F32, n, *scores)),
                gguf_key("tokenizer.chat_template", STRING, template)])
        said = self.refused(pieces([b"a", b"b", b"ab", b"ba", b"ab", b"\xff\xfe"] + [b"x%d" % i for i in range(40)], [-1.0] * 46, b"\xff"))
        for words in ("the ids 2 and 4 have the same text, 'ab'", "the token of id 5 is not UTF-8",
                      "the token 'x34' has the id 40, and the model has 40 tokens", "a chat template is not UTF-8"):
            self.assertIn(words, said)
        self.assertIn("the pieces 'ab' and 'ba' have one score", self.refused(pieces([b"a", b"b", b"ab", b"ba"], [-9, -9, -1, -1])))
        self.assertIn("the token of id 2 has 5000 bytes", self.refused(pieces([b"a", b"b", b"a" * 5000], [-9, -9, -1])))
        self.to_folder(pieces([b"a", b"b", b"../../ab", b"\"\\\n\x1b"], [-9, -9, -1, -2]))
        self.assertEqual(json.loads(self.read("out/tokenizer.json"))["model"]["vocab"], {"a": 0, "b": 1, "../../ab": 2, "\"\\\n\x1b": 3, "<unk>": 4})

    def test_a_tokenizer_that_is_not_supported(self):
        self.make("llama")
        model = self.rewritten(self.to_gguf("llama"), drop=["tokenizer.ggml.model"], keys=[gguf_key("tokenizer.ggml.model", STRING, b"t5")])
        self.assertIn("the tokenizer model 't5' is not supported", self.refused(model))

    def test_what_stands_there(self):
        self.make("llama")
        base = self.to_gguf("llama")
        os.mkdir(self.path("mine"))
        self.write("mine/a.txt", "mine")
        to = ["zero", "--model", base, "--to", "safetensors", "--out"]
        self.assertIn("is there already", self.export(*to, "mine", status=1))
        self.assertIn("is not a folder that an export has written", self.export(*to, "mine", "--force", status=1))
        self.export(*to, "out")
        self.assertIn("is there already", self.export(*to, "out", status=1))
        self.write("out/stale.json", "{}")
        self.export(*to, "out", "--force")
        self.assertFalse(os.path.exists(self.path("out/stale.json")))

    def test_a_number_that_f16_cannot_hold_is_named(self):
        self.make("llama")
        large = np.full((64, 32), 1e6, np.float32)
        base = self.rewritten(self.to_gguf("llama"), tensors={"blk.1.ffn_up.weight": large})
        said = self.export("zero", "--model", base, "--to", "safetensors", "--type", "F16", "--out", "x", status=1)
        self.assertIn("tensor blk.1.ffn_up.weight: number 0 of row 0 is 1e+06, which F16 cannot hold: choose --type BF16 or F32", said)
        self.assertFalse(os.path.exists(self.path("x")))


if __name__ == "__main__":
    unittest.main()
