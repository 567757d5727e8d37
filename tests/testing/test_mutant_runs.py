"""The runner of mutants believes no test that fails without a bug, for such a one would find every bug."""

from pathlib import Path

from testing.mutants.__main__ import _unsound  # pyright: ignore[reportPrivateUsage]

TESTS = """
import pytest
def test_right(): pass
def test_wrong(): assert 1 == 2
@pytest.mark.skip(reason="not here")
def test_skipped(): pass
"""


def test_what_fails_without_a_bug_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "root"
    (folder / "tests").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "-ra"\n')
    (folder / "tests" / "test_some.py").write_text(TESTS)
    assert _unsound(["tests/test_some.py"], folder, 1) == ["tests/test_some.py::test_wrong"]
