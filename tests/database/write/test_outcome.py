"""What the database says became of a commit: every word of its functions is known here, and read in one way."""

import re

import pytest

from unified_indexer.database.functions.install import functions
from unified_indexer.database.write.outcome import APPLIED, BY_WORD, Outcome, Result, parse, parse_all
from unified_indexer.errors import Stop
from unified_indexer.protocol.failures import Effect, Failure
from unified_indexer.records import RECORD_TYPES

DECIDING = ("apply_commit", "apply_message", "apply_account", "apply_identity", "keep_wiping", "keep_forged")
DOUBTS = {str(failure) for failure in Failure if failure.effect in (Effect.DESYNCHRONISED, Effect.NOTED)}
SAID = re.compile(r"(?:RETURN|RETURN coalesce\(v_outcome,|v_outcome :=|v_outcome text :=) '([a-z_:]+)'")
CHOSEN = re.compile(r"SELECT (CASE (?:(?!SELECT).)*) INTO v_outcome|v_outcome := (CASE [^;]*);", re.DOTALL)
WITHIN = "needs_frame"  # ends the procedure's loop and is no outcome: the commit is sent again


def words() -> set[str]:
    """The plain words that the functions may return as an outcome."""
    heads = tuple(f"CREATE OR REPLACE FUNCTION unified_worker.{name}(" for name in DECIDING)
    texts = [text for text in functions("public", RECORD_TYPES) if text.strip().startswith(heads)]
    assert len(texts) == len(DECIDING)
    chosen = " ".join(case for text in texts for cases in CHOSEN.findall(text) for case in cases)
    doubts = {*DOUBTS, *(f"{doubt}:frame_dropped" for doubt in DOUBTS)}
    return {*doubts, *SAID.findall(" ".join(texts)), *re.findall(r"(?:THEN|ELSE) '([a-z_:]+)'", chosen)} - {WITHIN}


def test_the_database_s_words_are_all_known_and_no_others() -> None:
    assert words() == set(BY_WORD)


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("applied", Outcome(Result.APPLIED)),
        ("frame_dropped", Outcome(Result.APPLIED, frame_dropped=True)),
        ("chain_broken:frame_dropped", Outcome(Result.CHAIN_BROKEN, frame_dropped=True)),
        ("kept:frame_dropped", Outcome(Result.KEPT, frame_dropped=True)),
        ("stale_message", Outcome(Result.STALE_MESSAGE)),
        ("refused:23505", Outcome(Result.REFUSED, "23505")),
        ("refused:P0001:frame_dropped", Outcome(Result.REFUSED, "P0001", frame_dropped=True)),
    ],
)
def test_a_word_is_read_and_said_again(word: str, outcome: Outcome) -> None:
    assert parse(word) == outcome
    assert str(outcome) == word


@pytest.mark.parametrize("word", ["", "needs_frame", "refused", "refused:", "refused:23505:", "refused:23505:frame", "Applied"])
def test_an_unknown_word_stops_the_worker(word: str) -> None:
    with pytest.raises(Stop, match="of another version"):
        parse_all(["applied", word])


def test_what_an_outcome_means() -> None:
    outcomes = [*BY_WORD.values(), *map(parse, ("refused:23503", "refused:23001", "refused:23505:frame_dropped"))]
    assert {str(one) for one in outcomes if one.written} == {
        "applied",
        "frame_dropped",
        *DOUBTS,
        *(f"{doubt}:frame_dropped" for doubt in DOUBTS),
    }
    assert {str(one) for one in outcomes if one.skipped} == {"stale", "rev_fork", "inactive"}
    assert {str(one) for one in outcomes if one.at_fault} == {"refused:23505:frame_dropped"}
    reasons = {one.sqlstate: one.reason for one in outcomes if one.result is Result.REFUSED}
    assert reasons == {"23503": "foreign_key", "23001": "referenced", "23505": "database_23505"}


def test_nearly_all_outcomes_are_one_object() -> None:
    assert all(one is APPLIED for one in parse_all(["applied"] * 3))
