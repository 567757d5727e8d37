"""Which account is whose: the same everywhere and for ever, and evenly."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testing.commits import did
from unified_indexer.shares import WHOLE, Share, part_of


@given(st.text(max_size=40), st.integers(1, 64))
def test_every_account_is_one_share_s(text: str, of: int) -> None:
    assert [share for share in Share(1, of).siblings() if share.takes(text)] == [Share(part_of(text, of) + 1, of)]


@pytest.mark.promise(2)
def test_the_hash_is_for_ever() -> None:
    """Cursors depend on it: another hash would skip accounts at the next start."""
    assert [part_of(text, 64) for text in ("did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:web:example.com", "")] == [20, 21, 0]
    assert part_of("\ud800", 64) >= 0


def test_parts_are_even() -> None:
    counts = Counter(part_of(did(f"a{n}"), 8) for n in range(20_000))
    assert len(counts) == 8
    assert max(counts.values()) - min(counts.values()) < 400


def test_names() -> None:
    assert WHOLE.service("relay.test:80") == "relay.test:80"
    assert Share(2, 3).service("relay.test:80") == "relay.test:80#2/3"
