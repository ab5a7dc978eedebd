/* tests/unit/text/test_jinja.c - each part of the language of chat templates, with the text that
 * jinja2 3.1.6 gives in the environment of transformers 5. The comparison with Python itself is in
 * tests/parity.
 */
#include "tests/unit/support.h"
#include "core/text/jinja/jinja.h"

struct example {
    const char *template, *text;
};

static const char values[] =
    "{\"n\": null, \"t\": true, \"f\": false, \"i\": 7, \"z\": 0, \"neg\": -3, \"x\": 2.5, "
    "\"big\": 1e+17, \"tiny\": 1.5e-07, \"s\": \"Hello, wörld\", \"e\": \"\", \"ws\": \" \\t a b "
    "\\n \", \"up\": \"ABC\", \"html\": \"<a href=\\\"x\\\">&'</a>\", \"uni\": \"straße ΣΑΣ ǆ 😀 "
    "İ\", \"words\": \"the quick-brown (fox) [jumps] {over}\", \"lines\": "
    "\"a\\nb\\r\\nc\\u000bd e\\n\\n\", \"l\": [3, 1, 2], \"ls\": [\"b\", \"A\", \"a\", \"C\"], "
    "\"le\": [], \"nest\": [[1, 2], [3, [4, null]], {\"k\": \"v\"}], \"d\": {\"b\": 1, \"a\": 2, "
    "\"items\": 3, \"C\": null, \"ü\": \"\\n\", \"get\": \"g\"}, \"de\": {}, \"deep\": {\"a\": "
    "{\"b\": [{\"c\": 5}]}}, \"users\": [{\"name\": \"bob\", \"age\": 3, \"tags\": [\"x\", "
    "\"y\"]}, {\"name\": \"Al\", \"age\": 3, \"tags\": []}, {\"name\": \"cy\", \"age\": 1.5}], "
    "\"mixed\": [1, \"1\", 1.0, true, null]}";

static const struct example expressions[] = {
    {"{{ 1e16 }}", "1e+16"},
    {"{{ 1e15 }}", "1000000000000000.0"},
    {"{{ 123456789012345678.0 }}", "1.2345678901234568e+17"},
    {"{{ 0.1 }}", "0.1"},
    {"{{ 1e-4 }}", "0.0001"},
    {"{{ 2**10 }}", "1024"},
    {"{{ 2**-1 }}", "0.5"},
    {"{{ 2**0.5 }}", "1.4142135623730951"},
    {"{{ (-2)**2 }}", "4"},
    {"{{ -2**2 }}", "4"},
    {"{{ 1 < 2 < 3 }}", "True"},
    {"{{ 3 > 2 > 2 }}", "False"},
    {"{{ 1 == 1.0 == True }}", "True"},
    {"{{ 'a' < 'b' }}", "True"},
    {"{{ 'a' in 'abc' }}", "True"},
    {"{{ [1,2] < [1,3] }}", "True"},
    {"{{ (1,2) < (1,2,0) }}", "True"},
    {"{{ [1,'a'] == [1.0,'a'] }}", "True"},
    {"{{ {'a':1} == {'a':1.0} }}", "True"},
    {"{{ [] == () }}", "False"},
    {"{{ 9007199254740993 == 9007199254740992.0 }}", "False"},
    {"{{ 9007199254740993 > 9007199254740992.0 }}", "True"},
    {"{{ 2 == 2.5 }}", "False"},
    {"{{ not t }}", "False"},
    {"{{ not n }}", "True"},
    {"{{ t and 'x' }}", "x"},
    {"{{ n or 'y' }}", "y"},
    {"{{ n and 'x' or 'z' }}", "z"},
    {"{{ s ~ 1 ~ n ~ x ~ [1] }}", "Hello, wörld1None2.5[1]"},
    {"{{ 'a' 'b' \"c\" }}", "abc"},
    {"{{ \"it's\" }}", "it's"},
    {"{{ 'say \"hi\"' }}", "say \"hi\""},
    {"{{ 0x1F }}", "31"},
    {"{{ 0b101 }}", "5"},
    {"{{ 0o17 }}", "15"},
    {"{{ 1_000 }}", "1000"},
    {"{{ 1_0.5e1 }}", "105.0"},
    {"{{ s[0] }}", "H"},
    {"{{ s[-1] }}", "d"},
    {"{{ s[7] }}", "w"},
    {"{{ s[99] is defined }}", "False"},
    {"{{ s[1:4] }}", "ell"},
    {"{{ l[0] }}", "3"},
    {"{{ l[-1] }}", "2"},
    {"{{ l[5] is defined }}", "False"},
    {"{{ l[1:] }}", "[1, 2]"},
    {"{{ l[::-1] }}", "[2, 1, 3]"},
    {"{{ d.b }}", "1"},
    {"{{ d['a'] }}", "2"},
    {"{{ d.zz is defined }}", "False"},
    {"{{ d['zz'] is defined }}", "False"},
    {"{{ d.items is callable }}", "True"},
    {"{{ d.keys() }}", "dict_keys(['b', 'a', 'items', 'C', 'ü', 'get'])"},
    {"{{ d.values() }}", "dict_values([1, 2, 3, None, '\\n', 'g'])"},
    {"{{ d|list }}", "['b', 'a', 'items', 'C', 'ü', 'get']"},
    {"{{ d|length }}", "6"},
    {"{{ de|length }}", "0"},
    {"{{ deep.a.b[0].c }}", "5"},
    {"{{ deep['a'].b.0.c }}", "5"},
    {"{{ deep.x is defined }}", "False"},
    {"{{ users[0].name }}", "bob"},
    {"{{ users.0.name }}", "bob"},
    {"{{ n.foo is defined }}", "False"},
    {"{{ i.foo is defined }}", "False"},
    {"{{ undefd is defined }}", "False"},
    {"{{ undefd == undefd2 }}", "True"},
    {"{{ undefd }}", ""},
    {"{{ undefd|default('d') }}", "d"},
    {"{{ n|default('d') }}", "None"},
    {"{{ n|default('d', true) }}", "d"},
    {"{{ e|d('x', boolean=true) }}", "x"},
    {"{{ undefd|list }}", "[]"},
    {"{{ l|sort }}", "[1, 2, 3]"},
    {"{{ ls|sort }}", "['A', 'a', 'b', 'C']"},
    {"{{ ls|sort(case_sensitive=true) }}", "['A', 'C', 'a', 'b']"},
    {"{{ ls|sort(reverse=true) }}", "['C', 'b', 'A', 'a']"},
    {"{{ ls|sort(true, true) }}", "['b', 'a', 'C', 'A']"},
    {"{{ users|sort(attribute='age,name')|map(attribute='name')|list }}", "['cy', 'Al', 'bob']"},
    {"{{ users|map(attribute='tags', default=0)|list }}", "[['x', 'y'], [], 0]"},
    {"{{ users|selectattr('age', 'equalto', 3)|map(attribute='name')|join(', ') }}", "bob, Al"},
    {"{{ users|rejectattr('tags')|list|length }}", "2"},
    {"{{ users|selectattr('tags', 'defined')|list|length }}", "2"},
    {"{{ l|select('odd')|list }}", "[3, 1]"},
    {"{{ l|reject('gt', 1)|list }}", "[1]"},
    {"{{ l|select|list }}", "[3, 1, 2]"},
    {"{{ mixed|select('string')|list }}", "['1']"},
    {"{{ mixed|select('number')|list }}", "[1, 1.0, True]"},
    {"{{ ls|map('upper')|list }}", "['B', 'A', 'A', 'C']"},
    {"{{ ls|map('replace', 'A', 'Z')|list }}", "['b', 'Z', 'a', 'C']"},
    {"{{ l|map('string')|join('-') }}", "3-1-2"},
    {"{{ users|map(attribute='name')|map('lower')|join('|') }}", "bob|al|cy"},
    {"{{ users|groupby('name')|map(attribute='grouper')|list }}", "['Al', 'bob', 'cy']"},
    {"{{ users|groupby('zz', default='q')|map('first')|list }}", "['q']"},
    {"{{ (users|groupby('age'))[0].list|length }}", "1"},
    {"{{ ls|unique|list }}", "['b', 'A', 'C']"},
    {"{{ ls|unique(true)|list }}", "['b', 'A', 'a', 'C']"},
    {"{{ mixed|unique|list }}", "[1, '1', None]"},
    {"{{ users|unique(attribute='age')|map(attribute='name')|list }}", "['bob', 'cy']"},
    {"{{ l|min }}", "1"},
    {"{{ l|max }}", "3"},
    {"{{ ls|min }}", "A"},
    {"{{ ls|max(case_sensitive=true) }}", "b"},
    {"{{ le|min is defined }}", "False"},
    {"{{ l|first }}", "3"},
    {"{{ l|last }}", "2"},
    {"{{ le|first is defined }}", "False"},
    {"{{ s|first }}", "H"},
    {"{{ s|last }}", "d"},
    {"{{ l|batch(2)|list }}", "[[3, 1], [2]]"},
    {"{{ l|batch(2, 'x')|list }}", "[[3, 1], [2, 'x']]"},
    {"{{ l|slice(2)|list }}", "[[3, 1], [2]]"},
    {"{{ l|slice(2, 'x')|list }}", "[[3, 1], [2, 'x']]"},
    {"{{ [1,2,3,4,5]|slice(3)|list }}", "[[1, 2], [3, 4], [5]]"},
    {"{{ {'b':2,'a':1}|dictsort(by='value') }}", "[('a', 1), ('b', 2)]"},
    {"{{ {'b':2,'a':1}|dictsort(reverse=true) }}", "[('b', 2), ('a', 1)]"},
    {"{{ l|join }}", "312"},
    {"{{ l|join(',') }}", "3,1,2"},
    {"{{ ls|join(d=', ') }}", "b, A, a, C"},
    {"{{ users|join(',', attribute='name') }}", "bob,Al,cy"},
    {"{{ 'abc'|join('-') }}", "a-b-c"},
    {"{{ s|upper }}", "HELLO, WÖRLD"},
    {"{{ s|lower }}", "hello, wörld"},
    {"{{ s|title }}", "Hello, Wörld"},
    {"{{ s|capitalize }}", "Hello, wörld"},
    {"{{ words|title }}", "The Quick-Brown (Fox) [Jumps] {Over}"},
    {"{{ 'ǅ'.istitle() }}", "True"},
    {"{{ 'ǅ'|lower }}", "ǆ"},
    {"{{ \"they're bill's\".title() }}", "They'Re Bill'S"},
    {"{{ 'x'|upper|lower }}", "x"},
    {"{{ ws|trim }}", "a b"},
    {"{{ ws.strip() }}", "a b"},
    {"{{ ws.lstrip() }}", "a b \n "},
    {"{{ 'xxaxx'|trim('x') }}", "a"},
    {"{{ 'xyax'.strip('xy') }}", "a"},
    {"{{ 'a,b,,c'.split(',') }}", "['a', 'b', '', 'c']"},
    {"{{ 'a,b,,c'.split(',', 1) }}", "['a', 'b,,c']"},
    {"{{ 'a,b,,c'.rsplit(',', 1) }}", "['a,b,', 'c']"},
    {"{{ 'a,b'.split(sep=',', maxsplit=1) }}", "['a', 'b']"},
    {"{{ ''.split() }}", "[]"},
    {"{{ lines.splitlines() }}", "['a', 'b', 'c', 'd', 'e', '']"},
    {"{{ lines.splitlines(true) }}", "['a\\n', 'b\\r\\n', 'c\\x0b', 'd\\u2028', 'e\\n', '\\n']"},
    {"{{ 'a\\n'.splitlines() }}", "['a']"},
    {"{{ ''.splitlines() }}", "[]"},
    {"{{ 'a-b-c'.partition('-') }}", "('a', '-', 'b-c')"},
    {"{{ 'hello'.startswith('he') }}", "True"},
    {"{{ 'hello'.startswith(('x','he')) }}", "True"},
    {"{{ 'hello'.endswith('lo') }}", "True"},
    {"{{ 'hello'.startswith('l', 2) }}", "True"},
    {"{{ 'hello'.endswith('l', 0, 4) }}", "True"},
    {"{{ 'hello'.find('l') }}", "2"},
    {"{{ 'hello'.rfind('l') }}", "3"},
    {"{{ 'hello'.find('z') }}", "-1"},
    {"{{ 'hello'.index('l') }}", "2"},
    {"{{ 'héllo'.find('l') }}", "2"},
    {"{{ 'hello'.replace('l', 'L') }}", "heLLo"},
    {"{{ 'hello'.replace('l', 'L', 1) }}", "heLlo"},
    {"{{ 'abc'.replace('', '-') }}", "-a-b-c-"},
    {"{{ 'abc'.replace('', '-', 2) }}", "-a-bc"},
    {"{{ 'é'.replace('', '.') }}", ".é."},
    {"{{ '42'.zfill(5) }}", "00042"},
    {"{{ '-42'.zfill(5) }}", "-0042"},
    {"{{ 'é'.zfill(3) }}", "00é"},
    {"{{ 'abc'.center(8) }}", "  abc   "},
    {"{{ 'abc'.center(9, '*') }}", "***abc***"},
    {"{{ 'prefix-x'.removeprefix('prefix-') }}", "x"},
    {"{{ 'x.py'.removesuffix('.py') }}", "x"},
    {"{{ 'x'.removesuffix('') }}", "x"},
    {"{{ 'a\\tb'.expandtabs() }}", "a       b"},
    {"{{ 'a\\tb'.expandtabs(4) }}", "a   b"},
    {"{{ 'abc'.isalpha() }}", "True"},
    {"{{ 'a1'.isalnum() }}", "True"},
    {"{{ '12'.isdigit() }}", "True"},
    {"{{ '²'.isdigit() }}", "True"},
    {"{{ '½'.isnumeric() }}", "True"},
    {"{{ '%s-%d' % ('a', 5) }}", "a-5"},
    {"{{ '%5s|%-5s|' % ('a', 'b') }}", "    a|b    |"},
    {"{{ '%05d' % 42 }}", "00042"},
    {"{{ '%+d' % 5 }}", "+5"},
    {"{{ '%.2f' % 3.14159 }}", "3.14"},
    {"{{ '%s %s'|format('a', 1) }}", "a 1"},
    {"{{ '%(x)s'|format(x=1) }}", "1"},
    {"{{ '{} {}'.format(1, 'a') }}", "1 a"},
    {"{{ '{0} {1} {0}'.format('a', 'b') }}", "a b a"},
    {"{{ '{a} {b.name}'.format(a=1, b={'name': 'z'}) }}", "1 z"},
    {"{{ 3.7|int }}", "3"},
    {"{{ '42'|int }}", "42"},
    {"{{ '42.9'|int }}", "42"},
    {"{{ 'x'|int }}", "0"},
    {"{{ 'x'|int(5) }}", "5"},
    {"{{ '3.5'|float }}", "3.5"},
    {"{{ 'x'|float }}", "0.0"},
    {"{{ 'x'|float(1.5) }}", "1.5"},
    {"{{ 3|float }}", "3.0"},
    {"{{ n|float }}", "0.0"},
    {"{{ 2.5|round }}", "2.0"},
    {"{{ 3.5|round }}", "4.0"},
    {"{{ 2.675|round(2) }}", "2.67"},
    {"{{ 42.55|round(1) }}", "42.5"},
    {"{{ 42|round }}", "42"},
    {"{{ -5|abs }}", "5"},
    {"{{ (-2.5)|abs }}", "2.5"},
    {"{{ neg|abs }}", "3"},
    {"{{ t|abs }}", "1"},
    {"{{ 'a\\nb\\n\\nc'|indent }}", "a\n    b\n\n    c"},
    {"{{ 'a\\nb'|indent(2) }}", "a\n  b"},
    {"{{ 'a\\nb'|indent(2, true) }}", "  a\n  b"},
    {"{{ 'a\\n\\nb'|indent(2, blank=true) }}", "a\n  \n  b"},
    {"{{ 'a\\nb'|indent('> ') }}", "a\n> b"},
    {"{{ 'foo bar baz'|truncate(9) }}", "foo bar baz"},
    {"{{ 'foo bar baz'|truncate(9, true) }}", "foo bar baz"},
    {"{{ 'foo bar baz qux'|truncate(11) }}", "foo bar baz qux"},
    {"{{ 'foo bar baz qux'|truncate(11, false, '..', 0) }}", "foo bar.."},
    {"{{ 'foo bar baz qux'|truncate(5, leeway=0) }}", "fo..."},
    {"{{ 'a b-c_d e\\'f é'|wordcount }}", "6"},
    {"{{ ''|wordcount }}", "0"},
    {"{{ 'a/b c?d=é&~'|urlencode }}", "a/b%20c%3Fd%3D%C3%A9%26~"},
    {"{{ {'a b': 'c&d', 'e': 1}|urlencode }}", "a+b=c%26d&e=1"},
    {"{{ 5|urlencode }}", "5"},
    {"{{ s|length }}", "12"},
    {"{{ uni|length }}", "16"},
    {"{{ l|count }}", "3"},
    {"{{ s|list }}", "['H', 'e', 'l', 'l', 'o', ',', ' ', 'w', 'ö', 'r', 'l', 'd']"},
    {"{{ d|string }}", "{'b': 1, 'a': 2, 'items': 3, 'C': None, 'ü': '\\n', 'get': 'g'}"},
    {"{{ d|tojson }}",
     "{\"b\": 1, \"a\": 2, \"items\": 3, \"C\": null, \"ü\": \"\\n\", \"get\": \"g\"}"},
    {"{{ nest|tojson }}", "[[1, 2], [3, [4, null]], {\"k\": \"v\"}]"},
    {"{{ s|tojson }}", "\"Hello, wörld\""},
    {"{{ l|tojson(separators=(',',':')) }}", "[3,1,2]"},
    {"{{ l|tojson(indent='--') }}", "[\n--3,\n--1,\n--2\n]"},
    {"{{ html|e }}", "&lt;a href=&#34;x&#34;&gt;&amp;&#39;&lt;/a&gt;"},
    {"{{ html|escape|escape }}", "&lt;a href=&#34;x&#34;&gt;&amp;&#39;&lt;/a&gt;"},
    {"{{ html|e|upper }}", "&LT;A HREF=&#34;X&#34;&GT;&AMP;&#39;&LT;/A&GT;"},
    {"{{ html|safe }}", "<a href=\"x\">&'</a>"},
    {"{{ (html|safe) ~ '<' }}", "<a href=\"x\">&'</a><"},
    {"{{ n is none }}", "True"},
    {"{{ t is true }}", "True"},
    {"{{ f is false }}", "True"},
    {"{{ 1 is true }}", "False"},
    {"{{ t is boolean }}", "True"},
    {"{{ 3 is odd }}", "True"},
    {"{{ 4 is even }}", "True"},
    {"{{ 9 is divisibleby 3 }}", "True"},
    {"{{ 9 is divisibleby(4) }}", "False"},
    {"{{ 2.5 is odd }}", "False"},
    {"{{ range(5) }}", "range(0, 5)"},
    {"{{ range(5)|list }}", "[0, 1, 2, 3, 4]"},
    {"{{ range(1,10,3)|list }}", "[1, 4, 7]"},
    {"{{ range(5,0,-2)|list }}", "[5, 3, 1]"},
    {"{{ range(0)|list }}", "[]"},
    {"{{ dict(a=1, b=2) }}", "{'a': 1, 'b': 2}"},
    {"{{ dict([('x', 1), ['y', 2]]) }}", "{'x': 1, 'y': 2}"},
    {"{{ dict({'a': 1}, b=2) }}", "{'a': 1, 'b': 2}"},
    {"{{ dict(**d).b }}", "1"},
    {"{{ namespace(a=1).a }}", "1"},
    {"{{ [1,2] + [3] }}", "[1, 2, 3]"},
    {"{{ (1,) + (2,) }}", "(1, 2)"},
    {"{{ [1,2,3].index(2) }}", "1"},
    {"{{ [1,2,1].count(1) }}", "2"},
    {"{{ [1,1.0,true].count(1) }}", "3"},
    {"{{ (1,) }}", "(1,)"},
    {"{{ () }}", "()"},
    {"{{ (1,2) }}", "(1, 2)"},
    {"{{ [(1,)] }}", "[(1,)]"},
    {"{{ 1 }}", "1"},
    {"{{ l|attr('append') is defined }}", "False"},
    {"{{ d|attr('b') is defined }}", "False"},
    {"{{ s|attr('upper') is callable }}", "True"},
    {"{{ d|attr('items') is callable }}", "True"},
    {"{{ s.__class__ }}", ""},
    {"{{ d.__class__ is defined }}", "False"},
    {"{{ l.append is defined }}", "False"},
    {"{{ d.pop is defined }}", "False"},
    {"{{ d.update is defined }}", "False"},
    {"{{ strftime_now('%Y-%m-%d %H:%M:%S') }}", "2025-07-30 18:26:40"},
    {"{{ strftime_now('%d %b %Y') }}", "30 Jul 2025"},
    {"{{ strftime_now('%A %B %j %p %I %y %%') }}", "Wednesday July 211 PM 06 25 %"},
    {"{{ strftime_now('%-d') }}", "30"},
    {"{{ strftime_now('%f %z|%Z|') }}", "000000 ||"},
    {"{{ [1, 2, 3] | map('pprint') is iterable }}", "True"},
    {"{{ -1|abs }}", "1"},
    {"{{ -x|abs }}", "2.5"},
    {"{{ +i }}", "7"},
    {"{{ - -i }}", "7"},
    {"{{ 'a' ~ 'b' * 2 ~ 'c' }}", "abbc"},
    {"{{ 10 - 2 - 3 }}", "5"},
    {"{{ 2 * 3 % 4 }}", "2"},
    {"{{ 7 / 2 * 2 }}", "7.0"},
    {"{{ 'x' in 'xyz' and 'q' not in 'xyz' }}", "True"},
    {"{{ loop is defined }}", "False"},
    {"{{ caller is defined }}", "False"},
    {"{{ varargs is defined }}", "False"},
    {"{{ namespace is defined }}", "True"},
    {"{{ dict is callable }}", "True"},
    {"{{ \"x\"|default }}", "x"},
    {"{{ undefd.x|default('ok') if false else 'safe' }}", "safe"},
    {"{{ d.zz|default('n/a') }}", "n/a"},
    {"{{ d['b']|string ~ '!' }}", "1!"},
    {"{{ [d.b, d.a]|max }}", "2"},
    {"{{ [0.1]|sum }}", "0.1"},
    {"{{ [1, 2.5]|sum }}", "3.5"},
    {"{{ [[1],[2]]|sum(start=[]) }}", "[1, 2]"},
    {"{{ [1,2]|map('float')|list }}", "[1.0, 2.0]"},
    {"{{ ['1','x']|map('int', 7)|list }}", "[1, 7]"},
    {"{{ \"{{ not }}\" }}", "{{ not }}"},
    {"{{ '{% x %}' }}", "{% x %}"},
    {"{{ \"}}\" }}", "}}"},
    {"{{ '#}' }}", "#}"},
    {"{{ \"%}\" ~ '-%}' }}", "%}-%}"},
    {"{{ s.upper() if s.upper else '' }}", "HELLO, WÖRLD"},
    {"{{ s.upper is callable }}", "True"},
    {"{{ (s.upper)() }}", "HELLO, WÖRLD"},
    {"{{ d.get is callable }}", "True"},
    {"{{ s['upper']() }}", "HELLO, WÖRLD"},
    {"{{ [1,2,3][1:][0] }}", "2"},
    {"{{ 'abc'[1:][0] }}", "b"},
    {"{{ {'a': [1,2]}.a[1] }}", "2"},
    {"{{ [[1,2],[3,4]][1][0] }}", "3"},
    {"{{ 'abc'|list|last|upper }}", "C"},
    {"{{ i|string|length }}", "1"},
    {"{{ 3.0|int|string }}", "3"},
    {"{{ '3' * 3 }}", "333"},
    {"{{ i // 2 }}", "3"},
    {"{{ i % 4 }}", "3"},
};

static const struct example statements[] = {
    {"{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}", "3, 1, 2"},
    {"{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ "
     "loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}{{ "
     "loop.previtem }}{{ loop.nextitem }};{% endfor %}",
     "1032TrueFalse3101;2121FalseFalse31032;3210FalseTrue3101;"},
    {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% "
     "for k, v in d|items %}{{ k }}{% endfor %}",
     "b=1;a=2;items=3;C=None;ü=\n;get=g;baitemsCügetbaitemsCüget"},
    {"{% for x in le %}a{% else %}none{% endfor %}{% for x in l if x > 1 %}{{ x }}{{ loop.length "
     "}}{{ loop.last }}{% else %}none{% endfor %}{% for x in l if x > 9 %}a{% else %}none{% endfor "
     "%}",
     "none32False22Truenone"},
    {"{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if loop.index == 3 %}{% "
     "break %}{% endif %}{% endfor %}",
     "32"},
    {"{% for x in l %}{% continue %}{% else %}else{% endfor %}{% for x in l %}{% break %}{% else "
     "%}else{% endfor %}",
     "elseelse"},
    {"{% for a in [1,2] %}{% for b in [3,4] %}{{ a }}{{ b }}{{ loop.index }}{% endfor %}{{ "
     "loop.index }};{% endfor %}",
     "1311421;2312422;"},
    {"{% for x in nest recursive %}{% if x is iterable and x is not string and x is not mapping "
     "%}[{{ loop(x) }}]{% else %}{{ x }}@{{ loop.depth }}{% endif %}{% if not loop.last %},{% "
     "endif %}{% endfor %}",
     "[1@2,2@2],[3@2,[4@3,None@3]],{'k': 'v'}@1"},
    {"{% for x in range(5) %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x // 2) }}{% endfor %}",
     "aTruebFalseaTruebFalseaTrue"},
    {"{% for x in l|map('string') %}{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor "
     "%}{% for x in l|map('string') %}{{ loop.nextitem }}{{ loop.revindex }} {% endfor %}",
     "1/3False 2/3False 3/3True 13 22 1 "},
    {"{% for (a, (b, c)) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for a, b in ['xy', "
     "'zw'] if a != 'x' %}{{ a }}{{ b }}{{ loop.index }}{% endfor %}",
     "123zw1"},
    {"{% for x in l recursive %}{% if loop.depth < 3 %}{{ loop([x]) }}{% endif %}{{ x }}{% else "
     "%}E{% endfor %}",
     "333111222"},
    {"{% set x = 5 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}", "3125"},
    {"{% set ns = namespace(n=0, list=[]) %}{% for i in l %}{% set ns.n = ns.n + i %}{% set "
     "ns.list = ns.list + [i] %}{% endfor %}{{ ns.n }}{{ ns.list }}{{ ns }}{{ ns['n'] }}{{ ns.zz "
     "}}",
     "6[3, 1, 2]<Namespace {'n': 6, 'list': [3, 1, 2]}>6"},
    {"{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d2) = 'xy' %}{{ c }}{{ d2 }}{% set t = 1, 2 "
     "%}{{ t }}",
     "12xy(1, 2)"},
    {"{% set x %}a{{ i }}b{% endset %}[{{ x }}]{% set y | upper | replace('B', 'c') %}abc{% endset "
     "%}{{ y }}{% set z | length %}abc{% endset %}{{ z + 1 }}",
     "[a7b]AcC4"},
    {"{% macro m(a, b='x', c=none) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 2) }} "
     "{{ m(c=3, a=1) }} {{ m() }} {{ m.name }} {{ m.arguments }} {{ m }} {{ m.catch_kwargs }}",
     "1-x-None 1-2-None 1-x-3 -x-None m ('a', 'b', 'c') <Macro 'm'> False"},
    {"{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}{{ m() "
     "}}{{ m(k=1) }}",
     "1(2, 3){'k': 4}(){}(){'k': 1}"},
    {"{% macro m(a, b=a ~ '!') %}{{ b }}{% endmacro %}{{ m('x') }}{% macro q(a=b, b=2) %}{{ a }}{{ "
     "b }}{% endmacro %}{{ q() }}{{ q(1) }}",
     "x!212"},
    {"{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) m(5) %}{{ y }}{{ i }}{% endcall "
     "%}{% macro n2() %}{{ caller is defined }}{{ caller }}{% endmacro %}{{ n2() }}{% call n2() "
     "%}z{% endcall %}",
     "<57>FalseTrue<Macro anonymous>"},
    {"{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
     "543210"},
    {"{% macro m() %}{{ x2 }}{% endmacro %}{% set x2 = 1 %}{{ m() }}{% set x2 = 2 %}{{ m() }}",
     "12"},
    {"{% filter upper %}abc{{ s }}{% endfilter %}{% filter replace('a', 'b') | upper %}aaa{% "
     "endfilter %}",
     "ABCHELLO, WÖRLDBBB"},
    {"{% with a=1, b=2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}{% set a = 5 %}{% with a=a+1 "
     "%}{{ a }}{% set a = 9 %}{{ a }}{% endwith %}{{ a }}{% with %}x{% endwith %}",
     "12False695x"},
    {"{% if t %}a{% elif f %}b{% else %}c{% endif %}{% if f %}a{% elif t %}b{% else %}c{% endif "
     "%}{% if f %}a{% elif f %}b{% else %}c{% endif %}{% if f %}a{% endif %}",
     "abc"},
    {"a{# comment #}b{#- comment -#}  c {#+ x +#} d\n  {# line #}\ne", "abc  d\ne"},
    {"  {% if t %}\n  x\n    {%- if t %}  y  {%- endif %}\n  {% endif %}\nz {{- i -}}  w {{+ i }}",
     "  x  yz7w 7"},
    {"{%- if t -%}   a   {%- endif -%}\n   b {%+ if t %} c {%+ endif +%}\nd", "ab  c \nd"},
    {"{% raw %}{{ x }}{% if %}{% endraw %}{%- raw -%}  {{ y }}  {%- endraw -%}  z",
     "{{ x }}{% if %}{{ y }}z"},
    {"x\n{% raw %}\n y\n {% endraw %}\nz", "x\n\n y\nz"},
    {"{% generation %}abc{% endgeneration %}x{% for m in ls %}{{ m }}{% generation %}é{{ m }}{% "
     "endgeneration %}{% endfor %}",
     "abcxbébAéAaéaCéC"},
    {"{% macro m() %}a{% generation %}b{% endgeneration %}c{% endmacro %}x{{ m() }}y{% set q %}z{% "
     "generation %}w{% endgeneration %}{% endset %}{{ q }}",
     "xabcyzw"},
    {"{% generation %}a{% set leak = 1 %}{% generation %}b{% endgeneration %}{% endgeneration %}{{ "
     "leak is defined }}",
     "abFalse"},
    {"{%- generation -%} x {%- endgeneration -%} y", "xy"},
    {"{% set j = joiner(', ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}{% set c = cycler('a', "
     "'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() "
     "}}{{ c.pos }}{{ c.items }}{{ j.used }}{{ j.sep }}",
     "3, 1, 2ababNonea1('a', 'b')True, "},
    {"{% for x in l %}{% if x == 3 %}{% set y9 = 1 %}{% endif %}{{ y9 is defined }}{% endfor %}{% "
     "if t %}{% set q9 = 3 %}{% endif %}{{ q9 }}{% if f %}{% set i = 99 %}{% endif %}{{ i }}",
     "TrueFalseFalse37"},
    {"{{ late }}{% set late = 1 %}{{ late }}{% for x in [1] %}{{ late }}{% endfor %}", "11"},
    {"{% for x in [1] %}{{ i }}{% endfor %}{{ i }}{% set i = 1 %}{{ i }}", "771"},
    {"{% for x in l %}{% set i = i + x %}{{ i }} {% endfor %}{{ i }}", "10 8 9 7"},
    {"{% macro m() %}{% set i = i + 1 %}{{ i }}{% endmacro %}{{ m() }}{{ m() }}{{ i }}", "887"},
    {"{% print i, s %}{% print 'x' %}{% print %}", "7Hello, wörldx"},
    {"{% for x in 'abc' %}{{ x }}{{ loop.nextitem }}{% endfor %}{% for x in {'a': 1}.items() %}{{ "
     "x }}{% endfor %}{% for x in (1,2) %}{{ x }}{% endfor %}{% for x in undefd %}a{% else %}b{% "
     "endfor %}",
     "abbcc('a', 1)12b"},
    {"{% for a in 1, 2 %}{{ a }}{% endfor %}{% for a in (1, 2) if a > 1 %}{{ a }}{% endfor %}{{ 1, "
     "2 }}",
     "122(1, 2)"},
    {"{% set ns = namespace(a=1) %}{% set ns.b %}x{% endset %}{{ ns.b }}{% set ns.a = [ns.a] %}{{ "
     "ns.a }}",
     "x[1]"},
    {"{% set d9 = {'a': 1} %}{% set d9 = dict(d9, **{'b': 2}) %}{{ d9 }}{% set _ = d9.get('a') "
     "%}{{ _ }}",
     "{'a': 1, 'b': 2}1"},
    {"{% if users is defined and users|length > 1 and users[0]['name'] == 'bob' %}y{% endif %}{{ "
     "users[0].tags | join(', ') if users[0].tags else 'none' }}",
     "yx, y"},
    {"{% set m = {'role': 'user'} %}{{ '<|' + m.role + '|>' ~ '\\n' }}{{- '  x' | trim }}",
     "<|user|>\nx"},
    {"{{ f(1) if false else 'ok' }}{{ 'a' | nosuch if false else 'b' }}{% if false %}{{ 'a' | "
     "nosuch }}{{ 1 is nosuch }}{% endif %}",
     "okb"},
    {"a\nb\n{%- set x = 1 -%}\nc\n{%+ set x = 1 +%}\nd", "a\nbc\n\nd"},
    {"\t{% if t %}x{% endif %}\t\n  {{ i }}\n\t{# c #}y", "x\t\n  7\ny"},
    {"{% for x in l %}\n  {{ x }}\n{% endfor %}\n{% for x in l -%}\n  {{ x }}\n{%- endfor %}",
     "  3\n  1\n  2\n312"},
    {"{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }}{% endfor "
     "%}|{% endfor %}",
     "33|13|23|"},
    {"{% for x in l %}{% set v %}a{% if x == 1 %}{% continue %}{% endif %}b{% endset %}{{ v }}{% "
     "endfor %}",
     "abab"},
    {"{% for x in l %}{% filter upper %}a{% if x == 2 %}{% break %}{% endif %}b{% endfilter %}{% "
     "endfor %}",
     "ABAB"},
    {"{% set ns = namespace(x=2) %}{% for v in [1, 2, 3] if v != ns.x %}{{ v }}{% set ns.x = 3 "
     "%}{% endfor %}",
     "12"},
    {"{% macro outer() %}{% macro inner(x) %}[{{ x }}{{ i }}]{% endmacro %}{{ inner(1) }}{{ "
     "inner(2) }}{% endmacro %}{{ outer() }}",
     "[17][27]"},
    {"{% for x in l %}{% macro mm() %}{{ x }}{{ loop.index }}{% endmacro %}{{ mm() }}{% endfor %}",
     "311223"},
    {"{{ [1,2,3]|map('string')|list ~ ('a','b')|map('upper')|join }}{{ (l|map('string'))|first "
     "}}{{ users|map(attribute='name')|select('equalto', 'bob')|list|length }}",
     "['1', '2', '3']AB31"},
    {"{{ \"a\\\nb\" }}{{ 'x\ny' }}", "abx\ny"},
    {"{%if t%}a{%endif%}{%-if t-%} b {%-endif-%} {{i}}{{-i-}}{{ i}}", "ab777"},
    {"{{ '{{' }}{{ '}}' }}{{ '{%' }} { { } } %} }} #}", "{{}}{% { { } } %} }} #}"},
    {"{% set x = [] %}{% for m in users %}{% set x = x + [m.name] %}{% endfor %}{{ x }}{% set ns = "
     "namespace(x=[]) %}{% for m in users %}{% set ns.x = ns.x + [m.name] %}{% endfor %}{{ ns.x }}",
     "[]['bob', 'Al', 'cy']"},
    {"{% macro p(v, depth=0) %}{% if v is mapping %}{% for k, w in v|dictsort %}{{ '  ' * depth "
     "}}{{ k }}: {{ p(w, depth + 1) }}\n{% endfor %}{% elif v is iterable and v is not string %}{% "
     "for w in v %}{{ p(w, depth + 1) }}{% endfor %}{% else %}{{ v }}{% endif %}{% endmacro %}{{ "
     "p(deep) }}",
     "a:   b:       c: 5\n\n\n"},
    {"{% for x in l %}{% with y = x %}{{ y }}{% if x == 1 %}{% break %}{% endif %}{% endwith %}{% "
     "endfor %}",
     "31"},
    {"{{ loop }}{% for loop2 in l %}{{ loop.index }}{% endfor %}", "123"},
    {"{% set loop = 3 %}{{ loop }}{% for x in l %}{{ loop.index }}{% endfor %}{{ loop }}", "31233"},
    {"{% set x = 1 %}{% if t %}{% set x = 2 %}{% for q in l %}{% set x = 3 %}{% endfor %}{{ x }}{% "
     "endif %}{{ x }}",
     "22"},
    {"{% set a = 1 %}{% macro m() %}{{ a }}{% if f %}{% set a = 2 %}{% endif %}{{ a }}{% endmacro "
     "%}{{ m() }}",
     "11"},
    {"line1\n\nline3\n\n", "line1\n\nline3\n"},
    {"{% set x = 1 %}{%- set y = 2 +%}\n {{ x }}", "\n 1"},
    {"{{ l[1:2:1] }}{{ l[:] }}{{ l[::] }}{{ l[1::2] }}", "[1][3, 1, 2][3, 1, 2][1]"},
};

struct world {
    json_t *root;
    struct jinja_variable variables[40];
    int n;
};

static int begin(void **state)
{
    static struct world w;
    json_error_t why;
    json_t *value;
    const char *name;

    w = (struct world){.root = json_loads(values, 0, &why)};
    if (!w.root)
        return -1;
    json_object_foreach(w.root, name, value)
    {
        w.variables[w.n++] = (struct jinja_variable){.name = name, .json = value};
    }
    *state = &w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;

    json_decref(w->root);
    return 0;
}

static struct jinja *parse(const char *text)
{
    struct jinja *t = NULL;
    struct err err = {0};

    assert_ok(jinja_parse("the template", text, strlen(text), &t, &err), err);
    return t;
}

static void check(const struct world *w, const struct example *e)
{
    struct jinja_options options = jinja_defaults;
    struct jinja_output out = {{0}};
    struct jinja *t = parse(e->template);
    struct err err = {0};

    options.now = 1753900000;
    if (jinja_render(t, w->variables, w->n, &options, &out, &err) < 0)
        fail_msg("%s\n  %s", e->template, err.text);
    if (strcmp(out.text.data, e->text) != 0)
        fail_msg("%s\n  gives: %s\n  not:   %s", e->template, out.text.data, e->text);
    jinja_output_free(&out);
    jinja_free(t);
}

static void expressions_give_what_python_gives(void **state)
{
    for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++)
        check(*state, &expressions[i]);
}

static void statements_give_what_python_gives(void **state)
{
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
        check(*state, &statements[i]);
}

static void texts_may_hold_nul_and_are_counted_in_characters(void **state)
{
    static const char text[] = "a\0\xc3\xa9";
    struct jinja_variable v = {.name = "x", .text = text, .len = 4};
    struct jinja_output out = {{0}};
    struct jinja *t = parse("{{ x }}{{ x|length }}{{ x[2] }}{{ x|tojson }}{{ [x] }}");
    struct err err = {0};

    (void)state;
    assert_ok(jinja_render(t, &v, 1, &jinja_defaults, &out, &err), err);
    assert_int_equal(out.text.len, 4 + 1 + 2 + 11 + 11);
    assert_memory_equal(out.text.data,
                        "a\0\xc3\xa9"
                        "3\xc3\xa9"
                        "\"a\\u0000\xc3\xa9\""
                        "['a\\x00\xc3\xa9']",
                        out.text.len);
    jinja_output_free(&out);
    jinja_free(t);
}

static void spans_are_bytes_of_the_text(void **state)
{
    struct world *w = *state;
    struct jinja_output out = {{0}};
    struct jinja *t = parse("\xc3\xa9{% for x in ls %}{{ x }}:{% generation %}\xc3\xa9{{ x }}{% "
                            "endgeneration %};{% endfor %}"),
                 *plain = parse("{{ generation }}");
    struct err err = {0};

    assert_true(jinja_has_generation(t));
    assert_false(jinja_has_generation(plain));
    for (int round = 0; round < 2; round++) { /* an output may be used again */
        assert_ok(jinja_render(t, w->variables, w->n, &jinja_defaults, &out, &err), err);
        assert_string_equal(out.text.data, "\xc3\xa9"
                                           "b:\xc3\xa9"
                                           "b;A:\xc3\xa9"
                                           "A;a:\xc3\xa9"
                                           "a;C:\xc3\xa9"
                                           "C;");
        assert_int_equal(out.n_spans, 4);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(out.spans[i].begin, 4 + 6 * i);
            assert_int_equal(out.spans[i].end, 7 + 6 * i);
        }
    }
    jinja_output_free(&out);
    jinja_free(t);
    jinja_free(plain);
}

/* As transformers counts them: from what was written outside of the macro. */
static void spans_within_a_macro_begin_before_it(void **state)
{
    struct world *w = *state;
    struct jinja_output out = {{0}};
    struct jinja *t = parse(
        "{% macro m() %}a{% generation %}\xc3\xa9z{% endgeneration %}c{% endmacro %}x{{ m() }}");
    struct err err = {0};

    assert_ok(jinja_render(t, w->variables, w->n, &jinja_defaults, &out, &err), err);
    assert_string_equal(out.text.data, "xa\xc3\xa9zc");
    assert_int_equal(out.n_spans, 1);
    assert_int_equal(out.spans[0].begin, 1);
    assert_int_equal(out.spans[0].end, 4);
    jinja_output_free(&out);
    jinja_free(t);
}

static void the_case_of_characters_is_unicode_s(void **state)
{
    static const struct example cases[] = {
        {"{{ '\xce\x91\xce\xa3 \xce\xa3'|lower }}", "\xce\xb1\xcf\x82 \xcf\x83"},
        {"{{ 'stra\xc3\x9f"
         "e'|upper }}",
         "STRASSE"},
        {"{{ '\xef\xac\x81x'.title() }}", "Fix"},
        {"{{ '\xc4\xb0'|lower|length }}", "2"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check(*state, &cases[i]);
}

static void variables_that_are_read_are_mentioned(void **state)
{
    struct jinja *t = parse("{% set own = 1 %}{{ own }}{% for tools in x %}{{ tools }}{% endfor %}"
                            "{% macro m(arg) %}{{ arg }}{{ deep }}{% endmacro %}{% if "
                            "enable_thinking is defined %}{% endif %}");

    (void)state;
    assert_true(jinja_mentions(t, "x"));
    assert_true(jinja_mentions(t, "deep"));
    assert_true(jinja_mentions(t, "enable_thinking"));
    assert_false(jinja_mentions(t, "own"));
    assert_false(jinja_mentions(t, "tools"));
    assert_false(jinja_mentions(t, "arg"));
    assert_false(jinja_mentions(t, "absent"));
    jinja_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_give_what_python_gives),
        cmocka_unit_test(statements_give_what_python_gives),
        cmocka_unit_test(texts_may_hold_nul_and_are_counted_in_characters),
        cmocka_unit_test(spans_are_bytes_of_the_text),
        cmocka_unit_test(spans_within_a_macro_begin_before_it),
        cmocka_unit_test(the_case_of_characters_is_unicode_s),
        cmocka_unit_test(variables_that_are_read_are_mentioned),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
