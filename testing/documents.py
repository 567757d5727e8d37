"""What the documents say, taken apart so that it can be tried: blocks of code, statements, lines of the log."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md"))
)
CODE = [ROOT / "unified_worker.py", *sorted(ROOT.glob("unified_indexer/**/*.py"))]


def read(name: str) -> str:
    """A document, by its path from the project's root."""
    return (ROOT / name).read_text(encoding="utf-8")


def without_code(document: str) -> str:
    """The document without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", document, flags=re.DOTALL | re.MULTILINE)


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document, re.DOTALL | re.MULTILINE)


def statements(sql: str) -> list[str]:
    """The statements of a block of SQL, without their semicolons; those within $$ are part of theirs."""
    parts = re.findall(r"(?:--[^\n]*|\$\$.*?\$\$|'[^']*'|[^;])+", sql, re.DOTALL)
    return [part.strip() for part in parts if re.sub(r"--[^\n]*", "", part).strip()]


def settings(ini: str) -> dict[str, str]:
    """The settings of a block of PostgreSQL's configuration."""
    lines = (line.partition("#")[0] for line in ini.splitlines())
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines) if value}


def log_lines(table: str, column: int) -> list[str]:
    """The lines of the log that a column (from 0) of a table in a document names."""
    rows = [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return [line for row in rows if len(row) > column for line in re.findall(r"`([^`]+)`", row[column])]


def said(line: str) -> bool:
    """Whether the program's source has such a line, `…` standing for what is filled in or begins another literal."""
    source = "".join(
        # Adjoining literals put together.
        re.sub(r'"\s*f?"', "", path.read_text(encoding="utf-8"))
        for path in CODE
    )
    return all(part.strip(" ()") in source for part in re.split(r"…|; ", line))
