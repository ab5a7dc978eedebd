"""Jinja as transformers 5 sets it up for chat templates, and render_lines as its peer."""
import copy
import datetime
import json
import subprocess

import jinja2
import jinja2.ext
import jinja2.filters
import jinja2.sandbox

NOW = 1753900000


class Generation(jinja2.ext.Extension):
    """{% generation %} ... {% endgeneration %}: what the assistant says."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_note"), [], [], body).set_lineno(line)

    def _note(self, caller):
        text = caller()
        begin = len("".join(self.environment.written))
        self.environment.spans.append((begin, begin + len(text)))
        return text


class Dict:
    """dict() and dict.fromkeys() and nothing else."""
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


class Namespace(jinja2.utils.Namespace):
    """A namespace whose attributes do not begin with an underscore."""
    def __init__(*args, **kwargs):
        values = dict(*args[1:], **kwargs)
        for name in values:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(args[0], values)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


class Raised(jinja2.exceptions.TemplateError):
    """raise_exception() was called."""


def _raise(message):
    raise Raised(message)


def _tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _strftime_now(format):
    return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None).strftime(format)


class Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """As of 3.1.6, which transformers asks for: Debian 12's is older, and lets lists be changed by these."""
    def is_safe_attribute(self, obj, attr, value):
        return super().is_safe_attribute(obj, attr, value) and not (isinstance(obj, list) and attr in ("clear", "pop"))


def _int(value, default=0, base=10):
    try:
        return jinja2.filters.do_int(value, default, base)
    except OverflowError:
        if not isinstance(value, str):
            raise
        return default  # likewise


def environment():
    env = Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["int"] = _int
    env.filters["tojson"] = _tojson
    env.globals.update(raise_exception=_raise, strftime_now=_strftime_now, dict=Dict(), namespace=Namespace)
    return env


def render(template, variables):
    """(text, spans in bytes); raises what jinja2 raises."""
    env = environment()
    compiled = env.from_string(template)
    env.written, env.spans = [], []
    for part in compiled.generate(**copy.deepcopy(variables)):
        env.written.append(part)
    text = "".join(env.written)
    return text, [[len(text[:begin].encode()), len(text[:end].encode())] for begin, end in env.spans]


def render_all(program, cases):
    """What render_lines says of each (template, variables)."""
    lines = "".join(json.dumps({"template": template, "variables": variables, "now": NOW}) + "\n"
                    for template, variables in cases)
    out = subprocess.run([program], input=lines, capture_output=True, encoding="utf-8", check=True)
    return [json.loads(line) for line in out.stdout.split("\n") if line]


def difference(case, answer):
    """What is wrong with an answer, or None. What this program refuses as not supported is no difference."""
    template, variables = case
    try:
        text, spans = render(template, variables)
    except Exception as e:  # all that a template can raise
        if "error" not in answer:
            return f"raises {type(e).__name__}: {e}; rendered {answer['text']!r}"
        if answer["raised"] != isinstance(e, Raised):
            return f"raises {type(e).__name__}: {e}; answered {answer}"
        if answer["raised"] and answer["error"] != str(e):
            return f"raises {e}; answered {answer}"
        return None
    if "error" in answer:
        return None if answer["code"] == -5 else f"gives {text!r}; answered {answer['error']}"
    if answer["text"] != text:
        return f"gives {text!r}\n    not {answer['text']!r}"
    if answer["spans"] != spans:
        return f"has the spans {spans}, not {answer['spans']}"
    return None


def renders(case):
    """Whether Python renders it."""
    try:
        render(*case)
    except Exception:  # all that a template can raise
        return False
    return True
