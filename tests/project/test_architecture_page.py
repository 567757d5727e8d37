"""What docs/architecture.md and docs/testing.md say of folders, of the order of imports, of failures and of the lock is so."""

import re

from testing.documents import ROOT, read
from tests.project.test_architecture import ORDER
from tests.project.test_packaging import requirements
from unified_indexer.database.connection import failures, pool

PAGE = read("docs/architecture.md")


def test_the_page_has_the_order_of_imports() -> None:
    (line,) = (line for line in PAGE.splitlines() if line.startswith("`log` → "))
    assert tuple(re.findall(r"`([a-z_.]+)`", line)) == ORDER


def test_the_page_lists_every_folder_once() -> None:
    table = PAGE.partition("## The folders")[2].partition("###")[0]
    listed = re.findall(r"^\| `unified_indexer/([a-z_/]+)/` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(folder.replace(".", "/") for folder in ORDER)


def test_the_page_names_no_file_that_is_gone() -> None:
    names = {path.name for path in ROOT.glob("unified_indexer/**/*.py")}
    assert set(re.findall(r"`([a-z_]+\.py)`", PAGE)) - {"unified_worker.py", "__init__.py"} <= names


def test_it_says_what_each_class_of_failures_asks_for() -> None:
    table = PAGE.partition("### Failures of the database")[2].partition("## ")[0]
    server, schema = re.findall(r"^\| ((?:[0-9A-Z]{2}, )*[0-9A-Z]{2}) \|", table, re.MULTILINE)
    assert tuple(server.split(", ")) == failures.SERVER_CLASSES
    assert tuple(schema.split(", ")) == failures.SCHEMA_CLASSES


def test_it_says_how_soon_a_silent_server_is_noticed() -> None:
    lock = PAGE.partition("## The lock")[2].partition("## ")[0]
    assert f"every {pool.PING_INTERVAL:.0f} s, and waits {pool.PING_TIMEOUT:.0f} s" in lock
    (within,) = re.findall(r"silent server is noticed within (\d+) s", lock)
    assert int(within) >= pool.PING_INTERVAL + pool.PING_TIMEOUT


def test_the_page_about_tests_lists_every_folder_of_tests() -> None:
    listed = set(re.findall(r"`((?:tests|testing)/[a-z0-9_]+)/`", read("docs/testing.md")))
    folders = [path for top in ("tests", "testing") for path in (ROOT / top).iterdir() if any(path.rglob("*.py"))]
    assert listed == {str(path.relative_to(ROOT)) for path in folders}


def test_it_says_what_each_library_is_for() -> None:
    table = PAGE.partition("### The libraries")[2].partition("## ")[0]
    assert set(re.findall(r"^\| `([a-z0-9-]+)`", table, re.MULTILINE)) == set(requirements("requirements.txt"))
