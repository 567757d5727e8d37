r"""What of a text goes into a search vector: all of an ordinary one, and of a hostile one what the server reads in linear time.

The server's parser reads a word again from many of its marks: 3 kB of `1a@` take 0.2 seconds, 25 kB 17, 100 kB overflow its
stack. From each `<!--` it reads the rest of the text. `unified_worker.searchable` (searchable.sql) does the same as this.
"""

import re
import string

MAX_SEARCH_CHARS = 25_000  # PostgreSQL refuses a tsvector over 1 MB, and the lexicon a text over 3,000 bytes
MARKS = string.punctuation
MOST_MARKS = 16  # of a word: addresses of the web have fewer
AT_SIGNS = 6  # as many marks as an at sign counts for: what may be an address of mail is read most often
SPACES = " \t\n\r\f\v"
COMMENT = "<!--"

_MARK = re.compile(f"[{re.escape(MARKS)}]")
_WORD = re.compile(f"[^{SPACES}]+")
_BLANKS = str.maketrans(MARKS, " " * len(MARKS))


def search_text(text: str) -> str:
    """As much of a text as goes into a search vector; a word of too many marks without its marks."""
    text = text[:MAX_SEARCH_CHARS].replace(COMMENT, " ")
    return text if _weight(text) <= MOST_MARKS else _WORD.sub(_plain, text)


def _weight(text: str) -> int:
    return len(_MARK.findall(text)) + (AT_SIGNS - 1) * text.count("@")


def _plain(word: re.Match[str]) -> str:
    return word[0].translate(_BLANKS) if _weight(word[0]) > MOST_MARKS else word[0]
