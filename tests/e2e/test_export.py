"""dashctl export: every file that it writes is read back by numpy alone, and compared with sums that numpy makes."""
import hashlib
import resource
import shlex

import numpy as np

from harness import *
import tiny_models
from tensor_files import Gguf, Safetensors, write_safetensors

MODEL = os.path.join(TINY, "model")
MODEL_GGUF = os.path.join(TINY, "model.gguf")
CASES = os.path.join(SOURCE, "tests/golden/cases")
BASE = os.path.join(CASES, "model/base")
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def gguf_name(module):
    """"model.layers.0.self_attn.q_proj" as llama.cpp calls it."""
    _, _, layer, path = module.split(".", 3)
    return f"blk.{layer}.{NAMES[path]}.weight"


def permuted(rows, heads):
    """q and k as llama.cpp's converter stores those of Llama (LlamaModel.permute)."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


class Adapter:
    """A PEFT folder: the sums s B A of its modules, in double."""

    def __init__(self, folder):
        with open(os.path.join(folder, "adapter_config.json")) as f:
            self.config = json.load(f)
        self.tensors = Safetensors(os.path.join(folder, "adapter_model.safetensors"))
        self.modules = sorted(name[len("base_model.model."):-len(".lora_A.weight")] for name in self.tensors.header if ".lora_A." in name)

    def A(self, module):
        return self.tensors.numbers(f"base_model.model.{module}.lora_A.weight").astype(np.float64)

    def B(self, module):
        return self.tensors.numbers(f"base_model.model.{module}.lora_B.weight").astype(np.float64)

    def of_pattern(self, key, module, common):
        for pattern, value in self.config.get(key, {}).items():
            if re.search(rf"(^|\.)({pattern})$", module):
                return value
        return common

    def scale(self, module):
        rank = self.B(module).shape[1]
        alpha = self.of_pattern("alpha_pattern", module, self.config["lora_alpha"])
        return alpha / (rank ** 0.5 if self.config.get("use_rslora") else rank)

    def delta(self, module):
        return self.scale(module) * (self.B(module) @ self.A(module))


class Export(World):
    def random_adapter(self, name="adapter", **large):
        """The modules of golden/tiny's, with numbers that change the model: that one's B are zeros. large: {module: a factor of B}."""
        shutil.copytree(os.path.join(TINY, "init"), self.path(name))
        draw = np.random.default_rng(5)
        path = self.path(name, "adapter_model.safetensors")
        t = Safetensors(path)
        write_safetensors(path, {tensor: (draw.standard_normal(t.numbers(tensor).shape) * 0.1 *
                                          next((f for module, f in large.items() if f"{module}.lora_B" in tensor), 1)).astype(np.float32)
                                 for tensor in t.raw})
        return self.path(name)

    def export(self, *arguments, status=0, **more):
        done = self.dashctl("export", *arguments, **more)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def heads(self, path, folder=MODEL):
        with open(os.path.join(folder, "config.json")) as f:
            config = json.load(f)
        return {"self_attn.q_proj": config["num_attention_heads"], "self_attn.k_proj": config["num_key_value_heads"]}.get(path)

    def assertRounded(self, got, exact, name):
        """got is exact rounded to f32; sums of doubles in another order may round to the neighbour."""
        want = exact.astype(np.float32)
        self.assertEqual(got.shape, want.shape, name)
        self.assertLessEqual(np.max(np.abs(got.view(np.int32).astype(np.int64) - want.view(np.int32))), 1, name)
        self.assertGreater(np.mean(got == want), 0.999, name)

    def check_folder(self, adapter, base, files, out):
        """The merged folder has the base's tensors, the adapted ones with their sums."""
        a = Adapter(adapter)
        seen = set()
        for file in files:
            was, now = Safetensors(os.path.join(base, file)), Safetensors(os.path.join(out, file))
            self.assertEqual(now.metadata, {"format": "pt"})
            self.assertEqual(set(now.raw), set(was.raw))
            for name in was.raw:
                module = name[:-len(".weight")]
                self.assertEqual(now.header[name]["shape"], was.header[name]["shape"], name)
                if module in a.modules:
                    seen.add(module)
                    self.assertRounded(now.numbers(name), was.numbers(name) + a.delta(module), name)
                else:
                    self.assertEqual(now.raw[name], was.raw[name], name)
        self.assertEqual(seen, set(a.modules))


class Merged(Export):
    def test_a_folder_holds_the_sums_and_the_other_files(self):
        adapter = self.random_adapter()
        self.export(adapter, "--model", MODEL, "--to", "safetensors", "--out", "merged")
        self.check_folder(adapter, MODEL, ["model.safetensors"], self.path("merged"))
        for name in os.listdir(MODEL):
            if name != "model.safetensors":
                with open(os.path.join(MODEL, name), "rb") as was, open(self.path("merged", name), "rb") as now:
                    self.assertEqual(was.read(), now.read(), name)
        self.assertEqual(sorted(os.listdir(MODEL)), sorted(os.listdir(self.path("merged"))))
        self.assertEqual(sorted(os.listdir(self.folder)), ["adapter", "merged"])

    def test_scales_by_module_and_of_rslora_are_peft_s(self):
        for name in "plain", "rslora", "rankpat", "alllinear", "regex":
            with self.subTest(adapter=name):
                adapter = os.path.join(CASES, "adapter", name)
                self.export(adapter, "--model", BASE, "--to", "safetensors", "--out", name)
                self.check_folder(adapter, BASE, ["model.safetensors"], self.path(name))

    def test_a_model_in_parts_stays_one(self):
        base, adapter = os.path.join(CASES, "model/shards"), os.path.join(CASES, "adapter/plain")
        self.export(adapter, "--model", base, "--to", "safetensors", "--out", "merged")
        files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        self.check_folder(adapter, base, files, self.path("merged"))
        index = json.loads(self.read("merged", "model.safetensors.index.json"))
        self.assertEqual(index["weight_map"], {name: file for file in files for name in Safetensors(self.path("merged", file)).raw})
        self.assertEqual(index["metadata"]["total_size"],
                         sum(len(raw) for file in files for raw in Safetensors(self.path("merged", file)).raw.values()))

    def test_config_json_names_the_type_that_was_chosen(self):
        adapter = self.random_adapter()
        for kind, dtype, name in ("BF16", "BF16", "bfloat16"), ("f16", "F16", "float16"):
            self.export(adapter, "--model", MODEL, "--to", "safetensors", "--type", kind, "--out", kind)
            with open(os.path.join(MODEL, "config.json")) as f:
                was = f.read()
            self.assertEqual(self.read(kind, "config.json"), was.replace('"dtype": "float32"', f'"dtype": "{name}"'))
            now = Safetensors(self.path(kind, "model.safetensors"))
            self.assertEqual({now.type(t) for t in now.raw}, {dtype})
            a, was = Adapter(adapter), Safetensors(os.path.join(MODEL, "model.safetensors"))
            for tensor in now.raw:
                exact = was.numbers(tensor).astype(np.float64)
                if tensor[:-len(".weight")] in a.modules:
                    exact += a.delta(tensor[:-len(".weight")])
                error = np.abs(now.numbers(tensor).astype(np.float64) - exact)
                bits = 8 if dtype == "BF16" else 11
                self.assertTrue(np.all(error <= np.maximum(np.abs(exact) * 2.0 ** -bits * 1.001, 2.0 ** -25)), tensor)

    def test_a_gguf_holds_the_sums_in_its_order_of_rows(self):
        adapter = self.random_adapter()
        self.export(adapter, "--model", MODEL_GGUF, "--to", "gguf", "--out", "merged.gguf")
        a, was, now = Adapter(adapter), Gguf(MODEL_GGUF), Gguf(self.path("merged.gguf"))
        self.assertEqual(list(now.raw_keys.items()), list(was.raw_keys.items()))
        self.assertEqual(list(now.types.items()), list(was.types.items()))
        self.assertEqual(now.shapes, was.shapes)
        adapted = {gguf_name(module): module for module in a.modules}
        for name in was.raw:
            if name not in adapted:
                self.assertEqual(now.raw[name], was.raw[name], name)
                continue
            delta, heads = a.delta(adapted[name]), self.heads(adapted[name].split(".", 3)[3])
            delta = permuted(delta, heads) if heads else delta
            if was.types[name] == "F32":
                self.assertRounded(now.numbers(name), was.numbers(name) + delta, name)
            else:
                exact = was.numbers(name) + delta
                self.assertLess(np.max(np.abs(now.numbers(name) - exact)), 0.02 * np.max(np.abs(exact)), name)

    def test_types_of_a_gguf(self):
        adapter = self.random_adapter()
        self.export(adapter, "--model", MODEL_GGUF, "--to", "gguf", "--type", "F32", "--out", "f32.gguf")
        exact = Gguf(self.path("f32.gguf"))
        self.assertEqual(set(exact.types.values()), {"F32"})
        self.assertEqual(exact.keys["general.file_type"], 0)
        for kind, number, part in ("F16", 1, 2.0 ** -11), ("BF16", 32, 2.0 ** -8), ("Q8_0", 7, 1 / 254 + 2.0 ** -11), ("Q4_1", 3, 1 / 10):
            self.export(adapter, "--model", MODEL_GGUF, "--to", "gguf", "--type", kind, "--out", kind)
            now = Gguf(self.path(kind))
            self.assertEqual(now.keys["general.file_type"], number)
            self.assertEqual({k: v for k, v in now.raw_keys.items() if not k.startswith("general.")},
                             {k: v for k, v in exact.raw_keys.items() if not k.startswith("general.")})
            for name, type in now.types.items():
                self.assertEqual(type, kind if len(now.shapes[name]) > 1 else "F32", name)
                want = exact.numbers(name)
                error = np.abs(now.numbers(name) - want)
                self.assertLessEqual(np.max(error), part * np.max(np.abs(want)) * 1.01, name)
        self.assertEqual(Gguf(self.path("Q8_0")).keys["general.quantization_version"], 2)

    def test_the_merged_model_answers_as_base_and_adapter_do(self):
        """What has been read from the file that was written is what training would have used."""
        adapter = self.random_adapter()
        self.export(adapter, "--model", MODEL_GGUF, "--to", "gguf", "--type", "F32", "--out", "merged.gguf")
        self.export(adapter, "--model", MODEL, "--to", "safetensors", "--out", "merged")
        self.export(adapter, "--model", MODEL, "--to", "gguf", "--type", "F32", "--out", "folder.gguf")
        losses = []
        for more in ([f"model={self.path('merged.gguf')}", "lora.init_adapter=null"], [f"model={self.path('merged')}", "lora.init_adapter=null"],
                     [f"model={MODEL}", f"lora.init_adapter={adapter}"], [f"model={MODEL}", "lora.init_adapter=null"],
                     [f"model={self.path('folder.gguf')}", "lora.init_adapter=null"]):
            sets = [f"output={self.path(str(len(losses)))}", "training.steps=1", "method=lora", "data.max_tokens=128", *more]
            done = self.dashctl("run", os.path.join(TINY, "job.yaml"), *(word for s in sets for word in ("--set", s)))
            self.assertEqual(done.returncode, 0, done.stderr)
            losses.append(json.loads(self.read(str(len(losses)), "metrics.jsonl"))["loss"])
        self.assertAlmostEqual(losses[0], losses[2], delta=2e-6 * losses[2])
        self.assertAlmostEqual(losses[1], losses[2], delta=2e-6 * losses[2])
        self.assertGreater(abs(losses[3] - losses[2]), 0.01)
        self.assertEqual(losses[4], losses[1])  # of one folder, to the bit


class FolderToGguf(Export):
    """A folder becomes what llama.cpp's converter makes of it (tests/parity/gguf_golden.py), with the adapter added."""
    MORE = {"vocab_size", "rope.dimension_count", "rope.freq_base", "attention.key_length", "attention.value_length",
            "rope.scaling.type"}  # what the converter leaves to be implied

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(os.path.join(SOURCE, "tests/golden/gguf_of_folders.json")) as f:
            cls.facts = json.load(f)

    def make(self, case, adapter="zero", **changes):
        config = {**tiny_models.config_of(case), **changes}
        tiny_models.write_model(self.path(case), config)
        tiny_models.write_zero_adapter(self.path(adapter), config)
        return [adapter, "--model", case, "--to", "gguf", "--force"]

    def check_keys(self, now, facts, cut):
        architecture = facts["keys"]["general.architecture"]
        for key, value in facts["keys"].items():
            if not (cut and key.endswith((".context_length", ".original_context_length"))):
                self.assertEqual(now.keys.get(key), value, key)
        more = {k[len(architecture) + 1:] for k in now.keys if k not in facts["keys"] and k.startswith(architecture + ".")}
        self.assertLessEqual(more, self.MORE | {"rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow"})
        self.assertEqual({k for k in now.keys if k not in facts["keys"] and not k.startswith(architecture + ".")},
                         {"general.name", "tokenizer.ggml.model"})

    def test_every_family_is_what_the_converter_makes_of_it(self):
        self.assertEqual(set(self.facts), set(tiny_models.CASES))
        for case, facts in self.facts.items():
            with self.subTest(case=case):
                self.export(*self.make(case), "--type", "F32", "--out", "x")
                now = Gguf(self.path("x"))
                self.check_keys(now, facts, False)
                divisors = {name: now.numbers(name) for name in now.raw if name.startswith("rope_")}
                self.assertEqual({n: hashlib.sha256(raw).hexdigest()[:16] for n, raw in now.raw.items() if n not in divisors}, facts["sha256"])
                self.assertEqual(set(divisors), set(facts["divisors"]))
                for name, values in divisors.items():
                    np.testing.assert_allclose(values, facts["divisors"][name], rtol=1e-6)
                self.assertEqual(set(now.types.values()), {"F32"})

    def test_the_tiny_model_is_its_gguf(self):
        tiny_models.write_zero_adapter(self.path("zero"), {**json.loads(self.read(os.path.join(MODEL, "config.json"))), "model_type": "llama"})
        self.export("zero", "--model", MODEL, "--to", "gguf", "--out", "x")
        was, now = Gguf(MODEL_GGUF), Gguf(self.path("x"))
        self.assertEqual({n: now.raw[n] for n in was.raw}, was.raw)

    def test_it_holds_the_sums_in_the_order_of_a_gguf(self):
        adapter = self.random_adapter()
        self.export(adapter, "--model", MODEL, "--to", "gguf", "--out", "folder")
        self.export(adapter, "--model", MODEL_GGUF, "--to", "gguf", "--out", "gguf")
        a, b = Gguf(self.path("folder")), Gguf(self.path("gguf"))
        self.assertEqual(set(a.raw), set(b.raw))
        self.assertEqual([n for n in a.raw if a.raw[n] != b.raw[n]], [])

    def test_types(self):
        more = self.make("qwen2")
        t = Safetensors(self.path("qwen2/model.safetensors"))
        write_bf16(self.path("qwen2/model.safetensors"), {name: t.numbers(name) for name in t.raw})
        for kind, number in ("keep", 32), ("BF16", 32), ("F16", 1), ("Q8_0", 7), ("Q4_0", 2):
            self.export(*more, "--type", kind, "--out", "x")
            now = Gguf(self.path("x"))
            want = "BF16" if kind == "keep" else kind
            self.assertEqual(now.keys["general.file_type"], number)
            self.assertEqual({name: now.types[name] for name in now.types},
                             {name: want if len(now.shapes[name]) > 1 else "F32" for name in now.types})
        self.assertEqual(self.tree_of("."), {"qwen2", "zero", "x"})

    def tree_of(self, folder):
        return set(os.listdir(self.path(folder)))

    def test_a_window_that_cannot_be_said_bounds_the_context(self):
        more = self.make("mistral", sliding_window=48)
        self.assertIn("its context_length is that of the window, 48 tokens", self.export(*more, "--out", "x"))
        self.assertEqual(Gguf(self.path("x")).keys["llama.context_length"], 48)
        more = self.make("gemma3", layer_types=["full_attention", "sliding_attention"] * 3)
        self.assertIn("not those that the family has", self.export(*more, "--out", "x"))
        self.assertEqual(Gguf(self.path("x")).keys["gemma3.attention.sliding_window_pattern"], [False, True] * 3)

    def test_a_tied_head_is_written_where_it_must_be_there(self):
        self.export(*self.make("olmo2", tie_word_embeddings=True), "--out", "x")
        now = Gguf(self.path("x"))
        self.assertEqual(now.raw["output.weight"], now.raw["token_embd.weight"])

    def refused(self, more):
        said = self.export(*more, "--out", "refused", status=1)
        self.assertFalse(os.path.exists(self.path("refused")))
        return said

    def test_what_a_gguf_cannot_say_is_refused_with_all_reasons(self):
        said = self.refused(self.make("gemma3", query_pre_attn_scalar=20, hidden_activation="gelu", rms_norm_eps=0.5))
        self.assertIn("query_pre_attn_scalar", said)
        self.assertIn("another activation than hidden_activation", said)
        self.assertNotIn("rms_norm_eps", said)
        said = self.refused(self.make("qwen3", attention_bias=True))
        self.assertIn("has no bias of o_proj", said)
        self.assertIn("no rope scaling llama3", self.refused(self.make("smollm3", rope_scaling=tiny_models.CASES["llama3"]["rope_scaling"])))
        self.assertIn("every fourth goes without", self.refused(self.make("smollm3", no_rope_layers=[1, 0, 1, 1])))
        self.assertIn("no words for this rope scaling", self.refused(self.make("yarn", rope_scaling={
            "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "attention_factor": 1.5})))
        self.assertIn("must be 32 wide together", self.refused(self.make("qwen2", head_dim=4)))
        self.assertIn("no head other than the embedding", self.refused(self.make("gemma2", tie_word_embeddings=False)))


def write_bf16(path, tensors):
    header, at, data = {}, 0, b""
    for name, values in tensors.items():
        raw = (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [at, at + len(raw)]}
        at, data = at + len(raw), data + raw
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


class FolderTokenizers(Export):
    """The tokenizer and the template go along, or the export is refused."""

    def make(self, name, **changes):
        """A model for one of golden/tokenizers; changes of tokenizer.json."""
        golden = os.path.join(SOURCE, "tests/golden/tokenizers", name)
        shutil.copytree(golden, self.path("model"), dirs_exist_ok=True)
        os.remove(self.path("model/cases.json"))
        config = {**tiny_models.config_of("llama"), "vocab_size": 720}
        tiny_models.write_model(self.path("model"), config)
        tiny_models.write_zero_adapter(self.path("zero"), config)
        if changes:
            path = self.path("model/tokenizer.json")
            with open(path) as f:
                value = json.load(f)
            value.update(changes)
            with open(path, "w") as f:
                json.dump(value, f)
        with open(os.path.join(golden, "cases.json")) as f:
            return json.load(f)

    def export_it(self, **more):
        return self.export("zero", "--model", "model", "--to", "gguf", "--out", "x.gguf", "--force", **more)

    def test_texts_have_the_ids_of_transformers(self):
        for name, model, pre in ("converted", "llama", "default"), ("gpt2", "gpt2", "gpt-2"), ("legacy", "gpt2", "gpt-2"):
            with self.subTest(tokenizer=name):
                cases = self.make(name)
                self.export_it()
                now = Gguf(self.path("x.gguf"))
                self.assertEqual((now.keys["tokenizer.ggml.model"], now.keys["tokenizer.ggml.pre"]), (model, pre))
                self.assertEqual(len(now.keys["tokenizer.ggml.tokens"]), 720)
                self.assertEqual((now.keys["tokenizer.ggml.tokens"][719], now.keys["tokenizer.ggml.token_type"][719]), ("[PAD719]", 5))
                texts = [c for c in cases if c["text"] and "\0" not in c["text"]]
                done = self.dashctl("tokenize", "-0", "--model", "x.gguf", stdin="".join(c["text"] + "\0" for c in texts))
                self.assertEqual([[int(i) for i in line.split()] for line in done.stdout.splitlines()], [c["ids"] for c in texts])
                shutil.rmtree(self.path("model"))

    def test_normalized_tokens_where_nothing_is_normalized(self):
        """As Llama's own files have them: class and normalizer make Metaspace of it. The ids are transformers 5.24's."""
        with open(os.path.join(SOURCE, "tests/golden/tokenizers/converted/tokenizer.json")) as f:
            added = [dict(token, normalized=True) for token in json.load(f)["added_tokens"]]
        self.make("converted", added_tokens=added + [dict(added[0], id=702, content="<n>", special=False)])
        settings = json.loads(self.read("model/tokenizer_config.json"))
        self.write("model/tokenizer_config.json", json.dumps({**settings, "tokenizer_class": "LlamaTokenizer"}))
        self.export_it()
        done = self.dashctl("tokenize", "-0", "--model", "x.gguf", stdin="hi<n>\0a b</s>\0there<unk><n>\0")
        self.assertEqual(done.stdout.splitlines(), ["377 650 702", "260 283 2", "275 274 0 702"])

    def test_special_tokens_and_templates(self):
        self.make("converted")
        long = "{# " + "x" * 100_000 + " #}{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
        settings = json.loads(self.read("model/tokenizer_config.json"))
        self.write("model/tokenizer_config.json", json.dumps({**settings, "pad_token": "<spec>", "chat_template": [
            {"name": "default", "template": long}, {"name": "tools", "template": "T"}]}))
        self.write("model/generation_config.json", '{"eos_token_id": [2, 5, 6, 7]}')
        said = self.export_it()
        keys = Gguf(self.path("x.gguf")).keys
        self.assertEqual({k.split(".")[-1]: int(v) for k, v in keys.items() if k.endswith("_token_id")},
                         {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0, "padding_token_id": 700, "eot_token_id": 5,
                          "eom_token_id": 6})
        self.assertIn("does not end an answer at the token '<0x04>'", said)
        self.assertEqual(keys["tokenizer.chat_template"], long)
        self.assertEqual((keys["tokenizer.chat_templates"], keys["tokenizer.chat_template.tools"]), (["tools"], "T"))
        self.assertEqual([keys["tokenizer.ggml.token_type"][i] for i in (0, 1, 3, 400, 700)], [2, 3, 6, 1, 3])
        self.assertEqual(keys["tokenizer.ggml.tokens"].count("foo bar"), 1)

    def test_what_has_no_word_is_refused_before_anything_is_written(self):
        wrong = dict(special=False, single_word=False, lstrip=True, rstrip=False, normalized=False)
        with open(os.path.join(SOURCE, "tests/golden/tokenizers/converted/tokenizer.json")) as f:
            tokenizer = json.load(f)
        added, long = tokenizer["added_tokens"], {**tokenizer["model"], "vocab": {**tokenizer["model"]["vocab"], "x" * 4097: 702}}
        for changes, words in (
                (dict(added_tokens=added + [dict(wrong, id=702, content="<l>"), dict(wrong, id=703, content="<n>", lstrip=False, normalized=True)]),
                 ["'<l>' has the flag lstrip", "'<n>' has the flag normalized"]),
                (dict(added_tokens=added + [dict(wrong, id=702, content="a<s>", lstrip=False, normalized=True)]), ["'a<s>' holds '<s>'"]),
                (dict(normalizer={"type": "NFKC"}), ["what those of SentencePiece do"]),
                (dict(model=long), ["the token of id 702 has 4097 bytes; at most 4096 are possible"]),
                (dict(model={"type": "Unigram", "vocab": [["a", 0.0]]}), ["Unigram"])):
            self.make("converted", **changes)
            said = self.export("zero", "--model", "model", "--to", "gguf", "--out", "x.gguf", status=1)
            for word in words:
                self.assertIn(word, said)
            self.assertFalse(os.path.exists(self.path("x.gguf")))

    def test_a_model_without_a_tokenizer_says_so(self):
        self.make("converted")
        os.remove(self.path("model/tokenizer.json"))
        self.assertIn("the model has no tokenizer", self.export_it())
        self.assertEqual(Gguf(self.path("x.gguf")).keys["tokenizer.ggml.model"], "none")


class AdapterFiles(Export):
    def test_a_gguf_adapter_is_what_llama_cpp_reads(self):
        for name in "plain", "rslora", "rankpat":
            with self.subTest(adapter=name):
                adapter = os.path.join(CASES, "adapter", name)
                self.export(adapter, "--model", BASE, "--to", "gguf-adapter", "--out", name)
                a, now = Adapter(adapter), Gguf(self.path(name))
                self.assertEqual(now.keys["general.type"], "adapter")
                self.assertEqual(now.keys["adapter.type"], "lora")
                self.assertEqual(now.keys["general.architecture"], "llama")
                self.assertEqual(set(now.raw), {f"{gguf_name(m)}.lora_{x}" for m in a.modules for x in "ab"})
                for module in a.modules:
                    A, B = (now.numbers(f"{gguf_name(module)}.lora_{x}").astype(np.float64) for x in "ab")
                    # llama.cpp: alpha / rank, of B
                    got = float(now.keys["adapter.lora.alpha"]) / B.shape[1] * (B @ A)
                    heads = self.heads(module.split(".", 3)[3], BASE)
                    want = permuted(a.delta(module), heads) if heads else a.delta(module)
                    np.testing.assert_allclose(got, want, rtol=0, atol=3e-7 * np.max(np.abs(want)), err_msg=module)
                    if name == "plain":
                        np.testing.assert_array_equal(A, a.A(module))

    def test_the_commands_that_it_prints_are_words_of_a_shell(self):
        said = self.export(os.path.join(TINY, "init"), "--model", MODEL_GGUF, "--to", "gguf", "--out", "the model", "--modelfile", "it's; a file")
        commands = [shlex.split(line) for line in said.splitlines()[1:]]
        self.assertIn(["ollama", "create", "NAME", "-f", "it's; a file"], commands)
        self.assertIn(["llama-server", "-m", self.path("the model")], commands)

    def test_peft_is_copied_without_loss(self):
        adapter = os.path.join(CASES, "adapter/rankpat")
        self.export(adapter, "--model", BASE, "--to", "peft", "--out", "copy")
        was, now = Adapter(adapter), Adapter(self.path("copy"))
        self.assertEqual(now.modules, was.modules)
        self.assertEqual(now.config["base_model_name_or_path"], BASE)
        for module in was.modules:
            np.testing.assert_array_equal(was.A(module), now.A(module))
            np.testing.assert_array_equal(was.B(module), now.B(module))
            self.assertEqual(was.scale(module), now.scale(module))

    def test_vllm_gets_a_rank_that_it_knows(self):
        said = json.loads(self.export(os.path.join(CASES, "adapter/plain"), "--model", BASE, "--to", "peft", "--out", "it's",
                                      "--output", "json"))
        self.assertEqual(said["path"], self.path("it's"))
        self.assertRegex(said["command"], r"^vllm serve \S+/model/base --enable-lora --lora-modules 'trained=/\S+/it'\\''s' --max-lora-rank 8$")


@unittest.skipUnless(os.path.exists(os.path.join(BIN, "dash-coordinator")), "dash-coordinator is not built")
class Jobs(Export):
    def train(self, *sets, name="out"):
        sets = [f"output={self.path(name)}", "data.max_tokens=128", *sets]
        done = self.dashctl("run", os.path.join(TINY, "job.yaml"), *(word for s in sets for word in ("--set", s)))
        self.assertEqual(done.returncode, 0, done.stderr)

    def bytes_of(self, folder):
        with open(self.path(folder, "adapter_model.safetensors"), "rb") as f:
            return f.read()

    def test_what_a_job_has_trained(self):
        self.train()
        self.export("out", "--to", "peft", "--out", "peft")
        self.assertEqual(self.bytes_of("peft"), self.bytes_of("out/adapter"))
        self.assertEqual(Adapter(self.path("peft")).config["r"], 8 + 4)
        # the adapter's own folder is as good as the job's
        self.export("out/adapter", "--to", "peft", "--out", "again")
        self.assertEqual(self.bytes_of("again"), self.bytes_of("peft"))
        self.assertEqual(self.read("again", "adapter_config.json"), self.read("out/adapter", "adapter_config.json"))
        # and so is the last checkpoint
        said = json.loads(self.export("out", "--to", "peft", "--checkpoint", "--out", "last", "--output", "json"))
        self.assertEqual(said["checkpoint_step"], 20)
        self.assertEqual(self.bytes_of("last"), self.bytes_of("peft"))
        self.check_lora_only()

    def check_lora_only(self):
        said = self.export("out", "--to", "peft", "--lora-only", "--out", "lora")
        self.assertIn("the 4 directions of each matrix are left out", said)
        whole, plain = Adapter(self.path("peft")), Adapter(self.path("lora"))
        self.assertEqual((plain.config["r"], plain.config["lora_alpha"]), (8, 16))
        for module in whole.modules:
            np.testing.assert_array_equal(plain.A(module), whole.A(module)[:8])
            np.testing.assert_array_equal(2 * plain.B(module), whole.B(module)[:, :8])

    def test_a_job_that_was_stopped(self):
        """It has checkpoints and no adapter."""
        self.train("training.steps=6", "dash.prelaunch_steps=4")
        want = self.bytes_of("out/adapter")
        shutil.rmtree(self.path("out/adapter"))
        said = self.export("out", "--to", "peft", "--out", "peft")
        self.assertIn("the checkpoint of step 6 is used", said)
        self.assertEqual(self.bytes_of("peft"), want)
        # an adapter/ of a launch before the last one is not what was trained
        os.mkdir(self.path("out/adapter"))
        shutil.copy(self.path("peft/adapter_config.json"), self.path("out/adapter"))
        with open(self.path("out/outcome.json"), "w") as f:
            json.dump({"how": "stopped"}, f)
        self.export("out", "--to", "peft", "--out", "now")
        self.assertEqual(self.bytes_of("now"), want)


TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
CHATML = "{{ bos_token }}" + TURNS
ASKS = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
DEFAULT = "{{ bos_token }}{% if messages[0].role != 'system' %}<|im_start|>system\nYou are kind.<|im_end|>\n{% endif %}"
LLAMA3 = ("{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
          "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}")
GEMMA = ("{{ bos_token }}{% set ns = namespace(first='') %}{% if messages[0].role == 'system' %}{% set ns.first = messages[0].content + '\n\n' %}"
         "{% set messages = messages[1:] %}{% endif %}{% for m in messages %}<start_of_turn>"
         "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ ns.first if loop.first }}{{ m.content }}<end_of_turn>\n{% endfor %}"
         "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}")


@unittest.skipUnless(os.path.exists(os.path.join(BIN, "dash-coordinator")), "dash-coordinator is not built")
class Templates(Export):
    """What was trained with a chat template is served with that one, or without any."""
    MODEL = os.path.join(CASES, "tokenizer/otherchat")

    def train(self, name, jinja=None, data='{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]}', **more):
        settings = {"train": self.write(f"{name}.jsonl", data + "\n"), **more}
        if jinja:
            settings["chat_template"] = self.write(f"{name}.jinja", jinja)
        job = self.write(f"{name}.yaml", json.dumps({
            "model": self.MODEL, "data": settings, "method": "lora", "lora": {"rank": 2, "alpha": 4}, "output": self.path(name),
            "training": {"batch_size": 1, "steps": 1, "warmup_steps": 0}, "parallel": {"threads": 1}}))
        done = self.dashctl("run", job)
        self.assertEqual(done.returncode, 0, done.stderr)

    def modelfile(self, name):
        self.export(name, "--to", "gguf-adapter", "--out", f"{name}.gguf", "--modelfile", f"{name}.modelfile")
        text = self.read(f"{name}.modelfile")
        self.assertIn(f"FROM {self.MODEL}\nADAPTER {self.path(name)}.gguf\n", text)
        self.assertIn("PARAMETER num_ctx 512\n", text)
        return text

    def test_a_modelfile_has_the_template_that_was_trained(self):
        self.train("chatml", CHATML + ASKS)
        chatml = self.modelfile("chatml")
        self.assertIn('TEMPLATE """{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n'
                      '{{ end }}<|im_start|>assistant\n"""\nPARAMETER stop "<|im_end|>"\n', chatml)
        self.train("kind", DEFAULT + TURNS + ASKS)
        self.assertIn('SYSTEM """You are kind."""\n', self.modelfile("kind"))
        self.train("llama3", LLAMA3)
        self.assertIn("<|start_header_id|>{{ .Role }}<|end_header_id|>", self.modelfile("llama3"))
        self.train("gemma", GEMMA)
        self.assertIn("{{- $system := .System }}", self.modelfile("gemma"))

    def test_a_modelfile_has_no_template_that_was_not_trained(self):
        self.train("own")
        self.train("inserts", CHATML.replace("{{ m.content }}", "{{ m.content }} ") + ASKS)
        self.train("bare", TURNS + ASKS)  # Ollama would put the begin token there
        for name in "own", "inserts", "bare":
            text = self.modelfile(name)
            self.assertIn("# No TEMPLATE: the one that was trained has no known form in Ollama.", text)
            self.assertNotIn('"""', text)
        adapter = os.path.join(self.path("own"), "adapter")
        shutil.copytree(adapter, self.path("alone"))
        self.assertIn("not known with which", self.modelfile("alone"))

    def test_plain_and_alpaca(self):
        rows = '{"instruction": "Add", "input": "", "output": "Yes."}'
        self.train("plain", data='{"prompt": "a", "completion": "b"}')
        self.assertIn('TEMPLATE """{{ .Prompt }}"""\n', self.modelfile("plain"))
        self.assertIn("/v1/completions", self.export("plain", "--to", "peft", "--out", "peft"))
        self.train("alpaca", data=rows, template="alpaca")
        self.assertIn("completes the request.\n\n### Instruction:\n{{ .Prompt }}\n\n### Response:\"\"\"\n", self.modelfile("alpaca"))

    def test_a_template_of_its_own_goes_along(self):
        self.train("own", CHATML + ASKS)
        said = json.loads(self.export("own", "--to", "peft", "--out", "peft", "--output", "json"))
        self.assertEqual(self.read("peft", "chat_template.jinja"), CHATML + ASKS)
        self.assertTrue(said["command"].endswith(f" --chat-template {self.path('peft')}/chat_template.jinja"), said)
        self.export("own", "--to", "safetensors", "--out", "merged")
        self.assertEqual(self.read("merged", "chat_template.jinja"), CHATML + ASKS)
        self.export("own", "--to", "gguf", "--out", "merged.gguf")
        self.assertEqual(Gguf(self.path("merged.gguf")).keys["tokenizer.chat_template"], CHATML + ASKS)
        # the template of the folder wins over that of its tokenizer_config.json, here and in transformers
        done = self.dashctl("tokenize", "--model", "merged", "--chat", stdin='[{"role": "user", "content": "Hi"}]\n')
        self.assertIn("<|im_start|>user", done.stdout, done.stderr)
        self.train("models")
        self.export("models", "--to", "peft", "--out", "without")
        self.assertFalse(os.path.exists(self.path("without/chat_template.jinja")))
        os.remove(self.path("own.jinja"))
        self.assertIn("own.jinja", self.export("own", "--to", "peft", "--out", "lost", status=1))


class Refusals(Export):
    def refused(self, *arguments, status=1, **more):
        before = self.tree()
        said = self.export(*arguments, status=status, **more)
        self.assertEqual(self.tree(), before, "something was written")
        return said

    def tree(self):
        return {os.path.join(at, name): os.stat(os.path.join(at, name)).st_mtime_ns
                for at, folders, files in os.walk(self.folder) for name in folders + files}

    def test_wrong_calls(self):
        adapter = os.path.join(TINY, "init")
        self.assertIn("--to is missing", self.refused(adapter, "--out", "x", status=2))
        self.assertIn("--out is missing", self.refused(adapter, "--to", "peft", status=2))
        self.assertIn("not 'onnx'", self.refused(adapter, "--to", "onnx", "--out", "x", status=2))
        self.assertIn("not 'Q4_K'", self.refused(adapter, "--to", "gguf", "--type", "Q4_K", "--out", "x", status=2))
        self.assertIn("safetensors has no Q8_0", self.refused(adapter, "--to", "safetensors", "--type", "Q8_0", "--out", "x", status=2))
        self.assertIn("an adapter is F32", self.refused(adapter, "--to", "peft", "--type", "F16", "--out", "x", status=2))
        self.assertIn("--modelfile is for", self.refused(adapter, "--to", "peft", "--modelfile", "M", "--out", "x", status=2))

    def test_inputs_that_do_not_fit(self):
        adapter = os.path.join(TINY, "init")
        to = ["--to", "gguf", "--out", "x"]
        self.assertIn("neither the output folder of a job", self.refused(MODEL, *to))
        self.assertIn("No such file", self.refused("nowhere", *to))
        self.assertIn("name it with --model", self.refused(os.path.join(CASES, "adapter/plain"), *to))
        self.assertEqual("dashctl: the model \"typo.gguf\" is not a file or folder here\n",
                         self.refused(os.path.join(CASES, "adapter/plain"), *to, "--model", "typo.gguf"))
        self.assertIn("--lora-only needs one", self.refused(adapter, "--model", MODEL, "--lora-only", "--to", "peft", "--out", "x"))
        self.assertIn("folder cannot be opened", self.refused(adapter, "--model", MODEL, "--to", "peft", "--out", "no/where"))

    def test_what_is_there_is_replaced_only_when_asked_for(self):
        to = [os.path.join(TINY, "init"), "--model", MODEL_GGUF, "--to", "gguf", "--out", "x"]
        self.write("x", "mine")
        self.assertIn("x is there already: --force replaces it", self.refused(*to))
        self.export(*to, "--force")
        Gguf(self.path("x"))
        to = [os.path.join(TINY, "init"), "--model", MODEL, "--to", "safetensors", "--out", "y"]
        self.export(*to)
        self.assertIn("y is there already", self.refused(*to))
        self.write("y/stale.json", "{}")
        self.export(*to, "--force")
        self.assertFalse(os.path.exists(self.path("y/stale.json")))
        self.assertEqual(sorted(os.listdir(self.folder)), ["x", "y"])

    def test_a_folder_that_is_no_export_is_never_replaced(self):
        to = [os.path.join(TINY, "init"), "--model", MODEL, "--to", "safetensors", "--force", "--out"]
        os.makedirs(self.path("home/work"))
        self.write("home/config.json", "{}")
        self.assertIn("is not a folder that an export has written", self.refused(*to, "home"))
        os.mkdir(self.path("texts"))
        self.write("texts/a.txt", "mine")
        self.assertIn("is not a folder that an export has written", self.refused(*to, "texts"))
        self.write("file", "mine")
        self.assertIn("is not a folder: --force", self.refused(*to, "file"))

    def test_what_is_read_is_never_replaced(self):
        shutil.copytree(MODEL, self.path("in/model"))
        shutil.copytree(os.path.join(TINY, "init"), self.path("in/adapter"))
        shutil.copy(MODEL_GGUF, self.path("in/model.gguf"))
        os.symlink("in/model.gguf", self.path("link.gguf"))
        to = ["in/adapter", "--force", "--model"]
        for more in (["in/model", "--to", "safetensors", "--out", "in/model/"], ["in/model", "--to", "peft", "--out", "in/adapter"],
                     ["in/model", "--to", "peft", "--out", "in"], ["in/model.gguf", "--to", "gguf", "--out", "in/model.gguf"],
                     ["in/model.gguf", "--to", "gguf", "--out", "link.gguf"]):
            self.assertIn("which is read", self.refused(*to, *more))

    def test_a_modelfile_does_not_replace_what_it_names(self):
        os.mkdir(self.path("sub"))
        os.symlink(".", self.path("here"))
        for out, modelfile in ("x", "x"), ("x", "./x"), ("sub/x", "here/sub/x"):
            for model, to in (MODEL_GGUF, "gguf"), (MODEL, "gguf-adapter"):
                self.assertIn("give each a path of its own", self.refused(os.path.join(TINY, "init"), "--model", model, "--to", to,
                                                                          "--out", out, "--modelfile", modelfile))

    def test_a_number_that_f16_cannot_hold_is_named(self):
        self.random_adapter("large", **{"layers.1.mlp.down_proj": 1e8})
        for model, to, tensor in (MODEL, "safetensors", "model.layers.1.mlp.down_proj.weight"), (MODEL_GGUF, "gguf", "blk.1.ffn_down.weight"):
            said = self.refused("large", "--model", model, "--to", to, "--type", "F16", "--out", "x")
            self.assertIn(f"tensor {tensor}: ", said)
            self.assertIn("F16 cannot hold: choose --type BF16 or F32", said)

    def test_a_disk_that_is_full_leaves_nothing(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        for model, to in (MODEL, "safetensors"), (MODEL_GGUF, "safetensors"), (MODEL_GGUF, "gguf"), (MODEL, "gguf"), (MODEL, "gguf-adapter"), (MODEL, "peft"):
            done = subprocess.run([os.path.join(BIN, "dashctl"), "export", os.path.join(TINY, "init"), "--model", model, "--to", to,
                                   "--out", "x"], cwd=self.folder, capture_output=True, text=True, timeout=DEADLINE, preexec_fn=limit)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("File too large", done.stderr)
            self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main()
