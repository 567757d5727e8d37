"""When a list is at its end: every fault of cursors that was seen ends by itself."""

from itertools import count

import pytest

from unified_indexer.backfill.walks import LEEWAY, MOST_BARREN, End, Walk


def page(number: int, size: int = 10) -> list[str]:
    return [f"did:plc:{number}-{place}" for place in range(size)]


def test_a_list_ends_where_there_is_no_cursor() -> None:
    walk = Walk()
    assert [walk.take(page(number), f"c{number}", f"c{number + 1}") for number in range(100)] == [None] * 100
    assert walk.take(page(100), "c100", None) is End.COMPLETE
    assert Walk().take([], None, None) is End.COMPLETE


@pytest.mark.parametrize("back_to", [0, 1, 2])
def test_a_cursor_that_was_given_before_ends_it(back_to: int) -> None:
    walk = Walk()
    assert [walk.take(page(number), f"c{number}", f"c{number + 1}") for number in range(3)] == [None] * 3
    assert walk.take(page(3), "c3", f"c{back_to + 1}") is End.CURSOR_REPEATS
    assert Walk().take(page(0), "c", "c") is End.CURSOR_REPEATS


def test_three_pages_in_a_row_without_anything_new_end_it() -> None:
    """The same page under ever new cursors, in whatever order, and empty pages."""
    empty: list[str] = []
    for pages in ([page(0)], [empty], [page(0), page(0)[::-1]]):
        walk = Walk()
        ends = [walk.take(pages[place % len(pages)], f"{place}", f"{place + 1}") for place in range(10)]
        assert ends.index(End.NOTHING_NEW) <= MOST_BARREN + 1
    walk = Walk()
    for place in range(0, 60, 3):
        assert walk.take(page(place), f"{place}", f"{place + 1}") is None
        assert walk.take([], f"{place + 1}", f"{place + 2}") is None
        assert walk.take([], f"{place + 2}", f"{place + 3}") is None


def test_a_list_that_is_much_longer_than_it_is_said_to_be_ends() -> None:
    walk = Walk(accounts=1_000)
    ends = (walk.take(page(number, 1_000), f"{number}", f"{number + 1}") for number in count())
    pages = next(place for place, end in enumerate(ends) if end is End.TOO_LONG)
    assert pages * 1_000 == 4 * 1_000 + LEEWAY
