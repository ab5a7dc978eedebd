"""Compares `dashctl tokenize --chat` with transformers' apply_chat_template: text, ids, and which tokens the assistant said.

usage: chats_against_transformers.py DASHCTL FOLDER...

Each folder has a tokenizer. Its conversations are made of texts that are hard to tokenise, so that turns begin and end within
tokens, in front of combining characters and beside special tokens. Needs transformers of PyPI, so it is not one of ctest's
tests.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

from transformers import AutoTokenizer

TEMPLATES = [
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{{ '<a>' }}{% generation %}{{ m.content }}{{ eos_token }}"
    "{% endgeneration %}{% else %}{{ m.role + ':' + m.content + '\\n' }}{% endif %}{% endfor %}",
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}"
    "{{ m.content }}{% endif %}{% endfor %}",
    "{%- for m in messages -%}{{ '\\n\\n' }}{%- if m.role == 'assistant' -%}{%- generation -%}{{ ' ' + m.content | trim }}"
    "{%- endgeneration -%}{%- else -%}{{ m.content }}{%- endif -%}{%- endfor -%}",
]
PIECES = ["the quick", " brown", "fox ", "  ", "\n", "\n\n\n", "\t", "they're", "12345", "caf\u00e9", "e\u0301", "\u0301", "\ufb01",
          "\u212b", "\u65e5\u672c\u8a9e", "\U0001f469\u200d\U0001f680", "\u2028", "\u00a0", "x", ".", "'s", " \u0928\u092e",
          "\u00df", "\u0130", "<", "|im_end|>", "a\u2581b", "\u00bd", "I", "ll", "\uac00\u11a8", "\u1100\u1161"]


def conversation(rng):
    messages = []
    for i in range(rng.choice([2, 2, 4, 6])):
        text = "".join(rng.choice(PIECES) for _ in range(rng.randrange(0, 8)))
        messages.append({"role": "assistant" if i % 2 else "user", "content": text})
    return messages


def ours(dashctl, model, template, conversations):
    with tempfile.NamedTemporaryFile("w", suffix=".jinja") as f:
        f.write(template)
        f.flush()
        done = subprocess.run([dashctl, "tokenize", "--tokenizer", model, "--chat", "--chat-template", f.name, "--ids", "--mask",
                               "--output", "json"], input="".join(json.dumps(c) + "\n" for c in conversations),
                              capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    dashctl, wrong, n = sys.argv[1], 0, 0
    for folder in sys.argv[2:]:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        rng = random.Random(os.path.basename(folder))
        conversations = [conversation(rng) for _ in range(200)]
        for k, template in enumerate(TEMPLATES):
            got = ours(dashctl, folder, template, conversations)
            for c, g in zip(conversations, got):
                want = tokenizer.apply_chat_template(c, chat_template=template, tokenize=True, return_dict=True,
                                                     return_assistant_tokens_mask=True)
                text = tokenizer.apply_chat_template(c, chat_template=template, tokenize=False)
                n += 1
                if (g["text"], g["ids"], g["mask"]) != (text, want["input_ids"], want["assistant_masks"]):
                    wrong += 1
                    if wrong <= 5:
                        print(folder, k, json.dumps(c), "\n", g, "\n", text, want["input_ids"], want["assistant_masks"])
    print(f"{n} conversations, {wrong} differ")
    sys.exit(wrong != 0)


if __name__ == "__main__":
    main()
