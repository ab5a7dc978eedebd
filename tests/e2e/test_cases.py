"""Small inputs on which trainers go wrong, each with the right value: tests/golden/cases, after what users of other trainers
report. Losses are those of step 1, where B is 0: the base model's own, from PyTorch in double."""
import gzip

from harness import *

CASES = os.path.join(SOURCE, "tests/golden/cases")
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
SMOLLM2 = os.path.join(CACHE, "dash/models/SmolLM2-135M-Instruct.Q4_1.gguf")
has_smollm2 = unittest.skipUnless(os.path.exists(SMOLLM2), "SmolLM2 is not in the cache: deploy/get-model smollm2")


class Cases(World):
    def run_case(self, folder, *sets, job="job.yaml"):
        sets = [f"output={self.path('out')}", *sets]
        shutil.rmtree(self.path("out"), ignore_errors=True)
        return self.dashctl("run", os.path.join(CASES, folder, job), *(w for s in sets for w in ("--set", s)))

    def loss(self, folder, *sets, **more):
        done = self.run_case(folder, *sets, **more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(self.read("out/metrics.jsonl").splitlines()[0])["loss"]

    def assert_loss(self, want, folder, *sets, **more):
        self.assertAlmostEqual(self.loss(folder, *sets, **more), want, delta=1e-6 * want + 6e-5)  # four digits are given

    def refused(self, words, folder, *sets, **more):
        done = self.run_case(folder, *sets, **more)
        self.assertNotEqual(done.returncode, 0)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, done.stdout + done.stderr)

    def row(self, model, data, line=1, *sets):
        done = self.dashctl("data", "check", model, os.path.join(CASES, data), "--row", str(line), "--output", "json",
                            *(w for s in sets for w in ("--set", s)))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def row_refused(self, words, model, data, *sets):
        done = self.dashctl("data", "check", model, os.path.join(CASES, data), *(w for s in sets for w in ("--set", s)))
        self.assertEqual(done.returncode, 1, done.stdout)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, done.stderr)

    def trained(self, row):
        return [i for i in row["labels"] if i >= 0]


class Models(Cases):
    def test_settings_of_llama(self):
        for name, loss in (("base", 6.051473), ("shards", 6.051473), ("headdim", 6.152351), ("linear", 6.204084),
                           ("llama3old", 6.402646), ("bias", 6.224982)):
            with self.subTest(name):
                self.assert_loss(loss, "model", f"model={name}")

    def test_what_is_wrong_is_named(self):
        self.refused(["tie_word_embeddings", "lm_head"], "model", "model=untied_nohead")
        self.refused(["model.safetensors", "not finite"], "model", "model=nan")

    def test_gguf(self):
        for name, loss in (("part-00001-of-00002.gguf", None), ("llama3.gguf", 6.4026), ("headdim.gguf", 6.15235)):
            with self.subTest(name):
                if loss:
                    self.assert_loss(loss, "gguf", f"model={name}", "data.train=../model/rows.jsonl")
                else:
                    self.loss("gguf", f"model={name}", "data.train=../model/rows.jsonl")


class Adapters(Cases):
    def test_an_adapter_means_what_peft_means(self):
        self.assert_loss(6.2370, "adapter", "lora.init_adapter=rslora")
        self.assert_loss(6.2295, "adapter", "lora.init_adapter=plain")
        self.assert_loss(6.2295, "adapter", "lora.init_adapter=regex")
        self.loss("adapter", "lora.init_adapter=rankpat")
        self.loss("adapter", "lora.init_adapter=alllinear", "lora.target_modules=all-linear")
        self.refused(["lora.alpha is 32", "has alpha 4"], "adapter", "lora.alpha=32")
        self.refused("use_dora", "adapter", "lora.init_adapter=dora")
        self.refused("lm_head", "adapter", "lora.init_adapter=lmhead")


class Tokenizers(Cases):
    def model(self, name):
        return os.path.join(CASES, "tokenizer", name)

    def test_the_models_own_template(self):
        row = self.row(self.model("otherchat"), "tokenizer/chat.jsonl")
        self.assertEqual(row["text"], "<|begin|>[INST] Hi [/INST]Yes.<|end|>")
        self.assertEqual(row["labels"][-1], row["input_ids"][-1])
        self.assertEqual(row["input_ids"][-1], 1)
        row = self.row(self.model("l3chat"), "tokenizer/chat.jsonl")
        head = "<|head|>{}<|head|>\n\n{}<|eot|>"
        self.assertEqual(row["text"], "<|begin|>" + head.format("user", "Hi") + head.format("assistant", "Yes."))
        row = self.row(self.model("l3chat"), "tokenizer/inst.jsonl")
        self.assertEqual(row["text"], "<|begin|>" + head.format("user", "Say hi") + head.format("assistant", "hi"))

    def test_texts(self):
        for name in ("spm", "nfc", "lstrip", "maxlen1e30"):
            with self.subTest(name):
                self.loss("tokenizer", f"model={name}", "data.train=texts.jsonl")
        self.assert_loss(self.loss("model", "model=base"), "model", "model=base")
        self.loss("tokenizer", "model=spm", "data.train=../model/rows.jsonl")


class Data(Cases):
    def test_rows_of_ids(self):
        self.assert_loss(5.6520, "data", job="job_ids.yaml")

    @has_smollm2
    def test_the_default_system_turn_is_there(self):
        self.assertEqual(len(self.row(SMOLLM2, "data/one.jsonl")["input_ids"]), 35)
        self.assert_loss(6.3474, "data", f"model={SMOLLM2}", "data.train=one.jsonl")

    @has_smollm2
    def test_what_a_row_says_is_used_or_refused(self):
        self.assertEqual(len(self.trained(self.row(SMOLLM2, "data/weight0.jsonl"))), 5)
        for name in ("toolcall", "toolcall_null"):
            self.row_refused("tool_calls", SMOLLM2, f"data/{name}.jsonl")
        text = self.row(SMOLLM2, "data/alpaca_system.jsonl")["text"]
        for words in ("You only speak of stone fruit.", "Name a tree.", "An oak.", "Name a fruit.", "A plum."):
            self.assertIn(words, text)
        self.row_refused("\"system\"", SMOLLM2, "data/alpaca_system.jsonl", "data.template=alpaca")
        self.assertEqual(self.row(SMOLLM2, "data/bigid.jsonl")["input_ids"], self.row(SMOLLM2, "data/bigid.jsonl", 2)["input_ids"])

    @has_smollm2
    def test_conversations_of_other_forms(self):
        plum = "<|im_start|>user\nName a fruit.<|im_end|>\n<|im_start|>assistant\nA plum.<|im_end|>"
        for name, tail in (("sharegpt", plum), ("trlconv", plum), ("parts", "<|im_start|>assistant\nYes.<|im_end|>"),
                           ("developer", "<|im_start|>assistant\nYes.<|im_end|>"),
                           ("lastuser", "<|im_start|>user\nTwo?<|im_end|>\n")):
            with self.subTest(name):
                row = self.row(SMOLLM2, f"data/{name}.jsonl")
                self.assertTrue(row["text"].endswith(tail), row["text"])
                self.assertGreater(row["trained_tokens"], 1)

    @has_smollm2
    def test_files_as_they_are_found(self):
        for name in ("x.csv", "x.jsonl.gz", "ls.jsonl", "bom_crlf.jsonl"):
            with self.subTest(name):
                self.row(SMOLLM2, f"data/{name}", 2 if name.endswith("csv") else 1)
        self.row_refused("Parquet", SMOLLM2, "data/x.parquet")
        self.row_refused("UTF-16", SMOLLM2, "data/utf16.jsonl")
        self.row_refused("jq", SMOLLM2, "data/prettyobj.json")
        self.row_refused("2: ", SMOLLM2, "data/mixed.jsonl")
        self.row_refused("1: ", SMOLLM2, "data/emptymsg.jsonl")


class Commands(Cases):
    def test_init_writes_a_job_that_can_run(self):
        model, rows = os.path.join(CASES, "tokenizer/otherchat"), os.path.join(CASES, "tokenizer/chat.jsonl")
        done = self.dashctl("init", model, rows)
        self.assertEqual(done.returncode, 0, done.stderr)
        plan = self.dashctl("plan", self.write("job.yaml", done.stdout))
        self.assertEqual(plan.returncode, 0, plan.stderr)
        self.assertIn(f"template: chat_template of {model}/tokenizer_config.json", plan.stdout)
        self.assertEqual(self.dashctl("init", model, "/nowhere").returncode, 1)

    def test_tokenize_renders_conversations(self):
        model = os.path.join(CASES, "tokenizer/otherchat")
        with open(os.path.join(CASES, "tokenizer/chat.jsonl")) as f:
            row = f.read()
        done = self.dashctl("tokenize", "--model", model, "--chat", stdin=row)
        self.assertEqual(done.stdout, "<|begin|>[INST] Hi [/INST]Yes.<|end|>\n")
        ids, mask = self.dashctl("tokenize", "--model", model, "--chat", "--ids", "--mask", stdin=row).stdout.splitlines()
        self.assertEqual((ids.split()[-1], mask.split()[-1], mask.split()[0]), ("1", "1", "0"))
        self.assertEqual(len(ids.split()), len(mask.split()))
        template = self.write("t.jinja", "{{ x | tojson }}{{ tools | length }}{{ strftime_now('%Y') }}"
                                         "{% if add_generation_prompt %}?{% endif %}")
        done = self.dashctl("tokenize", "--model", model, "--chat", "--chat-template", template, "--generation-prompt", "--set",
                            "x=[1, 2.0]", "--tools", self.write("tools.json", "[{}, {}]"), "--date", "2001-02-03", stdin=row)
        self.assertEqual(done.stdout, "[1, 2.0]22001?\n", done.stderr)
        done = self.dashctl("tokenize", "--model", model, "--chat", stdin=row + "{}\n")
        self.assertIn("standard input:2: the row has no \"messages\"", done.stderr)

    def test_init_writes_steps_that_are_whole_passes(self):
        model, rows = os.path.join(CASES, "tokenizer/otherchat"), self.path("r.jsonl")
        for n in 1, 20, 90:
            with open(os.path.join(CASES, "tokenizer/chat.jsonl")) as one:
                self.write("r.jsonl", one.read().strip().join(["", "\n"]) * n)
            job = self.dashctl("init", model, rows).stdout
            steps, epochs = map(int, re.search(r"steps: (\d+) .*epochs: (\d+)", job).groups())
            path = self.write("job.yaml", job)
            done = self.dashctl("plan", path, "--output", "json", "--set", "training.steps=null", "--set",
                                f"training.epochs={epochs}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"steps: {steps}\n", json.loads(done.stdout)["job_yaml"])
            self.assertGreaterEqual(steps, 60)
        done = self.dashctl("init", model, rows, "--output", "json")
        self.assertEqual((done.returncode, done.stdout), (2, ""))

    def test_a_path_is_no_yaml(self):
        model = os.path.join(CASES, "tokenizer/otherchat")
        for name in "a: b #c.jsonl", "{a}.jsonl", "[1].jsonl", "'x\"\\.jsonl", "null", "~", "12", "a\tb", "*a", "&a":
            with self.subTest(name):
                shutil.copy(os.path.join(CASES, "tokenizer/chat.jsonl"), self.path(name))
                done = self.dashctl("data", "check", model, name, "--output", "json")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(json.loads(done.stdout)["files"], [self.path(name)])
                done = self.dashctl("init", model, name)
                self.assertEqual(done.returncode, 0, done.stderr)
                plan = self.dashctl("plan", self.write("job.yaml", done.stdout), "--set", "dash.directions=4")
                self.assertEqual(plan.returncode, 0, plan.stderr)

    def test_a_row_is_printed_with_its_file(self):
        model = os.path.join(CASES, "tokenizer/otherchat")
        for name in "r1.jsonl", "r2.jsonl":
            shutil.copy(os.path.join(CASES, "tokenizer/chat.jsonl"), self.path(name))
        by = ["data", "check", model, "r*.jsonl", "--row", "1"]
        files = [self.path("r1.jsonl"), self.path("r2.jsonl")]
        said = self.dashctl(*by).stdout.splitlines()
        self.assertEqual([line for line in said if line.startswith("file: ")], ["file: " + f for f in files])
        self.assertEqual([json.loads(line)["file"] for line in self.dashctl(*by, "--output", "json").stdout.splitlines()], files)
        self.assertNotIn("file: ", self.dashctl("data", "check", model, "r1.jsonl", "--row", "1").stdout)

    def test_a_conversation_in_json(self):
        done = self.dashctl("generate", "--model", os.path.join(CASES, "tokenizer/otherchat"), "--chat", "--output", "json",
                            "--max-tokens", "2", "--threads", "1", stdin="Hi\n\nAnd?\n")
        said = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["prompt"] for line in said], ["Hi", "And?"], done.stderr)
        self.assertEqual([line["tokens"] for line in said], [2, 2])

    def test_reasoning_is_named_as_the_row_names_it(self):
        model = os.path.join(CASES, "tokenizer/otherchat")
        for name in "thinking", "reasoning", "reasoning_content":
            row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes.", name: "Hm"}]}
            path = self.write("r.jsonl", json.dumps(row))
            said = self.dashctl("data", "check", model, path, "--output", "json")
            self.assertEqual(json.loads(said.stdout)["unused_fields"], f"{name} (1 row)", said.stderr)

    def test_the_weight_of_a_file_is_named(self):
        job = os.path.join(CASES, "run/job.yaml")
        done = self.dashctl("plan", job, "--set", "data.train=[{file: a, weight: 0}]")
        self.assertIn("the weight of a file in data.train must be a number > 0", done.stderr)

    def test_set_takes_json_alone(self):
        by = ["tokenize", "--model", os.path.join(CASES, "tokenizer/otherchat"), "--chat", "--chat-template",
              self.write("t.jinja", "{{ x | tojson }}{{ 'yes' if x else 'no' }}"), "--set"]
        row = '[{"role": "user", "content": "Hi"}]'
        for value, words in (("False", "write false"), ("TRUE", "write true"), ("None", "write null"), ("{a:1}", "'x=\"...\"'"),
                             ("01", "'x=\"01\"'"), ("two words", "'x=\"two words\"'"), ("", "double quotes"), ("'a'", "quotes"),
                             ("NaN", "quotes"), ("1 2", "quotes"), ("[1", "quotes")):
            with self.subTest(value):
                done = self.dashctl(*by, "x=" + value, stdin=row)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(f"--set x={value}: the value is not JSON", done.stderr)
                self.assertIn(words, done.stderr)
        for value, said in (("false", "falseno"), ('"False"', '"False"yes'), ("null", "nullno"), ("0", "0no"), ('""', '""no')):
            self.assertEqual(self.dashctl(*by, "x=" + value, stdin=row).stdout, said + "\n")

    def test_text_ids_and_mask_are_of_one_rendering(self):
        part = {"type": "text", "text": "Hi"}
        row = json.dumps([{"role": "user", "content": [part, {**part, "text": " there"}]},
                          {"role": "assistant", "content": [{**part, "text": "Yes."}]}])
        tail = "{% if add_generation_prompt %}<{% endif %}"
        show = self.write("repr.jinja", "{% for m in messages %}<{{ m.content }}>{% endfor %}" + tail)
        add = self.write("add.jinja", "{% for m in messages %}{{ '<' + m.content + '>' }}{% endfor %}" + tail)
        takes = self.write("takes.jinja", "{% for m in messages %}<{% if m.content is string %}{{ m.content }}{% else %}"
                           "{% for p in m.content %}{{ p.text }}+{% endfor %}{% endif %}>{% endfor %}" + tail)
        model = os.path.join(CASES, "tokenizer/otherchat")
        for template, text in ((show, "<Hi there><Yes.>"), (add, "<Hi there><Yes.>"), (takes, "<Hi+ there+><Yes.+>")):
            for more, end in ([], ""), (["--generation-prompt"], "<"):
                with self.subTest(template, more=more):
                    by = ["tokenize", "--model", model, "--chat", "--chat-template", template, *more]
                    said = [self.dashctl(*by, *what, stdin=row) for what in ([], ["--ids"], ["--ids", "--mask"], ["--mask"])]
                    self.assertEqual([d.returncode for d in said], [0, 0, 0, 0], said)
                    self.assertEqual(said[0].stdout, text + end + "\n")
                    self.assertEqual(said[1].stdout + said[3].stdout, said[2].stdout)
                    ids = self.dashctl("tokenize", "--model", model, "--decode", stdin=said[1].stdout).stdout
                    self.assertEqual(ids, text + end + "\n")

    def test_tokenize_reads_conversations_as_data_check_reads_files(self):
        row = b'\xef\xbb\xbf[{"role": "user", "content": "Hi"}]\r\n'
        model = os.path.join(CASES, "tokenizer/otherchat")
        with open(self.path("plain"), "wb") as plain, gzip.open(self.path("packed"), "wb") as packed:
            plain.write(row)
            packed.write(row)
        for name in "plain", "packed":
            done = self.dashctl("tokenize", "--model", model, "--chat", self.path(name))
            self.assertEqual((done.returncode, done.stdout), (0, "<|begin|>[INST] Hi [/INST]\n"), done.stderr)
        self.assertEqual(self.dashctl("tokenize", "--model", model, "--chat", stdin=row.decode()).returncode, 0)

    def test_files_fields_weights_and_overflow(self):
        model = os.path.join(CASES, "model/base")
        for name, first in (("a1", 5), ("a2", 6), ("b", 7)):
            self.write(f"{name}.jsonl", "".join(json.dumps({"ids": [first, i + 1, 9], "labels": [-100, i + 1, 9], "id": i}) + "\n"
                                                for i in range(4)))
        fields = ["--set", "data.fields={input_ids: ids}"]
        job = self.write("job.yaml", "model: %s\ndata: {train: ['a*.jsonl', {file: b.jsonl, weight: 0.5}]}\noutput: o\n" % model)
        done = self.dashctl("data", "check", job, *fields, "--output", "json")
        seen = json.loads(done.stdout)
        self.assertEqual((seen["rows"], [os.path.basename(f) for f in seen["files"]]), (10, ["a1.jsonl", "a2.jsonl", "b.jsonl"]))
        self.assertEqual(seen["unused_fields"], "id (12 rows)")
        self.assertIn("data.fields", self.dashctl("data", "check", job).stderr)
        for overflow, rows in (("drop", 0), ("cut", 10), ("split", 10)):
            done = self.dashctl("data", "check", job, *fields, "--output", "json", "--set", f"data.overflow={overflow}", "--set",
                                "data.max_tokens=2")
            self.assertEqual(json.loads(done.stdout)["rows"] if rows else done.returncode, rows or 1)


    def test_data_check_refuses_the_jobs_that_plan_refuses(self):
        model, rows = os.path.join(CASES, "tokenizer/otherchat"), os.path.join(CASES, "tokenizer/chat.jsonl")
        for row in [], ["--row", "1"], ["--output", "json"]:
            for wrong in ("data.train_on=lats", "data.trainon=last", "data.templat=x", "data.template=chatlm", "data.fields=x",
                          "training.stepz=3", "data.max_tokens=0"):
                with self.subTest(wrong, row=row):
                    done = self.dashctl("data", "check", model, rows, *row, "--set", wrong)
                    self.assertEqual((done.returncode, done.stdout), (1, ""))
                    self.assertIn(wrong.split("=")[0], done.stderr)
        job = self.write("job.yaml", f"model: {model}\noutput: o\ndata: {{train: {rows}, train_on: lats, templat: x}}\nlr: 1\ndash: {{directions: 4}}\n")
        plan, check = (self.dashctl(*command, job) for command in (["plan"], ["data", "check"]))
        self.assertEqual((check.returncode, check.stdout, check.stderr), (1, "", plan.stderr))


class Runs(Cases):
    def test_an_epoch_sees_each_row_once(self):
        self.assert_loss(6.4495, "run", "training.steps=null", "training.epochs=1", "training.batch_size=16")
        row = json.loads(self.read("out/metrics.jsonl").splitlines()[0])
        self.assertEqual(row["trained_tokens"], 127)

    def test_a_warm_up_longer_than_the_run_is_said(self):
        self.assertIn("the learning rate never reaches", self.run_case("run", job="job_w.yaml").stdout)

    def test_a_resume_names_what_differs(self):
        self.loss("run")
        done = self.dashctl("run", os.path.join(CASES, "run/job.yaml"), "--resume", "--set", f"output={self.path('out')}",
                            "--set", "training.batch_size=2")
        self.assertIn("training.batch_size was 4 and is 2", done.stderr)


if __name__ == "__main__":
    unittest.main()
