"""The house keeps its shape: imports run one way, downward, and each library has one place."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("unified_indexer", "relay_simulator", "benchmarks", "testing")
FILES = sorted([ROOT / "unified_worker.py", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))])
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
INDEXER = {name: path for name, path in MODULES.items() if name.split(".")[0] == "unified_indexer"}
PURE = {"asyncio", "asyncpg", "websockets", "uvloop", "socket", "logging", "os", "pathlib", "threading", "subprocess", "time"}
BASE = "unified_indexer.records.base"
# Each folder of the package may import only those before it; the files at its top come before all of them.
ORDER = (
    *("log", "embedded", "protocol", "config", "tracing", "records"),
    *("database.connection", "identity", "database.write", "database.functions", "database.dead_letters"),
    *("database.repair", "database.schema"),
    *("relay", "pipeline", "stream", "publishing", "trust", "database.recount", "database.background", "accounts", "backfill"),
    *("database.status", "monitoring", "command_line"),
)
SERVICE_SUFFIX = re.compile(r"(manager|helpers?|utils?|common|misc)$")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def typing_only(module: ast.Module) -> set[ast.AST]:
    """The statements under `if TYPE_CHECKING:`, which do not run."""
    blocks = (node for node in ast.walk(module) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def imports(path: Path, *, running: bool = False) -> set[str]:
    """The modules that a file imports, by full name. `running`: without those that only a type checker sees."""
    skipped: set[ast.AST] = typing_only(tree(path)) if running else set()
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if node in skipped:
            continue
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=str(module), names=names, level=0):
                # `from package import module` imports the module.
                inner = {f"{module}.{alias.name}" for alias in names} & set(MODULES)
                found |= inner if len(inner) == len(names) else inner | {module}
            case ast.ImportFrom(level=level):
                assert level == 0, f"{path.relative_to(ROOT)}:{node.lineno}: imports are absolute"
            case _:
                pass
    return found


def top(name: str) -> str:
    return name.split(".")[0]


def users_of(library: str) -> set[str]:
    return {name for name, path in INDEXER.items() if library in map(top, imports(path))}


def test_there_is_something_to_look_at() -> None:
    assert {
        "unified_indexer.protocol.events",
        "unified_indexer.errors",
        "unified_indexer.records.like",
        "unified_indexer.relay.firehose",
    } <= set(INDEXER)


def test_the_protocol_is_pure() -> None:
    for name, path in INDEXER.items():
        if name.startswith("unified_indexer.protocol"):
            used = imports(path)
            assert not PURE & set(map(top, used)), name
            above = {
                module
                for module in used
                if top(module) == "unified_indexer" and not module.startswith("unified_indexer.protocol")
            }
            assert above <= {"unified_indexer.errors"}, name
            assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree(path))), name


def test_one_place_for_the_websocket() -> None:
    assert users_of("websockets") == {f"unified_indexer.relay.{name}" for name in ("firehose", "connection", "watchdog")}


def test_one_place_for_the_database() -> None:
    outside = {name for name in users_of("asyncpg") if not name.startswith("unified_indexer.database.")}
    assert outside == set()
    assert "asyncpg" not in map(top, imports(ROOT / "unified_worker.py"))


def test_only_the_worker_decides_what_it_is_doing() -> None:
    """Observers read a Phase; who imports the Lifecycle can change it."""
    deciders = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module == "unified_indexer.lifecycle"
        if "Lifecycle" in [alias.name for alias in node.names]
    }
    assert deciders == {"unified_worker"}


def test_one_place_for_http() -> None:
    assert users_of("prometheus_client")
    assert all(name.startswith("unified_indexer.monitoring.http.") for name in users_of("prometheus_client"))
    outside = {name for name in users_of("aiohttp") if not name.startswith("unified_indexer.monitoring.http.")}
    asking = {f"unified_indexer.identity.{name}" for name in ("answers", "client", "dialling", "downloads")}
    assert outside == {*asking, "unified_indexer.tracing.sending"}
    assert users_of("dns") == {"unified_indexer.identity.names"}


def test_one_place_for_processes() -> None:
    assert users_of("subprocess") == {
        "unified_indexer.embedded.cluster",
        "unified_indexer.embedded.programs",
        "unified_indexer.embedded.server",
    }


def test_record_types_do_not_know_one_another() -> None:
    files = {
        name: path for name, path in INDEXER.items() if re.fullmatch(r"unified_indexer\.records\.[a-z]+", name) and name != BASE
    }
    assert len(files) >= 5
    for name, path in files.items():
        used = imports(path)
        assert not used & (set(files) | {"unified_indexer.records"}), name
        assert not {"asyncpg", "asyncio"} & set(map(top, used)), name
        assert not any(module.startswith("unified_indexer.database") for module in used), name


def test_only_what_makes_a_database_is_given_its_record_types() -> None:
    """Everything else knows the one registry."""
    given = {
        name
        for name, path in INDEXER.items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.arg) and node.arg == "record_types"
    }
    assert given
    assert all(
        name.startswith(("unified_indexer.database.schema.", "unified_indexer.database.functions.")) for name in given
    ), given


def test_the_record_types_are_found_never_listed() -> None:
    types = {name for name in INDEXER if re.fullmatch(r"unified_indexer\.records\.[a-z]+", name) and name != BASE}
    namers = {name for name, path in INDEXER.items() if imports(path) & types}
    assert namers <= {
        "unified_indexer.pipeline.processor"
    }  # its process_post, process_like … each name one; its dispatch does not


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("unified_indexer", {"relay_simulator", "benchmarks", "tests", "unified_worker"}),
        ("relay_simulator", {"unified_indexer", "benchmarks", "tests", "unified_worker"}),
        ("benchmarks", {"tests"}),
    ],
)
def test_packages_look_downward(package: str, forbidden: set[str]) -> None:
    for name, path in MODULES.items():
        if top(name) == package:
            assert not forbidden & set(map(top, imports(path))), name


def test_no_import_runs_in_a_circle() -> None:
    graph = {name: imports(path, running=True) & set(INDEXER) - {name} for name, path in INDEXER.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def broad_handlers(module: ast.Module) -> Iterator[int]:
    """The lines of handlers that catch whatever comes. BaseException may be caught to let go of something, and raised on."""
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            caught: set[str] = set() if node.type is None else set(re.findall(r"\w+", ast.unparse(node.type)))
            raised_on = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
            if node.type is None or "Exception" in caught or ("BaseException" in caught and not raised_on):
                yield node.lineno


def test_no_error_is_swallowed() -> None:
    for path in (*INDEXER.values(), ROOT / "unified_worker.py"):
        assert not list(broad_handlers(tree(path))), path


@pytest.mark.parametrize(
    "clause",
    ["except:", "except Exception:", "except (OSError, Exception) as e:", "except BaseException:", "except* Exception:"],
)
def test_a_swallowed_error_would_be_seen(clause: str) -> None:
    assert list(broad_handlers(ast.parse(f"try:\n    pass\n{clause}\n    pass\n"))) == [3]


def test_a_file_says_what_it_is_for() -> None:
    for path in FILES:
        assert ast.get_docstring(tree(path)), f"{path} has no docstring"
        assert not SERVICE_SUFFIX.search(path.stem), f"{path}: a name that says nothing"


def test_public_classes_and_names_say_what_they_are() -> None:
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                place = f"{path}, line {node.lineno}: {node.name}"
                assert not re.search(r"(Manager|Helper|Util)s?$", node.name), place
                assert node.name.startswith("_") or ast.get_docstring(node), f"{place} has no docstring"


def test_test_modules_have_names_of_their_own() -> None:
    names = [path.name for path in TEST_FILES if path.name.startswith("test_")]
    assert len(names) == len(set(names))


FOLDERS = [path for path in INDEXER.values() if path.name == "__init__.py"]


def folder_of(name: str) -> str:
    """The folder of a module as ORDER names it; empty for a file at the package's top."""
    parts = name.split(".")[1:] if MODULES[name].name == "__init__.py" else name.split(".")[1:-1]
    return ".".join(parts[: 2 if parts[:1] == ["database"] else 1])


def test_the_order_names_every_folder() -> None:
    assert {folder_of(name) for name in INDEXER} == {"", "database", *ORDER}


def test_a_folder_imports_only_those_before_it() -> None:
    places = {"": -1, "database": -1} | {folder: place for place, folder in enumerate(ORDER)}
    for name in INDEXER:
        for module in imports(INDEXER[name], running=True) & set(INDEXER):
            assert places[folder_of(module)] <= places[folder_of(name)], f"{name} imports {module}"


MAPPED = [*FOLDERS, *(ROOT / folder / "__init__.py" for folder in ("benchmarks", "testing", "testing/model"))]


@pytest.mark.parametrize("path", MAPPED, ids=lambda path: path.parent.name)
def test_a_folder_maps_what_is_in_it(path: Path) -> None:
    """Each __init__ names its files and folders once, and nothing that is gone. Record types and commands need no word."""
    if path.parent.name in ("protocol", "commands"):
        return
    inside = {each.name for each in path.parent.iterdir() if each.suffix in (".py", ".sql")} - {"__init__.py"}
    folders = [each for each in path.parent.iterdir() if each.is_dir() and each.name != "__pycache__"]
    inside |= {f"{each.name}/" for each in folders if any(inner.is_file() for inner in each.iterdir())}
    if path.parent.name == "records":
        inside = {"base/"}
    mapped = re.findall(r"^([a-z_]+(?:\.py|\.sql|/)) ", ast.get_docstring(tree(path)) or "", re.MULTILINE)
    assert sorted(mapped) == sorted(inside) or (path.parent.name == "records" and not mapped)


def test_no_folder_is_for_one_file_and_none_lies_deep() -> None:
    folders = {path.parent for path in INDEXER.values()}
    for folder in folders:
        inside = [each for each in folder.iterdir() if each.suffix == ".py" or each in folders]
        assert len(inside) > 2, f"{folder} is for one file"
        assert len(folder.relative_to(ROOT).parts) <= 3, f"{folder} lies too deep"
