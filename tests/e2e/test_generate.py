"""dashctl generate: answers as they come, where they end, and how they are drawn. Greedy answers of SmolLM2 are those of
transformers."""
from harness import *

CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
SMOLLM2 = os.path.join(CACHE, "dash/models/SmolLM2-135M-Instruct.Q4_1.gguf")


@unittest.skipUnless(os.path.exists(SMOLLM2), "SmolLM2 is not in the cache: deploy/get-model smollm2")
class Generate(World):
    def generate(self, *arguments, status=0):
        done = self.dashctl("generate", "--model", SMOLLM2, "--threads", "1", *arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def answer(self, *arguments):
        return json.loads(self.generate("Hi", "--max-tokens", "12", "--output", "json", *arguments))["completion"]

    def test_answers_are_those_of_transformers(self):
        prompts = {"Question: is the sky blue? Answer true or false.": "The sky is indeed blue.",
                   "What is 1+1?": "1 + 1 = 2 in mathematics."}
        both = self.generate(*prompts, "--max-tokens", "16")
        self.assertEqual(both, "".join(f"> {p}\n{a}\n" for p, a in prompts.items()))
        for prompt, answer in prompts.items():
            self.assertEqual(self.generate(prompt, "--max-tokens", "16"), answer + "\n")
        stopped = self.generate("What is 1+1?", "--stop", "never", "--stop", " in")
        self.assertEqual(stopped, "1 + 1 = 2\n")

    def test_prompts_that_are_answered_together_do_not_depend_on_each_other(self):
        model = os.path.join(SOURCE, "tests/golden/cases/tokenizer/otherchat")
        prompts = [f"Say {i}" + " and more" * i for i in range(18)]

        def answers(*arguments):
            done = self.dashctl("generate", "--model", model, "--max-tokens", "6", "--threads", "1", "--output", "json", *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            return [json.loads(line)["completion"] for line in done.stdout.splitlines()]
        together = answers("--prompts", self.write("prompts", "".join(p + "\n" for p in prompts)))
        self.assertEqual(len(together), 18)
        for i in (0, 15, 16, 17):
            self.assertEqual(answers("--prompt", prompts[i]), [together[i]])

    def test_one_answer_is_printed_as_it_is_made(self):
        whole = self.answer()
        self.assertEqual(self.generate("Hi", "--max-tokens", "12"), whole + "\n")
        stop = whole[len(whole) // 2:][:3]
        self.assertEqual(self.generate("Hi", "--max-tokens", "12", "--stop", stop), whole.split(stop)[0] + "\n")
        self.assertEqual(self.answer("--stop", stop), whole.split(stop)[0])
        command = [os.path.join(BIN, "dashctl"), "generate", "--model", SMOLLM2, "Write a long story.", "--max-tokens", "40", "--threads", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as p:
            first = os.read(p.stdout.fileno(), 4096).decode()
            rest = p.stdout.read()
        self.assertEqual(p.returncode, 0)
        self.assertTrue(rest and first, (first, rest))

    def test_draws_follow_the_seed(self):
        hot = ("--temperature", "1.5")
        self.assertEqual(self.answer(*hot, "--seed", "1"), self.answer(*hot, "--seed", "1"))
        self.assertGreater(len({self.answer(*hot, "--seed", str(n)) for n in range(2)}), 1)
        self.assertEqual(self.answer(*hot, "--top-k", "1"), self.answer())
        self.assertEqual(self.answer(*hot, "--top-p", "0.000001"), self.answer())
        self.assertNotEqual(self.answer("--repetition-penalty", "100"), self.answer())
        for wrong, words in ((("--top-k", "4"), "--temperature above 0"), (("--top-p", "0.5"), "--temperature above 0"),
                             (("--top-p", "0"), "from 1e-06 to 1"), (("--stop", ""), "not be empty"),
                             (("--top-k", "1001"), "from 1 to 1000")):
            self.assertIn(words, self.generate("Hi", *wrong, status=2))
        self.assertIn("no prompt", self.generate(status=2))

    def test_a_conversation_on_a_terminal(self):
        t = Terminal([os.path.join(BIN, "dashctl"), "generate", "--model", SMOLLM2, "--threads", "1", "--max-tokens", "1000"])
        wait_for(lambda: "> " in t.read(), "it asks")
        t.press(b"Write a long story.\n")
        wait_for(lambda: t.read().count("\n") and len(t.read().split("\n", 1)[1]) > 20, "an answer comes")
        t.press(b"\x03")
        wait_for(lambda: t.read().endswith("\n> "), "the next turn")
        t.press(b"\x03")
        self.assertEqual(t.wait(), 0)


if __name__ == "__main__":
    unittest.main()
