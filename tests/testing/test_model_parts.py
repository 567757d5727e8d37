"""A model in parts expects what it does as a whole."""

from collections import Counter

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from testing.model import Model
from testing.model.parts import parts
from testing.networks import model_of_the_past


@pytest.fixture(scope="module")
def model() -> Model:
    """Of everything that a stream can say to accounts with a past."""
    settings = Settings(accounts=60, history=40, spread=1.0, mix=Mix.awkward())
    model = model_of_the_past(settings)
    for sent in Generator(settings).stream(3_000):
        model.apply(sent.truth)
    return model


@pytest.mark.parametrize("count", [1, 7])
def test_the_parts_are_the_whole(model: Model, count: int) -> None:
    whole = model.expected()
    assert len(whole.waiting) > 10
    assert len(whole.rows["thread_gates"]) > 10
    rows: Counter[str] = Counter()
    waiting: set[str] = set()
    for part in parts(model, count):
        for table, found in part.expected().rows.items():
            assert all(whole.rows[table][key] == row for key, row in found.items())
            rows[table] += len(found)
        waiting |= part.expected().waiting
        assert part.expected().optional["notifications"] <= whole.optional["notifications"]
    assert rows == Counter({table: len(found) for table, found in whole.rows.items() if found})
    assert waiting == whole.waiting
