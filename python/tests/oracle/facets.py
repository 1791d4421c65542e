"""What random programs share, and what their threads do with it.

A facet has definitions for the module, lines that make the shared object, statements, and an expression for its final state. In a statement,
`N` is a small number, and `see(…)` notes what a thread observed in a list of its own.
"""

from typing import NamedTuple


class Facet(NamedTuple):
    name: str
    setup: str
    statements: str
    state: str
    definitions: str = ""

    def lines(self):
        return [line.strip() for line in self.statements.splitlines() if line.strip()]


ON_ATTRIBUTES = """
o.a += 1
o.a = N
o.b = o.a
o.a = o.b + N
see(o.a)
see((o.a, o.b))
setattr(o, "a", getattr(o, "b") + 1)
setattr(o, "b", N)
see(getattr(o, "b", None))
see(hasattr(o, "b"))
o.a, o.b = o.b, o.a
if o.a == 0: o.b = N
if not o.a: o.a = N
o.a -= o.b
see(o.a < o.b)
see(f"{o.a}")
o.double()
see(o.total())
object.__setattr__(o, "a", N)
"""

WITH_DICT = """
vars(o)["a"] = N
o.__dict__["b"] += 1
see(o.__dict__.get("a"))
o.c = N
see(getattr(o, "c", None))
see("c" in vars(o))
see(len(vars(o)))
see(list(vars(o)))
o.__dict__.update(a=N, b=N)
o.__dict__.setdefault("c", N)
o.__dict__.pop("c", None)
del o.b
delattr(o, "b")
see(sorted(vars(o).items()))
see([name for name in o.__dict__])
o.c = getattr(o, "c", 0) + 1
"""

METHODS = """
    def double(self):
        self.a = self.a * 2

    def total(self):
        return self.a + self.b
"""

LIST = """
l.append(N)
l[0] += 1
l[0] = l[1]
l[N % 2] = N
see(l[0])
see(l[-1])
see(len(l))
see(l[:])
see(l[1:])
see(list(l))
see(tuple(l))
see([*l])
see(sum(l))
see(max(l))
see(min(l, default=None))
see(sorted(l))
see(any(l))
see(bool(l))
see(N in l)
see(l == [0, 1])
see(l < [0, 2])
see([x * 2 for x in l])
see(l.index(1))
see(l.count(N))
see(str(l))
see("".join(map(str, l)))
for x in l: see(x)
for x in reversed(l): see(x)
for i, x in enumerate(l): l[i] = x + N
a, *b = l; see((a, b))
a, b = l; see(a - b)
if l: l.pop()
l.pop()
l.pop(0)
l.insert(0, N)
l.remove(1)
l.extend((N, N))
l.extend(l)
l += [N]
l[:] = [N]
l[0:1] = [N, N]
del l[0]
del l[:1]
l.clear()
l.reverse()
l.sort()
l.sort(key=lambda x: -x)
l.sort(reverse=True)
see(l.copy())
l[0], l[1] = l[1], l[0]
see((lambda *a: len(a))(*l))
heapq.heappush(l, N)
see(heapq.heappop(l))
bisect.insort(l, N)
see(bisect.bisect(l, N))
see(copy.copy(l))
see(l + [N])
see(l * 2)
see(list(map(abs, l)))
see(list(filter(None, l)))
see(list(zip(l, l)))
see(functools.reduce(operator.add, l, 0))
see(operator.itemgetter(0)(l))
see(list(itertools.islice(l, 1)))
see(list(itertools.accumulate(l)))
see(next(iter(l), None))
see(sum(x for x in l))
see(set(l))
see(dict.fromkeys(l))
"""

DICT = """
d["a"] += 1
d["a"] = N
d["b"] = d["a"]
d["c"] = N
see(d["a"])
see(d.get("c"))
see(d.get("c", N))
see("c" in d)
see("a" not in d)
see(len(d))
see(list(d))
see(list(d.items()))
see(tuple(d.values()))
see(sum(d.values()))
see({**d})
see(dict(d))
see(d == {"a": 0, "b": 1})
see(bool(d))
see(str(d))
see(sorted(d))
see(max(d, key=d.get))
see(next(iter(d)))
see(next(reversed(d)))
see([k for k, v in d.items() if v])
see({k: v for k, v in d.items()})
for k in d: see(k)
for k, v in d.items(): see(v)
for k in list(d): d[k] += 1
if "c" not in d: d["c"] = N
if "b" in d: del d["b"]
del d["b"]
d.pop("b")
see(d.pop("b", None))
see(d.popitem())
d.setdefault("c", N)
see(d.setdefault("c", N))
d.update(a=N)
d.update({"c": N, "b": N})
d.update(d)
d |= {"c": N}
d.clear()
d[N] = N
see(d.get(N))
d[(1, N)] = 1
see((1, 2) in d)
see(d.keys() & {"a", "c"})
see(d.keys() == {"a", "b"})
see((lambda **k: sorted(k))(**d))
see(copy.copy(d))
see(d | {"z": 1})
d["a"], d["b"] = d["b"], d["a"]
d["c"] = d.get("c", 0) + 1
d["l"] = []; d["l"].append(N)
see(len(d.keys()))
see(operator.itemgetter("a")(d))
operator.setitem(d, "a", N)
see(list(d) == ["a", "b"])
"""

SET = """
s.add(N)
s.add(5)
s.discard(1)
s.remove(1)
see(s.pop())
s.clear()
see(N in s)
see(5 not in s)
see(len(s))
see(bool(s))
see(sorted(s))
see(s == {1, 2})
see(s <= {1, 2, 3})
see(s | {7})
see(s & {1, 5})
see(s.issuperset({1}))
see(s.isdisjoint({5}))
s |= {N, 6}
s -= {1}
s ^= {2, 5}
s.update([N, 8])
s.difference_update([1])
s.intersection_update([1, N])
see(frozenset(s))
see(s.copy())
see(max(s, default=None))
for x in s: see(x)
if 5 not in s: s.add(5)
if s: s.pop()
see({x for x in s})
see([*s])
"""

DEQUE = """
q.append(N)
q.appendleft(N)
see(q.pop())
see(q.popleft())
q.rotate(1)
q.extend((N, N))
q.extendleft([N])
q.remove(1)
q.clear()
q[0] += 1
q[0] = N
del q[0]
see(q[0])
see(q[-1])
see(len(q))
see(bool(q))
see(list(q))
see(N in q)
see(q.count(N))
see(q == collections.deque([0, 1]))
see(sum(q))
q.reverse()
q.insert(0, N)
if q: q.popleft()
for x in q: see(x)
see(q.copy())
see([*q])
"""

ITERATOR = """
see(next(i))
see(next(i, None))
for x in i: see(x)
see(list(i))
see(tuple(itertools.islice(i, 1)))
see(N in i)
see([*itertools.islice(i, 2)])
a = next(i, None); b = next(i, None); see((a, b))
see(next(zip(i, "x"), None))
see(sum(itertools.islice(map(hash, i), 1)))
"""

FACETS = [
    Facet("plain attributes", "o = Plain()", ON_ATTRIBUTES + WITH_DICT, "vars(o)", f"""
class Plain:
    def __init__(self):
        self.a = 0
        self.b = 1
{METHODS}"""),
    Facet("attributes with defaults in the class", "o = Defaults()", ON_ATTRIBUTES + WITH_DICT + """
Defaults.a = N
see(Defaults.a)
del o.a
type(o).a += 1
see("a" in vars(o))
""", "(vars(o), Defaults.a, Defaults.b)", f"""
class Defaults:
    a = 0
    b = 1

    def __init__(self):
        type(self).a, type(self).b = 0, 1
{METHODS}"""),
    Facet("dataclass", "o = Data()", ON_ATTRIBUTES + WITH_DICT + """
see(o == Data())
see(repr(o))
see(o < Data(1, 0))
see(dataclasses.astuple(o))
see(dataclasses.replace(o, a=N))
o.__init__(N)
o.items.append(N)
see(o.items == [])
""", "(o.__dict__)", f"""
@dataclasses.dataclass(order=True)
class Data:
    a: int = 0
    b: int = 1
    items: list = dataclasses.field(default_factory=list)
{METHODS}"""),
    Facet("slots", "o = Slots()", ON_ATTRIBUTES + """
del o.b
see(Slots.a.__get__(o))
Slots.a.__set__(o, N)
""", "(getattr(o, 'a', None), getattr(o, 'b', None))", f"""
class Slots:
    __slots__ = "a", "b"

    def __init__(self):
        self.a = 0
        self.b = 1
{METHODS}"""),
    Facet("properties", "o = Properties()", ON_ATTRIBUTES + """
o._a += 1
see(o._a)
o._a = N
""", "vars(o)", f"""
class Properties:
    def __init__(self):
        self._a = 0
        self.b = 1

    @property
    def a(self):
        return self._a

    @a.setter
    def a(self, value):
        self._a = value
{METHODS}"""),
    Facet("descriptors", "o = Described()", ON_ATTRIBUTES + """
see(o.a)
Described.a.values["o"] = N
""", "(o.a, o.b)", f"""
class Descriptor:
    def __init__(self):
        self.values = {{}}

    def __get__(self, instance, owner=None):
        return self if instance is None else self.values.get(instance.key, 0)

    def __set__(self, instance, value):
        self.values[instance.key] = value


class Described:
    key = "o"
    a = Descriptor()

    def __init__(self):
        self.a = 0
        self.b = 1
{METHODS}"""),
    Facet("proxy", "t = Plain2(); o = Proxy(t)", ON_ATTRIBUTES.replace("object.__setattr__(o,", "object.__setattr__(t,") + """
t.a += 1
see(t.b)
t.b = N
""", "vars(t)", f"""
class Plain2:
    a = 0

    def __init__(self):
        self.b = 1


class Proxy:
    def __init__(self, target):
        self.__dict__["target"] = target

    def __getattr__(self, name):
        return getattr(self.target, name)

    def __setattr__(self, name, value):
        setattr(self.target, name, value)
{METHODS}"""),
    Facet("namespace", "o = types.SimpleNamespace(a=0, b=1)", """
o.a += 1
o.a = N
o.b = o.a
see(o.a)
see(o == types.SimpleNamespace(a=0, b=1))
see(repr(o))
o.__dict__["a"] = N
o.c = N
del o.b
see(sorted(vars(o)))
setattr(o, "b", N)
""", "o"),
    Facet("class attributes", "K.x = 0; K.y = []; k = K(); m = Derived()", """
K.x += 1
K.x = N
see(K.x)
see(k.x)
see(m.x)
see(Derived.x)
type(k).x = N
k.bump()
m.bump()
K.total()
setattr(K, "x", N)
see(getattr(m, "x"))
k.x = N
K.y.append(N)
see(k.y)
m.y = [N]
see(m.y)
see(len(Derived.y))
see("x" in vars(k))
see(vars(K)["x"])
""", "(K.x, K.y, vars(k), vars(m))", """
class K:
    x = 0
    y = []

    def bump(self):
        type(self).x = self.x + 1

    @classmethod
    def total(cls):
        cls.x += 2


class Derived(K):
    def bump(self):
        K.x = self.x + 1
"""),
    Facet("globals", "global g, h; g = 0; h = 1", """
g += 1
g = N
h = g
see(g)
see((g, h))
globals()["g"] = N
see(globals()["h"])
see(globals().get("g"))
bump_g()
see(read_g())
exec("g = g + 1", globals())
see(eval("g + h", globals()))
if g == 0: h = N
""", "(g, h)", """
g = h = 0


def bump_g():
    global g
    g = g + 1


def read_g():
    return g
"""),
    Facet("closures", "n = 0\nm = make_counter()", """
n += 1
n = N
see(n)
see(m())
m()
n = m()
see((lambda: n)())
see([n for _ in "x"])
see(m.__closure__[0].cell_contents)
m.__closure__[0].cell_contents = N
""", "(n, m())", """
def make_counter():
    count = 0

    def increment():
        nonlocal count
        count += 1
        return count

    return increment
"""),
    Facet("list", "l = [0, 1]", LIST, "l"),
    Facet("subclass of list", "l = L([0, 1])", LIST + """
see(l.first)
l.first = N
""", "(l, vars(l))", """
class L(list):
    first = 0
"""),
    Facet("dict", 'd = {"a": 0, "b": 1}', DICT, "d"),
    Facet("subclass of dict", 'd = D({"a": 0, "b": 1})', DICT, "d", """
class D(dict):
    def __missing__(self, key):
        self[key] = 0
        return 0
"""),
    Facet("OrderedDict", 'd = collections.OrderedDict({"a": 0, "b": 1})', DICT + """
d.move_to_end("a")
d.move_to_end("b", last=False)
see(d.popitem(last=False))
""", "d"),
    Facet("defaultdict", 'd = collections.defaultdict(int, {"a": 0, "b": 1})', DICT + """
d["x"] += 1
see(d["y"])
""", "dict(d)"),
    Facet("Counter", 'd = collections.Counter({"a": 0, "b": 1})', DICT.replace("(1, N)", '"zz"').replace('d["l"] = []; d["l"].append(N)', 'd["x"] += 1') + """
d.update("ab")
see(d.most_common(1))
d.subtract("a")
see(d.total())
""", "dict(d)"),
    Facet("UserDict", 'd = collections.UserDict({"a": 0, "b": 1})', DICT, "d.data"),
    Facet("ChainMap", 'e = {"a": 0}; d = collections.ChainMap(e, {"b": 1})', """
d["a"] += 1
d["b"] = N
see(d["b"])
e["b"] = N
see(dict(d))
see(len(d))
see("c" in d)
e["c"] = N
d.pop("a")
see(list(d))
""", "d.maps"),
    Facet("set", "s = {1, 2}", SET, "sorted(s)"),
    Facet("deque", "q = collections.deque([0, 1])", DEQUE, "q"),
    Facet("deque of a maximal length", "q = collections.deque([0, 1], maxlen=2)", DEQUE, "q"),
    Facet("bytearray", 'y = bytearray(b"ab")', """
y[0] += 1
y.append(N)
y.extend(b"xy")
see(bytes(y))
see(len(y))
see(y[0])
y[:1] = b"zz"
y.clear()
see(y == b"ab")
y += b"!"
see(y.find(b"b"))
del y[0]
see(y.pop())
for x in y: see(x)
""", "y"),
    Facet("iterator of a list", "z = [1, 2, 3]; i = iter(z)", ITERATOR + "z.append(N)\nz.pop()\n", "list(i)"),
    Facet("iterator of a dict", "z = {1: 1, 2: 2}; i = iter(z)", ITERATOR + "z[N] = 0\nz[9] = 1\nz.pop(1, None)\n", "len(z)"),
    Facet("iterator of a dict's items", "z = {1: 1, 2: 2}; i = iter(z.items())", ITERATOR + "z[1] = N\nz[2] += 1\nz[9] = 1\n", "z"),
    Facet("iterator of a set", "z = {1, 2}; i = iter(z)", ITERATOR + "z.add(9)\nz.discard(1)\n", "len(z)"),
    Facet("enumerate", "z = [4, 5]; i = enumerate(z)", ITERATOR + "z.append(N)\nz[1] = N\n", "list(i)"),
    Facet("zip", "z = [4, 5]; w = iter((1, 2, 3)); i = zip(z, w)", ITERATOR + "z.append(N)\nsee(next(w, None))\n", "list(w)"),
    Facet("map", "z = iter([1, 2, 3]); i = map(abs, z)", ITERATOR + "see(next(z, None))\n", "list(z)"),
    Facet("filter", "z = [1, 2, 0]; i = filter(lambda x: x, z)", ITERATOR + "z.append(N)\n", "list(i)"),
    Facet("count", "i = itertools.count()", "see(next(i))\nnext(i)\nsee((next(i), next(i)))\nsee(next(zip(i, 'a')))\nsee(repr(i))\nsee(i.__next__())\n", "next(i)"),
    Facet("chain", "z = [1]; i = itertools.chain(z, (7, 8))", ITERATOR + "z.append(N)\n", "list(i)"),
    Facet("tee", "i, j = itertools.tee(iter([1, 2, 3]))", ITERATOR + "see(next(j, None))\nsee(list(j))\n", "(list(i), list(j))"),
    Facet("generator", "z = [1, 2, 3]; i = generate(z)", ITERATOR + "z.append(N)\nz[2] = N\ni.close()\nsee(i.send(None))\n", "list(i)", """
def generate(items):
    for item in items:
        yield item * 2
"""),
    Facet("generator of a class", "w = Walk(); i = iter(w)", ITERATOR + "w.n = N\nw.n += 1\nsee(w.n)\n", "w.n", """
class Walk:
    n = 2

    def __iter__(self):
        while self.n > 0:
            self.n -= 1
            yield self.n
"""),
    Facet("iterator of a class", "i = Countdown(2)", ITERATOR + "i.n = N\nsee(i.n)\n", "i.n", """
class Countdown:
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return self

    def __next__(self):
        if self.n <= 0:
            raise StopIteration
        self.n -= 1
        return self.n
"""),
    Facet("views", 'z = {"a": 1}; k = z.keys(); v = z.values()', """
see(len(k))
see(list(k))
see(sum(v))
see("b" in k)
z["b"] = N
z["a"] += 1
z.pop("a", None)
see(k == {"a"})
see(k | {"x"})
for x in v: see(x)
see(max(v, default=0))
see(repr(k))
""", "z"),
    Facet("memory view", 'z = bytearray(b"ab"); m = memoryview(z)', """
m[0] = N
see(m[0])
z[0] += 1
see(bytes(m))
see(m == b"ab")
see(m.tolist())
see(sum(m))
m[:] = b"xy"
""", "bytes(m)"),
    Facet("array", 'y = array.array("i", [0, 1])', """
y[0] += 1
y.append(N)
see(y[0])
see(len(y))
see(sum(y))
see(y.tolist())
y.pop()
y.extend([N])
see(N in y)
y.reverse()
for x in y: see(x)
see(y.tobytes()[0])
""", "y"),
    Facet("StringIO", 'f = io.StringIO("ab")', """
f.write("x")
f.write("y"); f.write("z")
see(f.getvalue())
see(f.read(1))
see(f.read())
f.seek(0)
f.seek(0, 2)
see(f.tell())
f.truncate(0)
print("p", file=f)
print("p", N, file=f)
see(f.readline())
f.writelines(["q", "r"])
""", "f.getvalue()"),
    Facet("comparisons of a class", "u = V(0, 1); w = V(1, 1)", """
see(u == w)
see(u < w)
see(u in [w])
see(max(u, w) is u)
see(bool(u))
see(len(u))
see(hash(u))
see(sorted([w, u])[0] is u)
u.x = N
u.y -= 1
w.x = 0
u.x, u.y = u.y, u.x
see({u: 1}.get(w))
see(u in {w})
see([w].index(u))
see(not u)
see(f"{u}")
see(u + w)
u += w
""", "(u.x, u.y, w.x, w.y)", """
class V:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return self.x == other.x and self.y == other.y

    def __lt__(self, other):
        return (self.x, self.y) < (other.x, other.y)

    def __gt__(self, other):
        return other < self

    def __hash__(self):
        return self.x + self.y

    def __bool__(self):
        return self.x != self.y

    def __len__(self):
        return abs(self.x)

    def __str__(self):
        return f"{self.x},{self.y}"

    def __add__(self, other):
        return self.x + other.x

    def __iadd__(self, other):
        self.x += other.x
        return self
"""),
    Facet("container of a class", "c = Pair()", """
c[0] += 1
c[1] = N
see(c[0])
see(1 in c)
see(len(c))
see(list(c))
a, b = c; see((a, b))
see(sum(c))
del c[0]
see([*c])
for x in c: see(x)
see(c())
with c: see(c.left)
""", "(c.left, c.right, c.depth)", """
class Pair:
    def __init__(self):
        self.left, self.right, self.depth = 0, 1, 0

    def __getitem__(self, index):
        if index > 1:
            raise IndexError
        return self.right if index else self.left

    def __setitem__(self, index, value):
        if index:
            self.right = value
        else:
            self.left = value

    def __delitem__(self, index):
        self.left, self.right = self.right, 0

    def __contains__(self, item):
        return item in (self.left, self.right)

    def __len__(self):
        return 2 if self.left else 1

    def __call__(self):
        self.left += 1
        return self.right

    def __enter__(self):
        self.depth += 1
        return self

    def __exit__(self, *exception):
        self.depth -= 1
"""),
    Facet("functools", "reset(); c = Cached()", """
see(load(1))
see(load(N))
load.cache_clear()
see(load.cache_info().hits)
see(c.value)
see(c.made)
see(show(N))
show.register(str, lambda x: "text")
see(show("x"))
counted()
see(counted.calls)
see(add_one(N))
see(functools.partial(operator.add, N)(1))
see(sorted([2, 1], key=functools.cmp_to_key(lambda a, b: a - b + c.made)))
del c.value
""", "(calls, vars(c), counted.calls)", """
calls = []


def reset():
    calls.clear()
    load.cache_clear()
    counted.calls = 0


@functools.lru_cache(maxsize=2)
def load(key):
    calls.append(key)
    return key


class Cached:
    made = 0

    @functools.cached_property
    def value(self):
        self.made += 1
        return self.made


@functools.singledispatch
def show(value):
    calls.append("show")
    return "any"


def counting(function):
    @functools.wraps(function)
    def wrapper(*args):
        wrapper.calls += 1
        return function(*args)

    wrapper.calls = 0
    return wrapper


@counting
def counted():
    return None


add_one = functools.partial(lambda a, b: calls.append(a) or a + b, 1)
"""),
    Facet("context managers", "depth = []; stack = []", """
with nested(depth): see(len(depth))
with contextlib.suppress(IndexError): depth.pop()
with contextlib.ExitStack() as x: x.callback(stack.append, N); see(len(stack))
with contextlib.closing(Closing(stack)): see(stack[-1:])
with contextlib.nullcontext(depth) as x: x.append(N)
depth.append(N)
see(list(depth))
stack.append(N)
""", "(depth, stack)", """
@contextlib.contextmanager
def nested(depth):
    depth.append("in")
    try:
        yield
    finally:
        depth.remove("in")


class Closing:
    def __init__(self, log):
        self.log = log

    def close(self):
        self.log.append("closed")
"""),
    Facet("weak references", "a = Node(); kept = [a]; r = weakref.ref(a); w = weakref.WeakValueDictionary(x=a); del a", """
kept.clear()
see(r() is None)
see("x" in w)
see(len(w))
see(w.get("x") is None)
see(len(kept))
if kept: kept[0].n += 1
see(w["x"].n)
see(r().n)
w.pop("x", None)
""", "len(kept)", """
class Node:
    n = 0
"""),
    Facet("nested containers", 'x = {"l": [1, 2], "d": {"k": [0]}}', """
x["l"].append(N)
x["l"] = [N]
x["d"]["k"][0] += 1
see(x["l"][0])
see(copy.deepcopy(x))
x["d"] = {"k": [N]}
see(str(x))
see(x == {"l": [1, 2], "d": {"k": [0]}})
x["d"]["j"] = x["l"]
see(sum(x["l"]))
see([*x["l"], *x["d"]])
x["l"], x["d"]["k"] = x["d"]["k"], x["l"]
x.setdefault("n", []).append(N)
see(json.dumps(x))
""", "x"),
]

SYNCHRONIZATION = [
    Facet("locks", "a = threading.Lock(); b = threading.Lock(); v = [0]", """
with a: v[0] += 1
with b: v[0] += 1
with a, b: v.append(N)
with b, a: v.append(N)
see(a.locked())
if a.acquire(False): v.append("got"); a.release()
if a.acquire(timeout=1): v[0] += 1; a.release()
see(a.acquire(blocking=False))
v[0] += 1
see(v[:])
a.acquire(); v[0] += 1; a.release()
""", "(v, a.locked())"),
    Facet("reentrant lock", "a = threading.RLock(); v = [0]", """
with a, a: v[0] += 1
with a: v.append(N)
see(a.acquire(blocking=False))
if a.acquire(timeout=1): v[0] += 1; a.release()
v[0] += 1
see(len(v))
""", "v"),
    Facet("semaphore", "a = threading.Semaphore(1); v = []", """
with a: v.append(N)
see(a.acquire(blocking=False))
see(a.acquire(timeout=1))
a.release()
a.release(2)
a.acquire(); v.append(0); a.release()
see(len(v))
""", "v"),
    Facet("event", "a = threading.Event(); v = []", """
a.set()
a.clear()
see(a.is_set())
see(a.wait(1))
v.append(N)
if a.is_set(): v.append("set")
see(list(v))
a.wait(); v.append("woken")
""", "(v, a.is_set())"),
    Facet("condition", "a = threading.Condition(); v = []", """
with a: v.append(N); a.notify()
with a: v.append(N); a.notify_all()
with a: see(a.wait(1)); see(len(v))
with a: see(a.wait_for(lambda: len(v) > 0, timeout=1))
with a: a.wait_for(lambda: v); see(len(v))
v.append(N)
see(len(v))
""", "v"),
    Facet("barrier", "a = threading.Barrier(2); v = []", """
a.wait(1); v.append(N)
see(a.n_waiting)
see(a.broken)
v.append(N)
a.abort()
see(len(v))
""", "v"),
    Facet("queue", "a = queue.Queue(2); v = []", """
a.put(N)
a.put(N, timeout=1)
a.put_nowait(N)
see(a.get_nowait())
see(a.get(timeout=1))
see(a.qsize())
see(a.empty())
see(a.full())
if not a.empty(): see(a.get())
see(a.get())
v.append(N)
a.task_done()
""", "(list(a.queue), v)"),
    Facet("other queues", "a = queue.LifoQueue(); b = queue.PriorityQueue(); c = queue.SimpleQueue()", """
a.put(N)
see(a.get_nowait())
b.put(N)
b.put((N, 1)) if False else b.put(1)
see(b.get(timeout=1))
see(b.qsize())
c.put(N)
see(c.get_nowait())
see(c.empty())
see(c.get(timeout=1))
see(a.empty())
""", "(a.qsize(), b.qsize(), c.qsize())"),
    Facet("pool", "e = ThreadPoolExecutor(1); v = []; fs = []", """
f = e.submit(v.append, N); see(f.result())
e.submit(v.append, N)
see(e.submit(len, v).result())
see(e.submit(len, v).done())
see(e.submit(v.pop).exception() is None)
e.submit(int, N).add_done_callback(lambda f: v.append(f.result()))
v.append(9)
see(list(e.map(abs, [N])))
see(e.submit(v.append, 7).cancel())
see(e.submit(len, v).result(timeout=1))
fs.append(e.submit(v.append, N))
see([f.cancelled() for f in fs])
see(bool(fs) and fs[0].running())
see(len(concurrent.futures.wait(fs).done))
see(len(concurrent.futures.wait(fs, return_when="FIRST_COMPLETED").done))
see(len(concurrent.futures.wait([e.submit(v.append, N), e.submit(int)], timeout=1).done))
see(sorted(fs.index(f) for f in concurrent.futures.as_completed(fs)))
see(e.submit(e.submit, v.append, N).result().done())
e.shutdown(wait=False)
e.shutdown(wait=False, cancel_futures=True)
""", "(e.shutdown(), v, [f.cancelled() for f in fs])"),
    Facet("times", "v = [0]", """
time.sleep(0.1); v[0] += 1
v.append(N)
see(len(v))
time.sleep(0.2); see(v[0])
t = threading.Timer(1, v.append, (N,)); t.start(); see(len(v)); t.join()
t = threading.Timer(1, v.append, (N,)); t.start(); t.cancel(); t.join()
t = threading.Thread(target=v.append, args=(N,)); t.start(); see(t.is_alive()); t.join()
t = threading.Thread(target=v.append, args=(N,)); t.start(); t.join(1); see(len(v)); t.join()
""", "v"),
    Facet("thread local", "a = threading.local(); v = []", """
a.x = N; see(a.x)
see(hasattr(a, "x"))
v.append(getattr(a, "x", None))
a.x = v; a.x.append(N)
see(len(v))
""", "v"),
]
