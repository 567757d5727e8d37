"""What goes into search vectors: in SQL as in Python, and whatever the text, in a time that grows as its length does."""

import random
import time

import pytest

from testing.commits import POST, PROFILE, Stream, post, profile, put
from testing.database_side import Worker
from unified_indexer.records.base.search_text import LONG_WORD, MARKS, MAX_SEARCH_CHARS, MOST_MARKS, SPACES, search_text

LENGTH = 100_000
BUSY = 50  # milliseconds that a busy machine may add
WORDS = " ".join(f"word{n}" for n in range(20_000))
# From many places the server's parser reads on to the end of the word, or of the text, in vain.
HOSTILE = ("<!--", "a_", "~/", "1a@", "<a '", "a-1-", "é_", "<!-- a ", "< !--", "a@")
# As many marks as stay in a word, or as long as no word is looked at.
PACKED = ("a_" * MOST_MARKS, "~/" * (MOST_MARKS // 2), "a-1-" * (MOST_MARKS // 2), "1a@" * 10, "~/" * 16, "a@" * 16)
PIECES = (
    "a",
    "é",
    "1",
    "word",
    " ",
    "  ",
    "\n",
    "\x0b",
    "\u3000",
    "語",
    "\u0301",
    "https://",
    "www.example.com/2024/",
    "<!--",
    *MARKS,
)


def repeated(unit: str, length: int = LENGTH) -> str:
    return (unit * (length // len(unit) + 1))[:length]


async def milliseconds(worker: Worker, text: str, turn: str) -> float:
    """What a commit of that post takes at least, of three."""
    took: list[float] = []
    for n in range(3):
        commit = Stream(seq=n).commit(f"{turn}{n}", put(f"{POST}/1", post(text)))
        began = time.perf_counter()
        assert await worker.write(commit) == ["applied"]
        took.append(1_000 * (time.perf_counter() - began))
    return min(took)


@pytest.mark.promise(5)
async def test_a_hostile_text_takes_no_longer_than_words_do(both_worker: Worker) -> None:
    words = await milliseconds(both_worker, repeated(WORDS), "words")
    for number, unit in enumerate(HOSTILE):
        assert await milliseconds(both_worker, repeated(unit), f"h{number}x") < 5 * words + BUSY, unit
    for number, word in enumerate(PACKED):
        assert await milliseconds(both_worker, repeated(f"{word} "), f"p{number}x") < 15 * words + BUSY, word


async def test_sql_and_python_take_the_same(both_worker: Worker) -> None:
    rng = random.Random(5)
    texts = ["", " ", "<!--", *(repeated(unit) for unit in HOSTILE), *(repeated(f"{word} ", 30_000) for word in PACKED)]
    texts += ["".join(rng.choices(PIECES, k=rng.randint(1, 300))) for _ in range(300)]
    query = "SELECT to_tsvector('simple', unified_worker.searchable($1)) = to_tsvector('simple', $2)"
    assert [text for text in texts if not await both_worker.value(query, text, search_text(text))] == []


async def test_a_profile_is_found_by_its_plain_words(worker: Worker) -> None:
    await worker.write(
        Stream().commit("a", put(f"{PROFILE}/self", {**profile("x" * 2), "description": "find_me " + "1a@" * 11}))
    )
    vector = await worker.value("SELECT search_vector::text FROM users")
    assert "'find'" in vector
    assert "@" not in vector


@pytest.mark.parametrize(
    "text", ["short", "", "see https://www.example.com/2024/01/02/a-b, @user@example.org!\n\nbye", "!" * LONG_WORD]
)
def test_an_ordinary_text_stays(text: str) -> None:
    assert search_text(text) == text


def test_a_word_of_too_many_marks_loses_them() -> None:
    assert search_text("one_two <b> " + "a_" * MOST_MARKS) == "one_two <b> " + "a_" * MOST_MARKS
    assert search_text("one_two <b> " + "a_" * (MOST_MARKS + 1)) == "one_two <b> " + "a " * (MOST_MARKS + 1)
    assert search_text("@a.b" * 9) == " a b" * 9
    assert search_text("@a.b" * 8) == "@a.b" * 8
    assert search_text("a<!--b") == "a b"
    for space in SPACES:
        many = "." * LONG_WORD
        assert search_text(f"{many}{space}{many}") == f"{many}{space}{many}"
    assert search_text("x" * (MAX_SEARCH_CHARS + 1)) == "x" * MAX_SEARCH_CHARS
