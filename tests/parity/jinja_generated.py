"""Random templates and values from a grammar of Jinja's. Most of them render; many raise."""
import random

TEXTS = ["", "a", "abc", "Hello, World", " x ", "a\nb", "é😀", "ÄÖ ß", "<b>&", "it's", "\"q\"", "a,b,c", "12", "-3.5", "\\n", "{x}",
         "user", "assistant", "  lead", "trail  \n", "Σ", "\t", "0", "A-b c", "%s", "%d %s", "x.y", "\u2028", "\x1f", "ab" * 20]
KEYS = ["role", "content", "name", "a", "b", "items", "tools", "type", "x y", "get", "0", "é"]
NAMES = ["m", "l", "d", "s", "i", "x", "n", "t", "q", "undefd", "users"]
FILTERS_0 = ["abs", "capitalize", "count", "default", "dictsort", "e", "first", "float", "int", "items", "join", "last", "length",
             "list", "lower", "max", "min", "reverse", "round", "safe", "sort", "string", "sum", "title", "tojson", "trim",
             "unique", "upper", "urlencode", "wordcount", "indent", "escape", "center", "map('upper')", "map('string')",
             "map(attribute='a')", "select", "reject", "select('string')", "selectattr('a')", "rejectattr('a')", "groupby('a')",
             "batch(2)", "slice(2)", "batch(3, 'f')", "slice(3, none)", "select('defined')", "map('length')", "map('int')",
             "selectattr('a', 'equalto', 1)", "rejectattr('name', 'in', 'ab')", "sort(attribute='a')", "sort(reverse=true)",
             "tojson(indent=2)", "tojson(ensure_ascii=true)", "tojson(sort_keys=true)", "join(',')", "default('d', true)",
             "replace('a', 'Z')", "indent(2, true)", "truncate(9)", "trim('a ')", "dictsort(by='value')", "attr('a')",
             "map(attribute='a', default=0)", "unique(attribute='a')", "min(attribute='a')", "sum(attribute='a')", "format(1)",
             "groupby('a', default='')", "sum(start=1)", "int(default=9)", "round(1)", "join(attribute='a')", "d('z')"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "sequence", "iterable", "number", "integer", "float", "boolean",
         "true", "false", "callable", "odd", "even", "lower", "upper", "divisibleby(2)", "eq(1)", "ne('a')", "lt(2)", "ge(1)",
         "in([1, 'a'])", "sameas(none)", "equalto('a')", "escaped"]
METHODS = ["upper()", "lower()", "strip()", "lstrip()", "rstrip('b ')", "split()", "split(',')", "split(',', 1)", "splitlines()",
           "startswith('a')", "endswith(('b', 'c'))", "replace('a', 'b')", "title()", "capitalize()", "find('b')", "count('a')",
           "join(l)", "join(['a', 'b'])", "isdigit()", "isalpha()", "isupper()", "zfill(5)", "center(9)", "partition(',')",
           "rsplit(',', 1)", "removeprefix('a')", "items()", "keys()", "values()", "get('a')", "get('zz', 0)", "append(1)",
           "pop()", "index(1)", "copy()", "update({})", "format(1)", "swapcase()", "rfind('a')", "items", "a", "role", "content",
           "name", "zz", "encode", "__class__", "rstrip()", "islower()", "istitle()", "index('a')"]
BINARY = ["+", "+", "+", "-", "*", "/", "//", "%", "**", "~", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


TEXT_FILTERS = ["upper", "lower", "title", "capitalize", "trim", "string", "indent(2)", "indent(1, true)", "tojson", "urlencode", "first|d('-')",
                "center(9)", "replace('a', 'bb')", "tojson(ensure_ascii=true)", "default('d')", "default('d', true)", "list|join('.')", "e",
                "truncate(8)", "truncate(5, true, leeway=0)", "last|d('-')", "escape|string", "safe|length|string", "indent(blank=true)", "e ~ '<'"]
TEXT_METHODS = ["upper()", "lower()", "strip()", "lstrip()", "rstrip()", "title()", "capitalize()", "swapcase()", "replace(' ', '_')",
                "zfill(5)", "center(8, '*')", "ljust(6)", "rjust(6, '.')", "removeprefix('a')", "removesuffix('c')", "expandtabs(4)",
                "split(',')|join('|')", "split('\n')[0]", "splitlines()|join('/')", "partition(',')[0]", "rsplit(None, 1)|join('+')",
                "strip('a\n ')", "replace('', '.')", "rpartition('a')|join('^')", "split(None, 1)|last|d('')", "splitlines(true)|join", "format()"]
SAFE_TESTS = ["defined", "undefined", "none", "string", "mapping", "sequence", "iterable", "number", "integer", "float", "boolean",
              "true", "false", "callable", "lower", "upper", "eq(1)", "ne('a')", "in([1, 'a'])", "escaped"]


def quote_any(text):
    for plain, escaped in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\u2028", "\\u2028")):
        text = text.replace(plain, escaped)
    return f"'{text}'"


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.macros = []
        self.loops = 0

    def pick(self, *options):
        return self.random.choice(options)

    def value(self, depth=0):
        kind = self.random.randrange(12 if depth < 3 else 8)
        if kind < 3:
            return self.random.choice(TEXTS)
        if kind < 8:
            return self.pick(0, 1, 2, -1, 7, 100, True, False, None, 1.5, 0.1, -2.0, 3.0, 1e-7, 123456789)
        if kind < 10:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice(KEYS): self.value(depth + 1) for _ in range(self.random.randrange(4))}

    def variables(self):
        message = lambda: {"role": self.pick("user", "assistant", "system"), "content": self.random.choice(TEXTS)}
        like = lambda make: [make() for _ in range(self.random.randrange(4))]
        return {"m": like(message), "l": like(lambda: self.value(2)), "d": {k: self.value(1) for k in self.random.sample(KEYS, 3)},
                "s": self.random.choice(TEXTS), "i": self.pick(0, 1, 2, 3, -5), "x": self.value(), "n": None, "t": True,
                "users": [{"a": self.pick(1, 2, "a", "B"), "name": self.random.choice(TEXTS)} for _ in range(3)]}

    def literal(self):
        return self.pick(str(self.pick(0, 1, 2, 3, 10, 255)), self.pick("1.5", "0.1", "2.0", "1e3"),
                         quote_any(self.random.choice(TEXTS)), quote_any(self.random.choice(TEXTS)), self.pick("true", "false", "none"),
                         self.pick("[]", "[1, 2, 3]", "['b', 'a']", "(1, 'x')", "{}", "{'a': 1, 'b': [2]}", "range(3)", "range(5, 0, -2)"))

    def typed(self, depth=0):
        """An expression that most likely renders."""
        return self.pick(self.text, self.text, self.number, self.list, self.truth)(depth)

    def one_of(self, *makers):
        made = self.random.choice(makers)()
        return f"({made})" if "|" in made or made.startswith("-") else made

    def text(self, depth=0):
        if depth > 3:
            return self.pick("s", quote_any(self.random.choice(TEXTS)))
        t, n, l = lambda: self.text(depth + 1), lambda: self.number(depth + 1), lambda: self.list(depth + 1)
        return self.one_of(
            lambda: "s", lambda: quote_any(self.random.choice(TEXTS)), lambda: f"({t()} ~ {self.typed(depth + 1)})",
            lambda: f"({t()} + {t()})", lambda: f"({t()} + {t()})", lambda: f"{t()}|{self.random.choice(TEXT_FILTERS)}",
            lambda: f"{t()}.{self.random.choice(TEXT_METHODS)}", lambda: f"{t()}|{self.random.choice(TEXT_FILTERS)}",
            lambda: f"{t()}[{self.bound()}:{self.bound()}{self.pick('', ':' + self.bound(True))}]", lambda: f"({t()} * {self.pick('0', '2', 't')})",
            lambda: f"{l()}|join({self.pick('', t())})", lambda: f"{self.typed(depth + 1)}|string", lambda: f"{self.typed(depth + 1)}|tojson",
            lambda: f"({t()} if {self.truth(depth + 1)} else {t()})", lambda: f"{t()}.replace({t()}, {t()})", lambda: f"{t()}|replace({t()}, {t()})",
            lambda: f"{t()}.join({l()}|map('string'))", lambda: "m[0].role|d('none')", lambda: f"('%s|%5s' % ({t()}, {n()}))",
            lambda: f"'{{}}:{{:>9}}'.format({n()}, {t()})", lambda: f"{l()}|tojson(indent={self.pick('1', '2', 'none')})",
            lambda: f"{t()}.strip({t()})", lambda: f"{t()}|trim({t()})", lambda: f"{t()}.split()|last|d('')", lambda: f"{t()}|reverse")

    def number(self, depth=0):
        if depth > 3:
            return self.pick("i", "2", "1.5", "0", "-3")
        t, n, l = lambda: self.text(depth + 1), lambda: self.number(depth + 1), lambda: self.list(depth + 1)
        return self.one_of(
            lambda: "i", lambda: self.pick("0", "1", "7", "2.5", "0.1", "100", "1e20", "-4"), lambda: f"({n()} {self.pick('+', '-', '*')} {n()})",
            lambda: f"({n()} {self.pick('/', '//', '%')} {self.pick('3', '2.5', '-2', '7')})", lambda: f"{t()}|length", lambda: f"{l()}|length",
            lambda: f"{n()}|abs", lambda: f"{n()}|round({self.pick('', '1', '2')})", lambda: f"{t()}|int", lambda: f"{t()}|float",
            lambda: f"{n()}|int", lambda: f"{t()}.find({t()})", lambda: f"{t()}.count({t()})", lambda: f"{t()}|wordcount", lambda: f"-{n()}",
            lambda: f"{t()}.rfind({t()}, {n()}|int)", lambda: f"({self.pick('2', '10', '0.5')} ** {self.pick('0', '3', '-2', '0.5')})",
            lambda: f"range({self.pick('3', '9')})|sum")

    def list(self, depth=0):
        if depth > 3:
            return self.pick("[1, 2]", "['b', 'A']", "l", "m")
        t, n, l = lambda: self.text(depth + 1), lambda: self.number(depth + 1), lambda: self.list(depth + 1)
        any_ = lambda: self.typed(depth + 1)
        return self.one_of(
            lambda: "l", lambda: "m", lambda: f"[{any_()}, {any_()}]", lambda: f"({any_()}, {any_()})", lambda: f"{t()}|list",
            lambda: f"{t()}.split({self.pick('', quote_any(self.random.choice(TEXTS[1:])))})", lambda: f"{t()}.splitlines()", lambda: f"({l()}|list)[{self.bound()}:{self.bound()}]",
            lambda: f"({l()}|list + {l()}|list)", lambda: f"{l()}|reverse|list", lambda: f"[{t()}, {t()}, {t()}]|sort", lambda: f"[{n()}, {n()}, {n()}]|sort(reverse=true)",
            lambda: f"[{t()}, {t()}, {t()}]|unique|list", lambda: f"{l()}|map('string')|list", lambda: f"{l()}|batch(2, {any_()})|list",
            lambda: f"{l()}|slice(2)|list", lambda: "d|dictsort", lambda: "d.items()|list", lambda: "d|items|list", lambda: "d.keys()|list",
            lambda: f"{l()}|select({self.pick('', repr(self.pick('string', 'number', 'defined', 'none')))})|list", lambda: "users|groupby('name')",
            lambda: "users|map(attribute='name')|map('upper')|list", lambda: "users|sort(attribute='name')", lambda: f"{l()}|map('tojson')|list",
            lambda: f"users|selectattr('a', 'equalto', {self.pick('1', '2')})|list", lambda: f"range({self.pick('0', '4')})|list", lambda: f"{t()}.partition({self.pick(quote_any(','), quote_any('a'))})",
            lambda: "d.values()|list", lambda: f"dict(a={any_()}, b={any_()})", lambda: f"{{'k': {any_()}, {t()}: {any_()}}}")

    def truth(self, depth=0):
        if depth > 3:
            return self.pick("true", "t", "n", "false")
        t, n, l = lambda: self.text(depth + 1), lambda: self.number(depth + 1), lambda: self.list(depth + 1)
        any_ = lambda: self.typed(depth + 1)
        return self.one_of(
            lambda: "t", lambda: f"({n()} {self.pick('<', '<=', '>', '>=')} {n()})", lambda: f"({any_()} {self.pick('==', '!=')} {any_()})",
            lambda: f"({t()} in {t()})", lambda: f"({t()} not in {l()})", lambda: f"({any_()} is {self.pick('', 'not ')}{self.pick(*SAFE_TESTS)})",
            lambda: f"(not {any_()})", lambda: f"({any_()} {self.pick('and', 'or')} {any_()})", lambda: f"{t()}.{self.pick('startswith', 'endswith')}({t()})",
            lambda: f"{t()}.{self.pick('isdigit', 'isalpha', 'isupper', 'islower', 'istitle', 'isspace', 'isalnum', 'isprintable')}()",
            lambda: f"({t()} {self.pick('<', '>=')} {t()})", lambda: "undefd", lambda: f"({n()} < {n()} <= {n()})")

    def expression(self, depth=0):
        if self.random.random() < .8:
            return self.typed(max(depth, self.random.randrange(4)))
        kind = self.random.randrange(16)
        if depth > 3 or kind < 4:
            return self.pick(self.random.choice(NAMES), self.literal(), self.random.choice(NAMES))
        inner = lambda: self.expression(depth + 1)
        if kind < 7:
            return f"{inner()}|{self.random.choice(FILTERS_0)}"
        if kind == 7:
            return f"({inner()} is {self.pick('', 'not ')}{self.random.choice(TESTS)})"
        if kind < 10:
            return f"({inner()} {self.random.choice(BINARY)} {inner()})"
        if kind == 10:
            return f"({inner()} if {inner()}{self.pick('', ' else ' + inner())})"
        if kind == 11:
            return f"{self.random.choice(NAMES)}.{self.random.choice(METHODS)}"
        if kind == 12:
            return self.pick(f"{inner()}[{self.pick('0', '-1', '1', quote(self.random.choice(KEYS)), inner())}]",
                             f"{self.random.choice(NAMES)}[{self.bound()}:{self.bound()}{self.pick('', ':' + self.bound(True))}]")
        if kind == 13:
            return self.pick("[" + inner() + ", " + inner() + "]", "{" + quote(self.random.choice(KEYS)) + ": " + inner() + "}",
                             "(" + inner() + ",)", "not " + inner(), "-" + inner(), f"({inner()} < {inner()} < {inner()})")
        if kind == 14 and self.macros:
            name, n = self.random.choice(self.macros)
            return f"{name}({', '.join(inner() for _ in range(self.random.randrange(n + 1)))})"
        return self.pick("loop." + self.pick("index", "first", "last", "length", "revindex0", "previtem", "nextitem", "index0"),
                         "ns.v", "dict(a=" + inner() + ")", "loop.cycle('a', 'b')", "loop.changed(" + inner() + ")")

    def bound(self, step=False):
        return self.pick("", str(self.random.randrange(-3, 4)), self.pick("-1", "2") if step else "1")

    def tag(self, text):
        return "{%" + self.pick("", "", "", "-", "+") + " " + text + " " + self.pick("", "", "", "-", "+") + "%}"

    def body(self, depth):
        return "".join(self.statement(depth + 1) for _ in range(self.random.randrange(1, 4)))

    def data(self):
        return self.pick("\n", "  ", "text", " a\n  b ", "\n\n", "\t", "é\n", "<|x|>", "{# c #}", "{#- c -#}\n", " {# c +#}\n", "{ }")

    def statement(self, depth=0):
        kind = self.random.randrange(20 if depth < 4 else 9)
        if kind < 4:
            return self.data()
        if kind < 8:
            return "{{" + self.pick("", "", "-") + " " + self.expression() + " " + self.pick("", "", "-") + "}}"
        if kind == 8:
            return self.tag(f"set {self.pick('q', 'x', 'i', 'v', 'ns.v', 'q, v')} = {self.expression()}")
        if kind < 12:
            return self.branches(depth)
        if kind < 15:
            return self.loop(depth)
        if kind == 15:
            return self.tag(f"set {self.pick('q', 'v', 'ns.v')}{self.pick('', ' | upper', ' | trim | length')}") + self.body(depth) \
                + self.tag("endset")
        if kind == 16:
            return self.tag("filter " + self.pick("upper", "trim", "replace('a', 'Q')", "indent", "length")) + self.body(depth) \
                + self.tag("endfilter")
        if kind == 17:
            return self.tag(f"with q={self.expression()}, v=i") + self.body(depth) + self.tag("endwith")
        if kind == 18:
            return self.tag("generation") + self.body(depth) + self.tag("endgeneration")
        return self.macro(depth)

    def branches(self, depth):
        out = self.tag("if " + self.expression()) + self.body(depth)
        if self.random.random() < .3:
            out += self.tag("elif " + self.expression()) + self.body(depth)
        if self.random.random() < .5:
            out += self.tag("else") + self.body(depth)
        return out + self.tag("endif")

    def loop(self, depth):
        target, over = self.pick(("v", "m"), ("v", "l"), ("q", "range(3)"), ("v", "d"), ("k, v", "d.items()"), ("k, v", "d|dictsort"),
                                 ("v", "s"), ("v", self.expression()), ("v", "users"), ("k, v", "d|items"))
        out = self.tag(f"for {target} in {over}" + self.pick("", "", " if v", " if loop is defined", " if " + self.expression())
                       + self.pick("", "", "", " recursive"))
        self.loops += 1
        out += self.body(depth)
        if self.random.random() < .3:
            out += self.tag("if " + self.expression()) + self.tag(self.pick("break", "continue")) + self.tag("endif")
            out += self.body(depth)
        if self.random.random() < .2:
            out += "{{ loop(" + self.expression() + ") if loop.depth < 3 }}"
        self.loops -= 1
        if self.random.random() < .3:
            out += self.tag("else") + self.body(depth)
        return out + self.tag("endfor")

    def macro(self, depth):
        name = f"mac{len(self.macros)}"
        n = self.random.randrange(3)
        params = ", ".join(["a", "b"][:n])
        if n and self.random.random() < .4:
            params += "=" + self.expression()
        call = self.tag(f"call{self.pick('', '(v)')} {name}({self.expression()})") + self.body(depth) + self.tag("endcall")
        body = self.body(depth) + self.pick("", "", "{{ caller(1) if caller }}", "{{ varargs }}")
        self.macros.append((name, n))
        return self.tag(f"macro {name}({params})") + body + self.tag("endmacro") + self.pick("", call)


def quote(text):
    return "'" + text + "'"


def cases(n, seed):
    """n pairs of (template, variables)."""
    for k in range(n):
        g = Generator(f"{seed}/{k}")
        head = "{% set ns = namespace(v=0) %}"
        if k % 2:
            yield "{{ " + g.typed() + " }}", g.variables()
        else:
            yield head + "".join(g.statement() for _ in range(g.random.randrange(1, 5))), g.variables()
