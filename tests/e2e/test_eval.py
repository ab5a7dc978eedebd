"""dashctl eval: what it measures is what others measure. Losses of golden/tiny are those of an independent trainer in
double; log-likelihoods of SmolLM2 are those of transformers, of the GGUF's weights in double."""
import math

from harness import *

CASES = os.path.join(SOURCE, "tests/golden/cases")
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
SMOLLM2 = os.path.join(CACHE, "dash/models/SmolLM2-135M-Instruct.Q4_1.gguf")
has_smollm2 = unittest.skipUnless(os.path.exists(SMOLLM2), "SmolLM2 is not in the cache: deploy/get-model smollm2")
MODEL = os.path.join(TINY, "model")
CHAT = os.path.join(CASES, "tokenizer/otherchat")

QUESTIONS = [
    {"question": "The capital of France is", "choices": ["Paris", "London", "the city of Berlin"], "answer": 0},
    {"question": "2 + 2 =", "choices": ["5", "4", "22, which is a number"], "answer": "4"},
    {"question": "A dog is an", "choices": ["animal", "vegetable"], "answer": "animal"},
    {"prompt": "Q: Is fire hot or cold?\nA:", "choices": ["cold", "hot", "Caf\u00e9 au lait"], "answer": 1},
    {"question": "Water boils at a temperature of", "answer": 0,
     "choices": ["100 degrees Celsius", "12 degrees", "a thousand suns"]}]
LOG_LIKELIHOODS = [[-0.258081, -4.384368, -15.972468], [-2.919856, -2.317339, -16.044429], [-0.423546, -15.796667],
                   [-9.253432, -7.945006, -18.020733], [-7.593273, -10.998707, -19.778976]]


class Eval(World):
    def rows(self, name, rows):
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    def eval(self, *arguments, status=0):
        done = self.dashctl("eval", "--threads", "1", *arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def figures(self, *arguments):
        return json.loads(self.eval("--output", "json", *arguments).stdout)

    def details(self, *arguments):
        figures = self.figures("--details", self.path("details.jsonl"), *arguments)
        return figures, [json.loads(line) for line in self.read("details.jsonl").splitlines()]

    def trained(self, *sets):
        """The output folder of golden/tiny, trained on 24 of its rows and measured on the other 8."""
        with open(os.path.join(TINY, "train.jsonl")) as f:
            lines = f.readlines()
        sets = [f"output={self.path('out')}", "data.max_tokens=128", "training.learning_rate=0.003", "dash.prelaunch_steps=2",
                f"data.train={self.write('train.jsonl', ''.join(lines[:24]))}",
                f"data.eval={self.write('eval.jsonl', ''.join(lines[24:]))}", "training.eval_every=2", *sets]
        done = self.dashctl("run", os.path.join(TINY, "job.yaml"), *(w for s in sets for w in ("--set", s)))
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.path("out"), [json.loads(line) for line in self.read("out/metrics.jsonl").splitlines()]


class Loss(Eval):
    def test_it_is_that_of_an_independent_trainer(self):
        with open(os.path.join(TINY, "expected/trace.json")) as f:
            expected = json.load(f)["trace"][0]["loss"]
        figures, details = self.details("--model", MODEL, "--adapter", os.path.join(TINY, "init"), "--limit", "8",
                                        "--data", os.path.join(TINY, "train.jsonl"))
        self.assertAlmostEqual(figures["loss"], expected, delta=1e-6 * expected)
        self.assertAlmostEqual(figures["perplexity"], math.exp(figures["loss"]), delta=1e-6 * figures["perplexity"])
        self.assertEqual((figures["examples"], figures["trained_tokens"], figures["task"]), (8, 77, "loss"))
        self.assertEqual([d["line"] for d in details], list(range(1, 9)))
        self.assertEqual(sum(d["trained_tokens"] for d in details), 77)
        mean = sum(d["loss"] * d["trained_tokens"] for d in details) / 77
        self.assertAlmostEqual(mean, figures["loss"], delta=1e-8)

    @has_smollm2
    def test_a_template_is_that_of_training(self):
        figures = self.figures("--model", SMOLLM2, "--data", os.path.join(CASES, "data/one.jsonl"))
        self.assertAlmostEqual(figures["loss"], 6.3474, delta=5e-5)  # test_cases.py's, from PyTorch

    def test_an_output_folder_is_measured_as_in_training(self):
        out, rows = self.trained("training.keep_best=true")
        best = [row for row in rows if row.get("best")][-1]
        self.assertLess(best["step"], 20)
        loss = self.figures(out)["loss"]
        self.assertAlmostEqual(loss, best["eval_loss"], delta=1e-6 * loss)
        self.assertAlmostEqual(self.figures(os.path.join(out, "adapter"))["loss"], loss, delta=1e-12)
        last = self.figures(out, "--checkpoint")
        self.assertEqual(last["checkpoint_step"], 20)
        self.assertAlmostEqual(last["loss"], rows[-1]["eval_loss"], delta=1e-6 * loss)
        without = self.figures(out, "--without-directions")
        self.assertEqual(without["checkpoint_step"], best["step"])
        base = self.figures(out, "--base")
        self.assertAlmostEqual(base["loss"], self.figures("--model", MODEL, "--data", self.path("eval.jsonl"))["loss"], delta=1e-12)
        self.assertEqual(len({loss, last["loss"], without["loss"], base["loss"]}), 4)
        text = self.eval(out).stdout
        self.assertRegex(text, r"(?m)^trained tokens +72$")
        self.assertRegex(text, rf"(?m)^loss +{loss:.6g}$")

    def test_what_is_wrong_is_said(self):
        rows = os.path.join(TINY, "train.jsonl")
        wrong = self.write("wrong.jsonl", '{"input_ids": [1, 2], "labels": [1]}\n{"input_ids": [9999, 1], "labels": [1, 1]}\n')
        details = ("--details", self.path("details.jsonl"))
        said = self.eval("--model", MODEL, "--data", wrong, *details, status=1).stderr
        self.assertIn("wrong.jsonl:1:", said)
        self.assertIn("wrong.jsonl:2:", said)
        self.assertIn("--data is missing", self.eval("--model", MODEL, status=1).stderr)
        self.assertIn("token ids", self.eval("--model", MODEL, "--data", rows, "--task", "answer", status=1).stderr)
        for arguments, words in ((["--data", rows], "--model"), (["--model", MODEL, "--without-directions"], "output folder"),
                                 (["--model", MODEL, "--task", "guess"], "loss, choice or answer"),
                                 (["--model", MODEL, "--limit", "0"], "from 1"),
                                 (["a", "b"], "one output folder or adapter")):
            self.assertIn(words, self.eval(*arguments, status=2).stderr)
        self.assertFalse(os.path.exists(self.path("details.jsonl")))

    def test_ctrl_c_ends_it_and_nothing_is_written(self):
        with open(os.path.join(TINY, "train.jsonl")) as f:
            data = self.write("many.jsonl", f.read() * 4000)
        t = Terminal([os.path.join(BIN, "dashctl"), "eval", "--model", MODEL, "--data", data, "--details", self.path("details")])
        wait_for(lambda: "of 128000 examples" in t.read(), "progress is shown")
        t.press(b"\x03")
        self.assertEqual(t.wait(), 1)
        self.assertRegex(t.read(), r"interrupted after \d+ of 128000 examples: nothing is written")
        self.assertFalse(os.path.exists(self.path("details")))


class Choice(Eval):
    @has_smollm2
    def test_likelihoods_are_those_of_transformers(self):
        figures, details = self.details("--model", SMOLLM2, "--data", self.rows("q.jsonl", QUESTIONS))
        right = right_by_length = 0
        for row, expected, got in zip(QUESTIONS, LOG_LIKELIHOODS, details, strict=True):
            for want, choice, of in zip(expected, row["choices"], got["choices"], strict=True):
                self.assertAlmostEqual(of["log_likelihood"], want, delta=1e-5 * abs(want))
                self.assertEqual(of["characters"], len(choice))
            best = max(range(len(expected)), key=lambda i: expected[i])
            by_length = max(range(len(expected)), key=lambda i: expected[i] / len(row["choices"][i]))
            answer = row["choices"].index(row["answer"]) if isinstance(row["answer"], str) else row["answer"]
            self.assertEqual((got["answer"], got["predicted"], got["predicted_by_length"]), (answer, best, by_length))
            right += best == answer
            right_by_length += by_length == answer
        self.assertEqual(figures["task"], "choice")
        self.assertEqual((figures["right"], figures["right_by_length"]), (right, right_by_length))
        self.assertEqual((figures["accuracy"], figures["accuracy_by_length"]), (right / 5, right_by_length / 5))
        self.assertNotEqual(right, right_by_length)

    def test_rows_that_are_wrong_are_all_named(self):
        good = {"question": "a", "choices": ["b", "c"], "answer": 1}
        data = self.rows("q.jsonl", [good, {**good, "answer": 2}, {**good, "answer": "d"}, {**good, "choices": ["b"]},
                                     {**good, "choices": ["b", ""]}, {**good, "question": 5}, [1],
                                     {**good, "choices": ["b", "b"], "answer": "b"}])
        said = self.eval("--model", CHAT, "--data", data, status=1).stderr
        self.assertEqual([int(n) for n in re.findall(r"q\.jsonl:(\d+): ", said)], [2, 3, 4, 5, 6, 7, 8], said)
        self.assertEqual(self.figures("--model", CHAT, "--data", data, "--limit", "1")["examples"], 1)


class Answer(Eval):
    def test_generated_answers_are_compared(self):
        prompts = [{"instruction": f"Say {word}"} for word in ("one", "two", "three")]
        said = self.dashctl("generate", "--model", CHAT, "--prompts", self.rows("p.jsonl", prompts), "--max-tokens", "4",
                            "--threads", "1", "--output", "json").stdout
        said = [json.loads(line)["completion"] for line in said.splitlines()]
        rows = [{**p, "output": f" {s}\n" if i else "no", "answer": "true"} for i, (p, s) in enumerate(zip(prompts, said, strict=True))]
        figures, details = self.details("--model", CHAT, "--task", "answer", "--new-tokens", "4", "--data", self.rows("a.jsonl", rows))
        self.assertEqual((figures["examples"], figures["with_expected_text"], figures["with_answer_word"]), (3, 3, 3))
        self.assertEqual([d["generated"] for d in details], said)
        self.assertEqual([d["exact_match"] for d in details], [False, True, True])
        self.assertAlmostEqual(figures["exact_match"], 2 / 3)
        for d in details:  # commonsense_evaluate.py of LLM-Adapters
            found = re.findall(r"true|false", d["generated"].strip())
            self.assertEqual(d["extracted"], found[0] if found else "")
        self.assertEqual(figures["right_words"], sum(d["right"] for d in details))

    def test_rows_without_an_answer(self):
        data = self.rows("a.jsonl", [{"instruction": "Say one"}])
        self.assertIn("has an answer", self.eval("--model", CHAT, "--task", "answer", "--new-tokens", "1", "--data", data, status=1).stderr)


if __name__ == "__main__":
    unittest.main()
