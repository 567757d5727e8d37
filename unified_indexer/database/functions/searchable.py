"""The function that says what of a text goes into a search vector (searchable.sql)."""

from unified_indexer.database.functions.sql_files import statements
from unified_indexer.records.base.search_text import AT_SIGNS, COMMENT, LONG_WORD, MARKS, MAX_SEARCH_CHARS, MOST_MARKS, SPACES


def functions() -> list[str]:
    """The function, with the bounds of the one that records use."""
    return statements(
        "searchable",
        most_chars=MAX_SEARCH_CHARS,
        comment=_literal(COMMENT),
        marks=_literal(MARKS),
        blanks=_literal(" " * len(MARKS)),
        spaces=_literal(SPACES),
        ends=_literal(" " * len(SPACES)),
        long_word=LONG_WORD,
        most_marks=MOST_MARKS,
        at_signs=AT_SIGNS - 1,
    )


def _literal(text: str) -> str:
    escaped = "".join(f"\\x{ord(char):02x}" if char in "'\\" or char < " " else char for char in text)
    return f"E'{escaped}'"
