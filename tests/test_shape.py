"""The shape of the code: sizes, names, docstrings, and which file may import which.

Every guard takes parsed files and returns one readable line per violation; each is tried on a planted one.
"""

from __future__ import annotations

import ast
import graphlib
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

README = Path(__file__).parents[1] / "README.md"
"""Holds the map: a file imports from rooms above its own, and from its own without a cycle."""
FOLDERS = {"usersim_env": "", "wrappers": "wrappers.", "baselines": "baselines."}
"""Folder → where its files are in the package; the links inside usersim_env/ are not followed."""

OPTIONAL = set(
    "PIL backports cma datasets jinja2 litellm matplotlib openai openenv ray skyrl_gym starlette tau_bench tau_trait "
    "torch transformers trl uvicorn verifiers verl websockets zipfile".split()
)
"""Packages that a lean installation lacks: the only ones that may be imported inside a function."""

BANNED = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
PLAIN_BASES = set("ABC BaseModel Enum Exception Generic NamedTuple Protocol TypedDict object".split())
"""Bases outside the project that document none of the methods that a subclass adds."""

MAX_LINES, MAX_MEDIAN, MAX_FUNCTION, SHORT_FUNCTION, SHORT_SHARE, MAX_PARAMETERS = 350, 150, 60, 30, 0.9, 6

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One parsed file; `name` is its module without `usersim_env.`, and ends in `__init__` for a package."""

    path: str
    name: str
    lines: int
    tree: ast.Module


Guard: TypeAlias = Callable[[list[Source]], list[str]]


def read_sources(root: Path) -> list[Source]:
    found = []
    for folder, prefix in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            name = prefix + ".".join(path.relative_to(root / folder).with_suffix("").parts)
            found.append(Source(str(path.relative_to(root)), name, len(text.splitlines()), ast.parse(text)))
    return found


def functions(source: Source) -> Iterator[Function]:
    for node in ast.walk(source.tree):
        if isinstance(node, Function):
            yield node


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


# Sizes and names


def long_files(sources: list[Source]) -> list[str]:
    return [f"{s.path}: {s.lines} lines, at most {MAX_LINES}: split by subject" for s in sources if s.lines > MAX_LINES]


def long_median(sources: list[Source]) -> list[str]:
    median = statistics.median(s.lines for s in sources if s.lines)
    print(f"median file: {median} lines (aim: 120)")
    return [f"median file: {median} lines, at most {MAX_MEDIAN}"] if median > MAX_MEDIAN else []


def long_functions(sources: list[Source]) -> list[str]:
    return [
        f"{s.path}:{f.lineno}: {f.name} has {length(f)} lines, at most {MAX_FUNCTION}"
        for s in sources
        for f in functions(s)
        if length(f) > MAX_FUNCTION
    ]


def too_few_short_functions(sources: list[Source]) -> list[str]:
    every = [(length(f), f"{s.path}:{f.lineno}: {f.name}") for s in sources for f in functions(s)]
    long = sorted((item for item in every if item[0] >= SHORT_FUNCTION), reverse=True)
    if len(every) - len(long) >= SHORT_SHARE * len(every):
        return []
    head = f"{len(long)} of {len(every)} functions have {SHORT_FUNCTION} lines or more, at most one in ten may"
    return [head, *(f"  {lines} {where}" for lines, where in long)]


def many_parameters(sources: list[Source]) -> list[str]:
    problems = []
    for source in sources:
        for function in functions(source):
            a = function.args
            names = [p.arg for p in (*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg) if p is not None]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            if count > MAX_PARAMETERS:
                where = f"{source.path}:{function.lineno}: {function.name}"
                problems.append(f"{where} has {count} parameters, at most {MAX_PARAMETERS}: use a frozen dataclass")
    return problems


def banned_names(sources: list[Source]) -> list[str]:
    return [
        f"{s.path}: the name says nothing; name it after its subject"
        for s in sources
        if BANNED & set(s.name.replace("_", ".").split("."))
    ]


# Docstrings


def public_members(node: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    for child in node.body:
        if isinstance(child, Function | ast.ClassDef) and not child.name.startswith("_"):
            yield child


def is_variant(function: Function) -> bool:
    """An overload or a setter: the documentation stands at its sibling."""
    names = {d.attr if isinstance(d, ast.Attribute) else getattr(d, "id", "") for d in function.decorator_list}
    return bool(names & {"overload", "setter", "override"})


def inherits_documentation(owner: ast.ClassDef, method: str, classes: dict[str, ast.ClassDef]) -> bool:
    for base in owner.bases:
        name = ast.unparse(base).split("[")[0].split(".")[-1]
        if name in PLAIN_BASES or name == owner.name:
            continue
        if name not in classes:
            return True
        documented = (m.name for m in public_members(classes[name]) if ast.get_docstring(m))
        if method in documented or inherits_documentation(classes[name], method, classes):
            return True
    return False


def undocumented(sources: list[Source]) -> list[str]:
    classes = {n.name: n for s in sources for n in ast.walk(s.tree) if isinstance(n, ast.ClassDef)}
    problems = []
    for source in sources:
        if not ast.get_docstring(source.tree):
            problems.append(f"{source.path}: the module has no docstring")
        for member in public_members(source.tree):
            if not ast.get_docstring(member):
                problems.append(f"{source.path}:{member.lineno}: {member.name} has no docstring")
            for method in public_members(member) if isinstance(member, ast.ClassDef) else ():
                if ast.get_docstring(method) or (isinstance(method, Function) and is_variant(method)):
                    continue
                assert isinstance(member, ast.ClassDef)
                if not inherits_documentation(member, method.name, classes):
                    problems.append(f"{source.path}:{method.lineno}: {member.name}.{method.name} has no docstring")
    return problems


# Imports


def imported(node: ast.AST) -> list[str]:
    """The dotted names that a statement imports; `from a import b` gives `a.b`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
    return []


def resolve(dotted: str, names: set[str]) -> str | None:
    """The project's file behind a dotted name, or None if it comes from elsewhere."""
    parts = dotted.split(".")
    if parts[0] != "usersim_env":
        return None
    for name in (".".join(parts[1:]), ".".join(parts[1:-1])):
        for candidate in (name, f"{name}.__init__".lstrip(".")):
            if candidate in names:
                return candidate
    return None


def edges(sources: list[Source]) -> Iterator[tuple[Source, int, str]]:
    """Importing file, line, imported file."""
    names = {s.name for s in sources}
    for source in sources:
        for node in ast.walk(source.tree):
            for target in {resolve(dotted, names) for dotted in imported(node)} - {None, source.name}:
                assert isinstance(node, ast.stmt) and target is not None
                yield source, node.lineno, target


@cache
def rooms() -> list[str]:
    """The rooms in the order of the map in the README: each imports from those before it."""
    tree = README.read_text(encoding="utf-8").split("```\nusersim_env/\n")[1].split("\ntests/")[0]
    found = [re.split(r" {2,}", line.strip())[0] for line in tree.splitlines()]
    return [name.rstrip("/") for names in found for name in names.split(", ")]


def room(name: str) -> str:
    return name.split(".")[0]


def rank(name: str) -> int | None:
    return rooms().index(room(name)) if room(name) in rooms() else None


def imports_from_below(sources: list[Source]) -> list[str]:
    problems = [
        f"{s.path}: not placed: give the room {room(s.name)} a line in README.md, 'Where things live'"
        for s in sources
        if rank(s.name) is None
    ]
    for source, line, target in edges(sources):
        here, there = rank(source.name), rank(target)
        if here is not None and there is not None and there > here:
            problems.append(f"{source.path}:{line}: imports {target}, which stands below it in the README's map")
    return problems


def import_cycles(sources: list[Source]) -> list[str]:
    graph: dict[str, set[str]] = {s.name: set() for s in sources}
    for source, _, target in edges(sources):
        graph[source.name].add(target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [f"import cycle: {' <- '.join(error.args[1])}"]
    return []


def local_imports(sources: list[Source]) -> list[str]:
    problems = set()
    for source in sources:
        for function in functions(source):
            for node in ast.walk(function):
                for dotted in imported(node):
                    if dotted.split(".")[0] not in OPTIONAL:
                        assert isinstance(node, ast.stmt)
                        problems.add(f"{source.path}:{node.lineno}: imports {dotted} inside a function")
    return sorted(problems)


GUARDS: list[Guard] = [
    long_files,
    long_median,
    long_functions,
    too_few_short_functions,
    many_parameters,
    banned_names,
    undocumented,
    imports_from_below,
    import_cycles,
    local_imports,
]


@pytest.mark.parametrize("guard", GUARDS)
def test_the_packages_keep_their_shape(guard: Guard, root: Path) -> None:
    problems = guard(read_sources(root))
    assert not problems, "\n" + "\n".join(problems)


def test_every_file_is_read_once_and_links_are_not_followed(root: Path) -> None:
    paths = [s.path for s in read_sources(root)]
    assert "usersim_env/errors.py" in paths
    assert "wrappers/__init__.py" in paths
    assert len({(root / path).resolve() for path in paths}) == len(paths)


DOC = '"""What it is."""\n'
LONG = "    x = 1\n"
LONG = "    x = 1\n"
# Guard, files, the only violation.
PLANTED: list[tuple[Guard, dict[str, str], str]] = [
    (long_files, {"errors": "x = 1\n" * 351}, "errors.py: 351 lines, at most 350"),
    (long_median, {"errors": "x = 1\n" * 151}, "median file: 151 lines, at most 150"),
    (long_functions, {"errors": "def f():\n" + LONG * 60}, "errors.py:1: f has 61 lines, at most 60"),
    (too_few_short_functions, {"errors": "def f():\n" + LONG * 29}, "1 of 1 functions have 30 lines or more"),
    (many_parameters, {"errors": "def f(a, b, /, c, d, *e, g, **h): ..."}, "errors.py:1: f has 7 parameters"),
    (many_parameters, {"errors": "async def f(self, a, b, c, d, e, g, h): ..."}, "f has 7 parameters"),
    (banned_names, {"users/text_utils": ""}, "users/text_utils.py: the name says nothing"),
    (undocumented, {"errors": "x = 1"}, "errors.py: the module has no docstring"),
    (undocumented, {"errors": DOC + "def f(): ..."}, "errors.py:2: f has no docstring"),
    (
        undocumented,
        {"errors": f"{DOC}class A(Protocol):\n  {DOC}  def f(self): ..."},
        "errors.py:4: A.f has no",
    ),
    (imports_from_below, {"novelty": ""}, "novelty.py: not placed: give the room novelty a line in README.md"),
    (
        imports_from_below,
        {"errors": "from usersim_env import agent", "agent": ""},
        "errors.py:1: imports agent, which",
    ),
    (
        imports_from_below,
        {"errors": "import usersim_env", "__init__": ""},
        "errors.py:1: imports __init__, which",
    ),
    (
        import_cycles,
        {"gap/a": "from usersim_env.gap.b import x", "gap/b": "import usersim_env.gap.a"},
        "cycle",
    ),
    (local_imports, {"errors": "def f():\n import json\n import torch"}, "errors.py:2: imports json inside"),
]


def plant(root: Path, files: dict[str, str]) -> list[Source]:
    for name, text in files.items():
        path = root / "usersim_env" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_sources(root)


@pytest.mark.parametrize(("guard", "files", "message"), PLANTED)
def test_a_planted_violation_is_found(guard: Guard, files: dict[str, str], message: str, tmp_path: Path) -> None:
    problems = guard(plant(tmp_path, files))
    assert message in problems[0]
    assert not [line for line in problems[1:] if not line.startswith("  ")], "one planted, more found"


@pytest.mark.parametrize("guard", GUARDS)
def test_decent_code_passes(guard: Guard, tmp_path: Path) -> None:
    base = f"class Base(ABC):\n    {DOC}\n    def f(self) -> None:\n        {DOC}"
    child = f"from usersim_env.errors import Base\nclass Child(Base):\n    {DOC}\n    def f(self): import torch\n"
    sources = plant(tmp_path, {"errors": DOC + base, "users/base": DOC + child, "users/__init__": DOC})
    assert guard(sources) == []
