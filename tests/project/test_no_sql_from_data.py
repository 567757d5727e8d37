"""No SQL from data: what is handed to the database as a statement is made of constants, and values are its parameters.

A statement is a literal, or a constant of a module (in capitals), as it is or with names filled in that are no data: the record
tables' schema as the server quoted it, and what the record types are called. Each other place is listed with its reason.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "unified_indexer").rglob("*.py")), ROOT / "unified_worker.py"]
# The methods of asyncpg's connections, prepared statements and pools that take a statement.
METHODS = {"execute", "executemany", "fetch", "fetchval", "fetchrow", "fetchmany", "prepare", "copy_from_query", "cursor"}
OF_CONNECTION = re.compile(r"(^|[._])(connection|conn|pool)$")
FILLED_IN = {"schema", "self._schema", "step.name"}
ELSEWHERE = {
    "installed.install": "the functions, which install.functions makes of the record types",
    "prepare._own_schema": "the tables, which tables.create makes of the record types, and the migrations",
    "prepare._any_rows": "the tables' names",
    "prepare._mend_times": "the tables' and columns' names, of the record types",
    "optional_columns.settle": "the tables' and columns' names and types, of the record types",
    "compatibility._refusal": "the tables' and columns' names and types, of the record types",
    "account._count": "the tables' and columns' names, of the record types",
    "compare.compare": "what should be and what is there, of constants (audit_rows, audit_notices, audit_books)",
    "compare._keys": "the tables' and columns' names, and numbers",
    "queries._drop": "one of two constants that lock",
    "sizes._count": "a table, as the server quoted its name",
    "views._done": "the views, in files of ours, with the schema and a collation as the server quoted them",
    "views.install": "two digests",
    "waiting._look": "table and column of a foreign key, as the server quoted them (letters.AWAITED)",
}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(module: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """The calls that hand over a statement, each with the name of the function that it stands in."""
    for function in ast.walk(module):
        if isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef):
            for node in ast.walk(function):
                match node:
                    case ast.Call(func=ast.Attribute(value=receiver, attr=attr), args=[_, *_]) if attr in METHODS:
                        if OF_CONNECTION.search(ast.unparse(receiver)):
                            yield function.name, node
                    case _:
                        pass


def is_constant(statement: ast.expr) -> bool:
    match statement:
        case ast.Constant(value=str()):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper()
        case ast.JoinedStr(values=parts):
            return all(is_constant(part.value if isinstance(part, ast.FormattedValue) else part) for part in parts)
        case ast.Call(func=ast.Attribute(value=template, attr="format"), args=[], keywords=names):
            return is_constant(template) and all(ast.unparse(name.value) in FILLED_IN for name in names)
        case _:
            return False


def from_data(path: Path) -> list[str]:
    """Where a statement is neither constant nor listed."""
    return [
        f"{path.name}:{call.lineno}: {ast.unparse(call.args[0])}"
        for function, call in statements(tree(path))
        if not is_constant(call.args[0]) and f"{path.stem}.{function}" not in ELSEWHERE
    ]


@pytest.mark.long
def test_statements_are_found() -> None:
    found = [place for path in FILES for place in statements(tree(path))]
    assert len(found) > 40
    listed = {f"{path.stem}.{name}" for path in FILES for name, _ in statements(tree(path))}
    assert set(ELSEWHERE) <= listed, "an exception that is none any more"


def test_no_statement_is_made_of_data() -> None:
    assert [statement for path in FILES for statement in from_data(path)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "f'SELECT {did}'",
        "'SELECT ' + did",
        "QUERY % did",
        "QUERY.format(schema=did)",
        "query",
        "QUERY.format(did)",
        "str(QUERY)",
    ],
)
def test_such_a_statement_would_be_seen(statement: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(f"async def f(self, connection, did):\n    await self._pool.connection.fetchval({statement}, did)\n")
    assert len(from_data(file)) == 1


def test_constants_in_capitals_are_assigned_where_no_data_are() -> None:
    """At the top of a module, or of a class: not inside a function, whose arguments may be data."""
    for path in FILES:
        for function in ast.walk(tree(path)):
            if isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef):
                names = [
                    node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                ]
                assert not [name for name in names if name.isupper() and len(name) > 1], f"{path.name}: {function.name}"


def test_reasons_are_words_of_ours() -> None:
    """They are the keys of counters and of limits on warnings: text from the network among them would grow without bound."""
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Rejected", "_refused", "RefusedOp", "Ignored"):
                place = 0 if ast.unparse(node.func) == "Rejected" else 1
                reason = node.args[place]
                assert is_ours(reason), f"{path.name}:{node.lineno}: {ast.unparse(reason)}"


def is_ours(reason: ast.expr) -> bool:
    """A constant, a member of the enum of failures, or one of two such."""
    match reason:
        case ast.Constant() | ast.Attribute(value=ast.Name(id="Failure")):
            return True
        case ast.IfExp(body=one, orelse=other):
            return is_ours(one) and is_ours(other)
        case _:
            return ast.unparse(reason) in KNOWN_REASONS


KNOWN_REASONS = {
    "f'{field}_too_long'",  # the field's name is its record type's word
    "_LEGACY.get(kind, 'unknown_type')",
    "reason",  # of commits._refused, which is looked at where it is called
}
