"""What the source must not say, read from its syntax tree."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("arcbilling", "executor", "models", "provisioning", "resolvers", "rest_compat", "schema", "webhooks")
TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
}

CLOCKS = {
    "date.today",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "time.localtime",
    "time.time",
    "time.time_ns",
}
EXCUSED = {("arcbilling/limiter.py", "time.time")}  # its library counts windows by the machine's clock

SQL = re.compile(
    r"\b(SELECT\s+\S|INSERT\s+INTO\b|UPDATE\s+\S+\s+SET\b|DELETE\s+FROM\b|PRAGMA\s|BEGIN\s+IMMEDIATE|ORDER\s+BY\b"
    r"|CREATE\s+(TABLE|INDEX)|ALTER\s+TABLE|DROP\s+TABLE|\bWHERE\s)"
)

MONEY = ("schema/money.py", "schema/invoices.py", "schema/payments.py", "schema/services.py", "schema/products.py")


def dotted(node: ast.AST) -> str:
    """`datetime.now` of `datetime.now(UTC)` and of `datetime.datetime.now`; empty for what is no name."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
        return f"{owner}.{node.attr}"
    return ""


def texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """The strings that are not documentation."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node


@pytest.mark.parametrize("path", TREES)
def test_the_time_is_asked_of_the_clock_alone(path: str) -> None:
    if path == "arcbilling/clock.py":
        return
    asked = {dotted(node) for node in ast.walk(TREES[path])} & CLOCKS
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name for name in asked | imported & CLOCKS if (path, name) not in EXCUSED} == set()


@pytest.mark.parametrize("path", MONEY)
def test_money_never_meets_a_float(path: str) -> None:
    for node in ast.walk(TREES[path]):
        assert not (isinstance(node, ast.Name) and node.id == "float"), f"{path}:{node.lineno}"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{path}:{node.lineno}"
        assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "round"), (
            f"{path}:{node.lineno}"
        )


@pytest.mark.parametrize("path", [path for path in TREES if not path.startswith(("resolvers/", "models/migrations/"))])
def test_sql_is_written_in_resolvers_and_migrations_alone(path: str) -> None:
    found = [f"{path}:{text.lineno}: {text.value!r}" for text in texts(TREES[path]) if SQL.search(str(text.value))]
    assert found == []


@pytest.mark.parametrize("path", [path for path in TREES if not path.startswith("resolvers/")])
def test_transactions_end_in_resolvers_alone(path: str) -> None:
    ends = [
        f"{path}:{node.lineno}"
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("commit", "rollback")
    ]
    assert ends == []


@pytest.mark.parametrize("path", [path for path in TREES if path.startswith("models/")])
def test_models_have_no_methods(path: str) -> None:
    methods = [
        f"{path}:{part.lineno}: {part.name}"
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ClassDef)
        for part in node.body
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and part.name != "__str__"
    ]
    assert methods == []


@pytest.mark.parametrize("path", [path for path in TREES if path.startswith("schema/")])
def test_rules_are_pure(path: str) -> None:
    """What stands between the headings Rules and Queries waits for nothing and asks no clock."""
    lines = (ROOT / path).read_text().splitlines()
    if "# Rules" not in lines:
        return
    start = lines.index("# Rules")
    end = next((place for place in range(start + 1, len(lines)) if lines[place].startswith("# ")), len(lines))
    for node in TREES[path].body:
        if start < node.lineno <= end:
            for part in ast.walk(node):
                assert not isinstance(part, ast.AsyncFunctionDef | ast.Await), f"{path}:{part.lineno}"
                assert not dotted(part).startswith("clock."), f"{path}:{getattr(part, 'lineno', 0)}"


@pytest.mark.parametrize("path", TREES)
def test_nobody_catches_everything_and_says_nothing(path: str) -> None:
    """`except Exception` stands at the outermost edge, where it is logged, or is raised on as what it is."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{path}:{node.lineno}: a bare except"
            if isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"):
                inside = list(ast.walk(node))
                raised = any(isinstance(part, ast.Raise) for part in inside)
                logged = any(dotted(part) in ("log.error", "log.warning", "log.exception") for part in inside)
                assert raised or logged, f"{path}:{node.lineno}"
