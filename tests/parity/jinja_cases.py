"""Templates that use each feature of Jinja's, as (template, variables). jinja2 says what they give."""
import os
import sys

VALUES = {
    "n": None, "t": True, "f": False, "i": 7, "z": 0, "neg": -3, "x": 2.5, "big": 1e17, "tiny": 1.5e-7,
    "s": "Hello, wörld", "e": "", "ws": " \t a b \n ", "up": "ABC", "html": "<a href=\"x\">&'</a>", "nul": "a\0b",
    "uni": "straße ΣΑΣ ǆ 😀 İ", "words": "the quick-brown (fox) [jumps] {over}", "lines": "a\nb\r\nc\x0bd\u2028e\n\n",
    "l": [3, 1, 2], "ls": ["b", "A", "a", "C"], "le": [], "nest": [[1, 2], [3, [4, None]], {"k": "v"}],
    "d": {"b": 1, "a": 2, "items": 3, "C": None, "ü": "\n", "get": "g"}, "de": {}, "deep": {"a": {"b": [{"c": 5}]}},
    "users": [{"name": "bob", "age": 3, "tags": ["x", "y"]}, {"name": "Al", "age": 3, "tags": []},
              {"name": "cy", "age": 1.5}], "mixed": [1, "1", 1.0, True, None],
    "vast": [9.3e18, 1e19, -1e20, 1e22, 2.0 ** 63, -(2.0 ** 63), 1.7976931348623157e308, 123456789012345678901.0],
}

EXPRESSIONS = """
n|t|f|i|x
[n, t, f, i, x, s, big, tiny]
vast, vast|tojson, vast[0], vast[3]|string, vast|sort, vast|max, vast|min, vast|sum, vast|unique|list, vast|map('abs')|list, vast|map('round')|list, vast|map('float')|list
vast[0] + 1, vast[3] * 10, vast[3] / 3, vast[0] // 7, vast[1] % 7, -vast[2], vast[6] * 10, vast[3] ** 2, vast[1] > i, i < vast[2], vast[4] == 9223372036854775807, vast[3] == 1e22, 2.0 ** 64, 1e19 - 1
vast[0]|round(1, 'floor'), vast[2]|round(0, 'ceil'), vast[7]|round(2), vast[7]|round(-1, 'floor'), '%f' % vast[3], '%g' % vast[6], '%.1e' % vast[2], '{:,.2f}'.format(vast[1]), '{:e}'.format(vast[3]), '{}'.format(vast[2]), vast[3] is float, vast[3] is integer, vast[1] is divisibleby(10), {1e22: 'k'}[vast[3]]
1e16, 1e15, 123456789012345678.0, 0.1, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308, 100.0, -0.0, 1.0e10
[1.5, 1e100, 1e-100, 0.30000000000000004, 2.0**0.5, 1/3, 2/3, 10/4, 7//2, -7//2, 7//-2, -7%3, 7%-3, 7.5//2, -7.5%2]
2**10, 2**-1, 2**0.5, (-2)**2, -2**2, 2**3**2, 0**0, True+True, 1+1.5, 3*'ab', 'ab'*0, [1]*3, (1,2)*2, 'ab'*-1
1 < 2 < 3, 3 > 2 > 2, 1 == 1.0 == True, 'a' < 'b', 'a' in 'abc', 'x' not in 'abc', 1 in [1,2], 'b' in d, 5 in d
[1,2] < [1,3], (1,2) < (1,2,0), [1,'a'] == [1.0,'a'], {'a':1} == {'a':1.0}, [] == (), None == None, 1 == '1'
9007199254740993 == 9007199254740992.0, 9007199254740993 > 9007199254740992.0, 2 == 2.5
not t, not n, t and 'x', n or 'y', n and 'x' or 'z', t if f, (t if f) is defined, 'a' if i > 5 else 'b', 'a' if 0 else 'b' if 1 else 'c'
s ~ 1 ~ n ~ x ~ [1], 'a' 'b' "c", "it's", 'say "hi"', '\\n\\t\\\\', '\\x41\\u00e9\\U0001F600\\101\\q', "a\\
b"
['it\\'s', "say \\"hi\\"", "b\\"o'th", 'é\\n\\x00\\x7f\\u200b\\ue000\\U000e0001\\t\\\\']
0x1F, 0b101, 0o17, 1_000, 1_0.5e1, 00, 1e5, 1E-2
s[0], s[-1], s[7], s[99] is defined, s[1:4], s[::-1], s[-3:], s[:2], s[10:2], s[::2], s[8:2:-2], uni[1:9], uni[::-1]
l[0], l[-1], l[5] is defined, l[1:], l[::-1], l[True], l[0:99], (1,2,3)[1:], l['0'] is defined, l[1.0] is defined
d.b, d['a'], d.zz is defined, d['zz'] is defined, d.items is callable, d['items'], d['get'], d.get('b'), d.get('q'), d.get('q', 5)
d.items(), d.keys(), d.values(), d.items()|list, d|items|list, d|list, d|length, de|length, d.copy()
deep.a.b[0].c, deep['a'].b.0.c, deep.x is defined, users[0].name, users.0.name
n.foo is defined, i.foo is defined, undefd is defined, undefd == undefd2, undefd, [undefd], undefd ~ 'x', undefd|length
undefd|default('d'), n|default('d'), n|default('d', true), e|d('x', boolean=true), undefd|list, undefd|join, undefd|upper
l|sort, ls|sort, ls|sort(case_sensitive=true), ls|sort(reverse=true), ls|sort(true, true), users|sort(attribute='name')|map(attribute='name')|list
users|sort(attribute='age,name')|map(attribute='name')|list, users|map(attribute='tags.0')|list, users|map(attribute='tags', default=0)|list
users|selectattr('age', 'equalto', 3)|map(attribute='name')|join(', '), users|rejectattr('tags')|list|length, users|selectattr('tags', 'defined')|list|length
l|select('odd')|list, l|reject('gt', 1)|list, l|select|list, mixed|select('string')|list, mixed|select('number')|list, mixed|reject('none')|list
ls|map('upper')|list, ls|map('replace', 'A', 'Z')|list, l|map('string')|join('-'), users|map(attribute='name')|map('lower')|join('|')
users|groupby('age')|list, users|groupby('name')|map(attribute='grouper')|list, users|groupby('zz', default='q')|map('first')|list, (users|groupby('age'))[0].list|length
ls|unique|list, ls|unique(true)|list, mixed|unique|list, users|unique(attribute='age')|map(attribute='name')|list
l|min, l|max, ls|min, ls|max(case_sensitive=true), le|min is defined, users|max(attribute='name'), l|sum, l|sum(start=10), users|sum(attribute='age'), [0.1,0.2]|sum
l|first, l|last, le|first is defined, s|first, s|last, d|first, d|last, l|reverse|list, s|reverse, uni|reverse, d|reverse|list, undefd|last is defined
l|batch(2)|list, l|batch(2, 'x')|list, l|slice(2)|list, l|slice(2, 'x')|list, [1,2,3,4,5]|slice(3)|list, [1,2,3,4,5,6,7]|slice(3, 0)|list
d|dictsort, d|dictsort(true), {'b':2,'a':1}|dictsort(by='value'), {'b':2,'a':1}|dictsort(reverse=true)
l|join, l|join(','), ls|join(d=', '), users|join(',', attribute='name'), 'abc'|join('-'), d|join(' ')
s|upper, s|lower, s|title, s|capitalize, uni|upper, uni|lower, uni|title, uni|capitalize, words|title, words.title(), uni.title(), uni.swapcase(), 'ΑΣ'|lower, 'ΑΣ.Β'|lower, 'Σ'|lower
'ŉ ǰ ﬁ'|upper, 'ŉ ǰ ﬁ'.title(), 'ǅ'.istitle(), 'ǅ'|lower, "they're bill's".title(), 'x'|upper|lower, 'ᾳ'|upper, 'ᾳ'.capitalize()
ws|trim, ws.strip(), ws.lstrip(), ws.rstrip(), 'xxaxx'|trim('x'), 'xyax'.strip('xy'), 'é\\u3000'.strip(), '\\x1ca\\x85'.strip(), 'aéa'.strip('éa'), [ws.split(), ws.rsplit(None, 1), ws.split(None, 1)]
'a,b,,c'.split(','), 'a,b,,c'.split(',', 1), 'a,b,,c'.rsplit(',', 1), 'a,b'.split(sep=',', maxsplit=1), ''.split(), ''.split(','), ' a  b '.split(' '), 'aXXbXXc'.rsplit('XX'), 'abc'.split('abc')
lines.splitlines(), lines.splitlines(true), 'a\\n'.splitlines(), ''.splitlines(), 'a-b-c'.partition('-'), 'a-b-c'.rpartition('-'), 'abc'.partition('x'), 'abc'.rpartition('x')
'hello'.startswith('he'), 'hello'.startswith(('x','he')), 'hello'.endswith('lo'), 'hello'.startswith('l', 2), 'hello'.endswith('l', 0, 4), ''.startswith(''), 'a'.startswith('', 1), 'a'.startswith('', 2), 'é'.endswith('é', -1)
'hello'.find('l'), 'hello'.rfind('l'), 'hello'.find('z'), 'hello'.index('l'), 'héllo'.find('l'), 'hello'.find('l', 3), 'hello'.find('', 9), 'hello'.find('', 5), 'hello'.rfind(''), 'hello'.count('l'), 'aaa'.count('aa'), 'éa'.count(''), 'abc'.find('c', -1), 'abc'.rfind('a', -9, 1)
'hello'.replace('l', 'L'), 'hello'.replace('l', 'L', 1), 'abc'.replace('', '-'), 'abc'.replace('', '-', 2), 'é'.replace('', '.'), s|replace('l', 'LL', 2), 5|replace('5', 'x'), 'abc'|replace('', '.', count=1), 'aaa'.replace('a', '')
'42'.zfill(5), '-42'.zfill(5), 'é'.zfill(3), 'abc'.center(8), 'abc'.center(9, '*'), 'abcd'.center(7, '*'), 'ab'.ljust(4, '.'), 'ab'.rjust(4, '.'), s|center(20), 'x'|center, 'é'.center(4)
'prefix-x'.removeprefix('prefix-'), 'x.py'.removesuffix('.py'), 'x'.removesuffix(''), 'a\\tb'.expandtabs(), 'a\\tb'.expandtabs(4), ','.join(ls), ''.join('abc')
'abc'.isalpha(), 'a1'.isalnum(), '12'.isdigit(), '²'.isdigit(), '½'.isnumeric(), '٣'.isdecimal(), ' '.isspace(), 'Abc'.istitle(), 'abc'.islower(), 'ABC1'.isupper(), ''.isalpha(), ''.isascii(), 'é'.isascii(), 'é'.isprintable(), '\\n'.isprintable(), 'ǅ'.isupper(), 'Ab Cd'.istitle(), 'Ab cD'.istitle(), 'ab'.casefold()
'%s-%d' % ('a', 5), '%5s|%-5s|' % ('a', 'b'), '%05d' % 42, '%+d' % 5, '%.2f' % 3.14159, '%x %X %o' % (255, 255, 8), '%e' % 12345.678, '%g' % 0.0001, '%%', '%r' % 'a', '%c' % 65, '%c' % 'é', '%(a)s' % {'a': 1}, '%s' % [1,2], '%5.1f|' % 2.25, '%i' % 3.9, '%#x' % 255, '%-5d|' % 3, '% d' % 4, '%.3s' % 'abcdef', '%s' % n, '%.3d' % 5, '%s' % undefd, '%-05d|' % 3, '%05s' % 'a', '%G' % 1e-10
'%s %s'|format('a', 1), '%(x)s'|format(x=1), '{} {}'.format(1, 'a'), '{0} {1} {0}'.format('a', 'b'), '{a} {b.name}'.format(a=1, b={'name': 'z'}), '{:>5}|{:<5}|{:^5}|'.format('a', 'b', 'c'), '{:.2f}'.format(3.14159), '{:05d}'.format(42), '{:,}'.format(1234567), '{!r}'.format('a'), '{{}}'.format(), '{:x}'.format(255), '{:#b}'.format(5), '{:*^9}'.format('é'), '{:+}'.format(5), '{:%}'.format(0.25), '{:e}'.format(1.5), '{:_}'.format(12345), '{0[0]}{0[1]}'.format([1,2]), '{:<5}|'.format(3), '{:.3}'.format('abcdef'), '{}'.format(2.5)
3.7|int, '42'|int, '42.9'|int, 'x'|int, 'x'|int(5), '0x1f'|int(0, 16), '1f'|int(base=16), n|int, ' 7 '|int, '1_000'|int, t|int, '-5'|int, '12'|int(base=8), '1e3'|int, 'inf'|int, 'nan'|int, '0b11'|int(base=0), '010'|int(base=0)
'3.5'|float, 'x'|float, 'x'|float(1.5), 3|float, n|float, z|float, '-1e5'|float, ' 2 '|float, '1_0.5'|float, f|float, '1.'|float, '.5'|float, '.'|float
2.5|round, 3.5|round, 2.675|round(2), 42.55|round(1), 42|round, 42.1|round(method='ceil'), 42.9|round(method='floor'), 42.123|round(2, 'ceil'), 15|round(-1), 25|round(-1), 1234|round(-2), -15|round(-1), 0.5|round, 1.5|round|int, -2.5|round, 5|round(1, 'floor')
-5|abs, (-2.5)|abs, neg|abs, t|abs
'a\\nb\\n\\nc'|indent, 'a\\nb'|indent(2), 'a\\nb'|indent(2, true), 'a\\n\\nb'|indent(2, blank=true), 'a\\nb'|indent('> '), 'a\\nb\\n'|indent, ''|indent(2, true), 'a'|indent(-1), 'a\\r\\nb'|indent(width=1, first=true)
'foo bar baz'|truncate(9), 'foo bar baz'|truncate(9, true), 'foo bar baz qux'|truncate(11), 'foo bar baz qux'|truncate(11, false, '..', 0), 'foo bar baz qux'|truncate(5, leeway=0), 'foobarbazqux'|truncate(6, leeway=0), s|truncate, 'ééééééééééééééé'|truncate(4)
'a b-c_d e\\'f é'|wordcount, ''|wordcount, 'a/b c?d=é&~'|urlencode, {'a b': 'c&d', 'e': 1}|urlencode, 5|urlencode
s|length, uni|length, l|count, s|list, d|string, l|string, x|string, s|string
d|tojson, nest|tojson, users|tojson(indent=2), users|tojson(indent=0), s|tojson, uni|tojson(ensure_ascii=true), nul|tojson, d|tojson(sort_keys=true), l|tojson(separators=(',',':')), d|tojson(separators=(',',':'), indent=1), l|tojson(indent='--'), le|tojson(indent=2), de|tojson(indent=2), {1: 2, none: 3, 1.5: 4, true: 5}|tojson, '\\x7f\\x1f"\\\\/\\u2028'|tojson, (1,2)|tojson, big|tojson, 1e16|tojson, -0.0|tojson, tiny|tojson, html|tojson, 'inf'|float|tojson, [[], {}]|tojson(indent=1), 'é😀'|tojson(true)
html|e, html|escape|escape, html|e|upper, html|safe, (html|safe) ~ '<', html|safe|length, [html|safe], html|forceescape, 5|e, n|e, (html|e)[0:3], ('<'|safe) + '<', '<' + ('>'|safe), ('<'|safe) * 2, ('<'|safe) is escaped, '<' is escaped, ('a<'|safe).split('<'), ('<'|safe)|string, ('<'|safe)|replace('<', '>'), ('<'|safe)|trim, undefd|e, ['<'|safe]|join('<'), ('<'|e)|tojson, ('<' | safe) == '<', ('x'|safe).strip() + '<', ('x<'|e)[::-1]
n is none, t is true, f is false, 1 is true, t is boolean, i is integer, t is integer, x is float, t is number, s is string, d is mapping, l is mapping, l is sequence, s is sequence, d is sequence, l is iterable, i is iterable, undefd is iterable, undefd is sequence, s is callable, range is callable, undefd is callable, d.items() is sequence, d.items() is iterable, (l|map('upper')) is iterable
3 is odd, 4 is even, 9 is divisibleby 3, 9 is divisibleby(4), 2.5 is odd, 'abc' is lower, 'ABC' is upper, 1 is eq 1, 1 is equalto(1.0), 1 is ne 2, 1 is lt 2, 3 is gt 2, 3 is ge(3), 3 is le 2, 1 is in [1,2], 'a' is in('abc'), n is sameas none, t is sameas true, 1 is sameas true, 3 is greaterthan 2, 3 is lessthan 2, 'upper' is filter, 'odd' is test, undefd is undefined, not n is none, n is not none, 1 is not eq 2 and t
range(5), range(5)|list, range(1,10,3)|list, range(5,0,-2)|list, range(0)|list, range(3)[1], range(10)[2:5], range(10)[::-3], 3 in range(5), range(3)|length, range(3) == range(0,3), range(5)|sum, range(3)|last, range(3)|reverse|list, range(2,8,2).start, range(0,10)[5:2], range(5).index(3), range(5).count(2), range(3)|join
dict(a=1, b=2), dict([('x', 1), ['y', 2]]), dict({'a': 1}, b=2), dict(**d).b, namespace(a=1).a, namespace({'a': 5}).a, namespace(a=1), namespace(a=1).b is defined, {'a': 1, 'a': 2}, {1: 'x', 1.0: 'y', true: 'z'}, {(1,2): 3}[(1,2)], {'a': 1}['a']
[1,2] + [3], (1,) + (2,), [1,2,3].index(2), [1,2,1].count(1), [1,1.0,true].count(1), (1,2).index(2), l.copy(), [3].index(3, 0, 1)
(1,), (), (1,2), [(1,)], 1, 2
l|attr('append') is defined, d|attr('b') is defined, s|attr('upper') is callable, d|attr('items') is callable
s.__class__, undefd.__class__, undefd.__str__ is defined, d.__class__ is defined, l.append is defined, d.pop is defined, d.update is defined, l.copy is defined, d._x is defined, s.__len__ is defined, ''.__class__.__mro__ is defined
strftime_now('%Y-%m-%d %H:%M:%S'), strftime_now('%d %b %Y'), strftime_now('%A %B %j %p %I %y %%'), strftime_now('%-d'), strftime_now('%f %z|%Z|'), strftime_now('é %c %x %X')
nul|length, [nul], nul, nul ~ 'x', nul.split('\\0'), nul[2]
[1, 2, 3] | map('pprint') is iterable, -1|abs, -x|abs, +i, - -i, not not t, (i), ((i)), i if t else n, i.bit is defined
'a' ~ 'b' * 2 ~ 'c', 'a' + 'b' ~ 1 + 2, 1 ~ 2 + 3, 10 - 2 - 3, 2 * 3 % 4, 7 / 2 * 2, 'x' in 'xyz' and 'q' not in 'xyz', 1 in [1] == true
loop is defined, caller is defined, varargs is defined, namespace is defined, dict is callable
"x"|default, undefd.x|default('ok') if false else 'safe', d.zz|default('n/a'), d['b']|string ~ '!', [d.b, d.a]|max
[0.1]|sum, [1, 2.5]|sum, [[1],[2]]|sum(start=[]), [1,2]|map('float')|list, ['1','x']|map('int', 7)|list, [[1,2],[3]]|map('sum')|list, [[1,2],[3]]|map('first')|join(',')
"{{ not }}", '{% x %}', "}}", '#}', "%}" ~ '-%}'
s.upper() if s.upper else '', s.upper is callable, (s.upper)(), d.get is callable, s['upper'](), users[0]['name'].upper(), 'a-b'.split('-')[1].upper()
[1,2,3][1:][0], 'abc'[1:][0], {'a': [1,2]}.a[1], [[1,2],[3,4]][1][0], 'abc'|list|last|upper, ('a','b')|join|upper
i|string|length, 3.0|int|string, '3' * 3, i // 2, i % 4, 7 // 2.0, 7 % 2.5, -1 ** 2, 2 ** -2
""".replace("\\\n", "\\\\NEWLINE").strip().split("\n")
EXPRESSIONS = [line.replace("\\\\NEWLINE", "\\\n").replace("\\\\", "\\") for line in EXPRESSIONS]

RAISE = """
undefd.x
undefd.x.y
undefd.__class__()
undefd.__nosuch__
undefd['x']
undefd()
undefd + 1
1 + undefd
undefd < 1
undefd|int
undefd|float
undefd|abs
undefd|round
undefd|tojson
[undefd]|tojson
undefd[0:1]
-undefd
undefd|indent
1 + 'a'
'a' + 1
'a' + n
n + n
[1] + (2,)
'a' - 'b'
'a' * 'b'
'a' * 1.5
1 / 0
1 // 0
1 % 0
1.0 % 0
0 ** -1
1 < 'a'
n < n
{} < {}
[1] < (1,)
'a' in 5
1 in 'abc'
n in n
undefd in 'abc'
{[]: 1}
{{}: 1}
{([],): 1}
i[0:1]
d[0:1]
s['a':]
s[::0]
s[1.0:]
n[0:1]
n|length
5|length
5|list
n|list
5|join
5|first
n|sort
[1,'a']|sort
[n, 1]|sort
[{}, {}]|sort
[1, 'a']|min
['a', 'b']|sum
[1, 'a']|sum
5|dictsort
l|dictsort
d|dictsort(by='x')
l|tojson(separators='abc')
d.items()|tojson
range(3)|tojson
namespace(a=1)|tojson
{(1,2): 3}|tojson
{1: 1, 'a': 2}|tojson(sort_keys=true)
l|tojson(indent=1.5)
l|map('append')|list
l|map|list
l|map(attribute='x', foo=1)|list
l|selectattr|list
users|selectattr('name', 'nosuch')|list
l|nosuchfilter
l is nosuchtest
l|join(1, 2, 3, 4)
l|join(foo=1)
l|batch|list
'abc'.nosuch()
'abc'.split('')
'abc'.split(5)
'abc'.split(',', 'x')
'abc'.startswith(5)
'abc'.startswith(['a'])
'abc'.replace('a')
'abc'.replace('a', 5)
'abc'.index('z')
'abc'.center()
'abc'.center(9, 'ab')
'abc'.center('x')
','.join([1, 2])
','.join(5)
'abc'.upper(1)
l.append(1)
l.pop()
l.clear()
l.sort()
l.extend([1])
d.pop('b')
d.update({'x': 1})
d.setdefault('x', 1)
d.clear()
d.nosuch()
d.get()
l.index(99)
s.__class__()
s.__class__.x
5()
'abc'()
d()
n()
raise_exception('stop: ' ~ s)
raise_exception(5)
raise_exception('')
raise_exception()
raise_exception('a', 'b')
range()
range('a')
range(1.5)
range(1, 2, 0)
range(100001)
range(10**12)
namespace(_x=1)
namespace(1)
dict(1)
dict([1])
dict(['ab', 'c'])
dict(a=1, **{'a': 2})
dict(*[1, 2, 3])
cycler()
joiner(1, 2)
'%d' % 'a'
'%s %s' % 'a'
'%s' % ('a', 'b')
'%z' % 1
'%5%' % ()
'%' % ()
'%(a)s' % {}
'%(a)s' % 5
'%x' % 1.5
'%c' % 'ab'
'{}'.format()
'{a}'.format()
'{'.format()
'}'.format()
'{:d}'.format('a')
'{0}{}'.format(1, 2)
'{:d}'.format(1.5)
'%s %s'|format('a')
'%s'|format('a', b=1)
'a'|round
2.5|round('x')
2.5|round(1, 'up')
'a'|abs
'a'|truncate(2)
5|indent
'a'|indent(1.5)
'a' is divisibleby 3
5 is divisibleby 0
'a' is odd
5 is in 5
1 is lt 'a'
loop.index
d|items|length
(l|map('string'))|length
(l|map('string'))[0:1]
5|items|list
l|attr('append')(1)
l|first(1)
l|slice(0)|list
[[]]|unique|list
{'a': 1}|unique('x', 'y', 'z')
strftime_now(5)
strftime_now()
*l
""".strip().split("\n")

WHOLE = r"""
{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}
====
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}
====
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for k, v in d|items %}{{ k }}{% endfor %}
====
{% for x in le %}a{% else %}none{% endfor %}{% for x in l if x > 1 %}{{ x }}{{ loop.length }}{{ loop.last }}{% else %}none{% endfor %}{% for x in l if x > 9 %}a{% else %}none{% endfor %}
====
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if loop.index == 3 %}{% break %}{% endif %}{% endfor %}
====
{% for x in l %}{% continue %}{% else %}else{% endfor %}{% for x in l %}{% break %}{% else %}else{% endfor %}
====
{% for a in [1,2] %}{% for b in [3,4] %}{{ a }}{{ b }}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}
====
{% for x in nest recursive %}{% if x is iterable and x is not string and x is not mapping %}[{{ loop(x) }}]{% else %}{{ x }}@{{ loop.depth }}{% endif %}{% if not loop.last %},{% endif %}{% endfor %}
====
{% for x in range(5) %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x // 2) }}{% endfor %}
====
{% for x in l|map('string') %}{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor %}{% for x in l|map('string') %}{{ loop.nextitem }}{{ loop.revindex }} {% endfor %}
====
{% for (a, (b, c)) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for a, b in ['xy', 'zw'] if a != 'x' %}{{ a }}{{ b }}{{ loop.index }}{% endfor %}
====
{% for x in l recursive %}{% if loop.depth < 3 %}{{ loop([x]) }}{% endif %}{{ x }}{% else %}E{% endfor %}
====
{% set x = 5 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}
====
{% set ns = namespace(n=0, list=[]) %}{% for i in l %}{% set ns.n = ns.n + i %}{% set ns.list = ns.list + [i] %}{% endfor %}{{ ns.n }}{{ ns.list }}{{ ns }}{{ ns['n'] }}{{ ns.zz }}
====
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d2) = 'xy' %}{{ c }}{{ d2 }}{% set t = 1, 2 %}{{ t }}
====
{% set x %}a{{ i }}b{% endset %}[{{ x }}]{% set y | upper | replace('B', 'c') %}abc{% endset %}{{ y }}{% set z | length %}abc{% endset %}{{ z + 1 }}
====
{% macro m(a, b='x', c=none) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 2) }} {{ m(c=3, a=1) }} {{ m() }} {{ m.name }} {{ m.arguments }} {{ m }} {{ m.catch_kwargs }}
====
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}{{ m() }}{{ m(k=1) }}
====
{% macro m(a, b=a ~ '!') %}{{ b }}{% endmacro %}{{ m('x') }}{% macro q(a=b, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ q() }}{{ q(1) }}
====
{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) m(5) %}{{ y }}{{ i }}{% endcall %}{% macro n2() %}{{ caller is defined }}{{ caller }}{% endmacro %}{{ n2() }}{% call n2() %}z{% endcall %}
====
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
====
{% macro m() %}{{ x2 }}{% endmacro %}{% set x2 = 1 %}{{ m() }}{% set x2 = 2 %}{{ m() }}
====
{% filter upper %}abc{{ s }}{% endfilter %}{% filter replace('a', 'b') | upper %}aaa{% endfilter %}
====
{% with a=1, b=2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}{% set a = 5 %}{% with a=a+1 %}{{ a }}{% set a = 9 %}{{ a }}{% endwith %}{{ a }}{% with %}x{% endwith %}
====
{% if t %}a{% elif f %}b{% else %}c{% endif %}{% if f %}a{% elif t %}b{% else %}c{% endif %}{% if f %}a{% elif f %}b{% else %}c{% endif %}{% if f %}a{% endif %}
====
a{# comment #}b{#- comment -#}  c {#+ x +#} d
  {# line #}
e
====
  {% if t %}
  x
    {%- if t %}  y  {%- endif %}
  {% endif %}
z {{- i -}}  w {{+ i }}
====
{%- if t -%}   a   {%- endif -%}
   b {%+ if t %} c {%+ endif +%}
d
====
{% raw %}{{ x }}{% if %}{% endraw %}{%- raw -%}  {{ y }}  {%- endraw -%}  z
====
x
{% raw %}
 y
 {% endraw %}
z
====
{% generation %}abc{% endgeneration %}x{% for m in ls %}{{ m }}{% generation %}é{{ m }}{% endgeneration %}{% endfor %}
====
{% macro m() %}a{% generation %}b{% endgeneration %}c{% endmacro %}x{{ m() }}y{% set q %}z{% generation %}w{% endgeneration %}{% endset %}{{ q }}
====
{% generation %}a{% set leak = 1 %}{% generation %}b{% endgeneration %}{% endgeneration %}{{ leak is defined }}
====
{%- generation -%} x {%- endgeneration -%} y
====
{% set j = joiner(', ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}{{ c.pos }}{{ c.items }}{{ j.used }}{{ j.sep }}
====
{% for x in l %}{% if x == 3 %}{% set y9 = 1 %}{% endif %}{{ y9 is defined }}{% endfor %}{% if t %}{% set q9 = 3 %}{% endif %}{{ q9 }}{% if f %}{% set i = 99 %}{% endif %}{{ i }}
====
{{ late }}{% set late = 1 %}{{ late }}{% for x in [1] %}{{ late }}{% endfor %}
====
{% for x in [1] %}{{ i }}{% endfor %}{{ i }}{% set i = 1 %}{{ i }}
====
{% for x in l %}{% set i = i + x %}{{ i }} {% endfor %}{{ i }}
====
{% macro m() %}{% set i = i + 1 %}{{ i }}{% endmacro %}{{ m() }}{{ m() }}{{ i }}
====
{% print i, s %}{% print 'x' %}{% print %}
====
{% for x in 'abc' %}{{ x }}{{ loop.nextitem }}{% endfor %}{% for x in {'a': 1}.items() %}{{ x }}{% endfor %}{% for x in (1,2) %}{{ x }}{% endfor %}{% for x in undefd %}a{% else %}b{% endfor %}
====
{% for a in 1, 2 %}{{ a }}{% endfor %}{% for a in (1, 2) if a > 1 %}{{ a }}{% endfor %}{{ 1, 2 }}
====
{% set ns = namespace(a=1) %}{% set ns.b %}x{% endset %}{{ ns.b }}{% set ns.a = [ns.a] %}{{ ns.a }}
====
{% set d9 = {'a': 1} %}{% set d9 = dict(d9, **{'b': 2}) %}{{ d9 }}{% set _ = d9.get('a') %}{{ _ }}
====
{% if users is defined and users|length > 1 and users[0]['name'] == 'bob' %}y{% endif %}{{ users[0].tags | join(', ') if users[0].tags else 'none' }}
====
{% set m = {'role': 'user'} %}{{ '<|' + m.role + '|>' ~ '\n' }}{{- '  x' | trim }}
====
{{ f(1) if false else 'ok' }}{{ 'a' | nosuch if false else 'b' }}{% if false %}{{ 'a' | nosuch }}{{ 1 is nosuch }}{% endif %}
====
a
b
{%- set x = 1 -%}
c
{%+ set x = 1 +%}
d
====
	{% if t %}x{% endif %}	
  {{ i }}
	{# c #}y
====
{% for x in l %}
  {{ x }}
{% endfor %}
{% for x in l -%}
  {{ x }}
{%- endfor %}
====
{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }}{% endfor %}|{% endfor %}
====
{% for x in l %}{% set v %}a{% if x == 1 %}{% continue %}{% endif %}b{% endset %}{{ v }}{% endfor %}
====
{% for x in l %}{% filter upper %}a{% if x == 2 %}{% break %}{% endif %}b{% endfilter %}{% endfor %}
====
{% set ns = namespace(x=2) %}{% for v in [1, 2, 3] if v != ns.x %}{{ v }}{% set ns.x = 3 %}{% endfor %}
====
{% macro outer() %}{% macro inner(x) %}[{{ x }}{{ i }}]{% endmacro %}{{ inner(1) }}{{ inner(2) }}{% endmacro %}{{ outer() }}
====
{% for x in l %}{% macro mm() %}{{ x }}{{ loop.index }}{% endmacro %}{{ mm() }}{% endfor %}
====
{% call(a, b=2) joiner %}{% endcall %}
====
{{ [1,2,3]|map('string')|list ~ ('a','b')|map('upper')|join }}{{ (l|map('string'))|first }}{{ users|map(attribute='name')|select('equalto', 'bob')|list|length }}
====
{{ "a\
b" }}{{ 'x
y' }}
====
{%if t%}a{%endif%}{%-if t-%} b {%-endif-%} {{i}}{{-i-}}{{ i}}
====
{{ '{{' }}{{ '}}' }}{{ '{%' }} { { } } %} }} #}
====
{% set x = [] %}{% for m in users %}{% set x = x + [m.name] %}{% endfor %}{{ x }}{% set ns = namespace(x=[]) %}{% for m in users %}{% set ns.x = ns.x + [m.name] %}{% endfor %}{{ ns.x }}
====
{% macro p(v, depth=0) %}{% if v is mapping %}{% for k, w in v|dictsort %}{{ '  ' * depth }}{{ k }}: {{ p(w, depth + 1) }}
{% endfor %}{% elif v is iterable and v is not string %}{% for w in v %}{{ p(w, depth + 1) }}{% endfor %}{% else %}{{ v }}{% endif %}{% endmacro %}{{ p(deep) }}
====
{% for x in l %}{% with y = x %}{{ y }}{% if x == 1 %}{% break %}{% endif %}{% endwith %}{% endfor %}
====
{{ loop }}{% for loop2 in l %}{{ loop.index }}{% endfor %}
====
{% set loop = 3 %}{{ loop }}{% for x in l %}{{ loop.index }}{% endfor %}{{ loop }}
====
{% set x = 1 %}{% if t %}{% set x = 2 %}{% for q in l %}{% set x = 3 %}{% endfor %}{{ x }}{% endif %}{{ x }}
====
{% set a = 1 %}{% macro m() %}{{ a }}{% if f %}{% set a = 2 %}{% endif %}{{ a }}{% endmacro %}{{ m() }}
====
line1

line3


====
{{ undefd }}{{ undefd.x }}
====
{% for x in 5 %}{% endfor %}
====
{% set a, b = [1] %}
====
{% set a, b = [1, 2, 3] %}
====
{% set x.y = 1 %}
====
{% set l.y = 1 %}
====
{% set ns = namespace() %}{% set ns._x = 1 %}
====
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
====
{% macro m(a) %}{% endmacro %}{{ m(b=2) }}
====
{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}
====
{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}
====
{% macro m() %}{% endmacro %}{% call m() %}{% endcall %}
====
{% for x in l %}{{ loop(x) }}{% endfor %}
====
{% filter length %}abc{% endfilter %}
====
{% break %}
====
{% for x in l %}{% macro q() %}{% break %}{% endmacro %}{% endfor %}
====
{% for x in l %}{% set loop = 1 %}{% endfor %}
====
{% for loop in l %}{% endfor %}
====
{% set 5 = 1 %}
====
{% set 'a' = 1 %}
====
{% if %}{% endif %}
====
{% if t %}
====
{% endif %}
====
{% else %}
====
{% for x in l %}{% endif %}
====
{% for x %}{% endfor %}
====
{% foo %}
====
{% do x %}
====
{{ }}
====
{{ x
====
{{ x }
====
{% if t }}{% endif %}
====
{{ (1 }}
====
{{ 1) }}
====
{{ [1, }}
====
{{ {'a' } }}
====
{{ 'abc }}
====
{{ a b }}
====
{{ a.  }}
====
{{ a. }}
====
{{ a.'x' }}
====
{{ a|  }}
====
{{ a is }}
====
{{ a is defined is none }}
====
{{ 1 + }}
====
{{ f(a=1, 2) }}
====
{{ f(**d, a=1) }}
====
{{ f(a=1, a=2) }}
====
{{ @ }}
====
{{ a ! b }}
====
{{ '\x4' }}
====
{# unclosed
====
{% raw %} unclosed
====
{% macro m(a=1, b) %}{% endmacro %}
====
{% macro m(a, a) %}{% endmacro %}
====
{% call 5 %}{% endcall %}
====
{% set x %}{% endfor %}
====
{% generation %}
====
{{ a if }}
====
{{ 010 }}
====
{{ 1a }}
====
{{ not }}
====
{% set true = 1 %}
====
{% for none in l %}{% endfor %}
====
{% set x = 1 %}{%- set y = 2 +%}
 {{ x }}
====
{% endraw %}
====
{%- %}
====
{{ l[1:2:1] }}{{ l[:] }}{{ l[::] }}{{ l[1::2] }}
====
{{ f(*l) }}{{ range(*[1, 3])|list }}{{ dict(**{'a': 1}) }}
====
{{ a.b|c.d }}
====
{{ x is a.b }}
""".strip("\n").split("\n====\n")


def cases():
    """All (template, variables)."""
    for line in EXPRESSIONS:
        yield "{{ [" + line + "] }}", VALUES
        yield "{{ " + line + " }}", VALUES
    for line in RAISE:
        yield "{{ " + line + " }}", VALUES
        yield "{% set q = " + line + " %}", VALUES
    for template in WHOLE:
        yield template, VALUES
        yield template.replace("\n", "\r\n") + "\n", VALUES


def main():
    """Writes the templates into a folder, as seeds for the fuzzer."""
    for i, (template, _) in enumerate(cases()):
        with open(os.path.join(sys.argv[1], f"{i}.jinja"), "w", encoding="utf-8", newline="") as f:
            f.write(template)


if __name__ == "__main__":
    main()
