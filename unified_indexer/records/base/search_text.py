r"""What of a text goes into a search vector: all of an ordinary one, and of a hostile one what the server reads in linear time.

The server's parser reads a word again from many of its marks: 3 kB of `1a@` take 0.2 seconds, 25 kB 17, 100 kB overflow its
stack. From each `<!--` it reads the rest of the text. `unified_worker.searchable` (searchable.sql) does the same as this.
"""

import re
import string

MAX_SEARCH_CHARS = 25_000  # PostgreSQL refuses a tsvector over 1 MB, and the lexicon a text over 3,000 bytes
MARKS = string.punctuation
LONG_WORD = 32  # characters: up to here the server is quick whatever a word holds
MOST_MARKS = 16  # of a long word: addresses of the web have fewer
AT_SIGNS = 6  # as many marks as an at sign counts for: what may be an address of mail is read most often
SPACES = " \t\n\r\f\v"
COMMENT = "<!--"

_MARK = re.compile(f"[{re.escape(MARKS)}]")
_LONG = re.compile(f"[^{SPACES}]{{{LONG_WORD + 1},}}")
_BLANKS = str.maketrans(MARKS, " " * len(MARKS))


def search_text(text: str) -> str:
    """As much of a text as goes into a search vector; a long word of too many marks without its marks."""
    text = text[:MAX_SEARCH_CHARS].replace(COMMENT, " ")
    if max(map(len, text.split(" "))) <= LONG_WORD:  # nearly every text; a word may end elsewhere too
        return text
    return _LONG.sub(_plain, text)


def _plain(word: re.Match[str]) -> str:
    weight = len(_MARK.findall(word[0])) + (AT_SIGNS - 1) * word[0].count("@")
    return word[0].translate(_BLANKS) if weight > MOST_MARKS else word[0]
