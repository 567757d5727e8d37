"""The identities in memory: the ones used last, in little room."""

import gc
import tracemalloc

import pytest

from relay_simulator import keys
from unified_indexer.identity.key_cache import MOST_KEPT, Checked, KeyCache, Known, NoIdentity
from unified_indexer.protocol.keys import parse_multikey

KEYS = [parse_multikey(keys.signer(1, number).multibase) for number in (1, 2, 15)]


def test_what_is_put_in_comes_out() -> None:
    cache = KeyCache(100)
    entries = {
        "a": Known(KEYS[0], "https://a.example", 1_700_000_000),
        "b": Known(KEYS[1], None, 0),
        "c": Known(KEYS[2], "https://c.example", 2**31),
        "d": Known(NoIdentity("tombstoned"), "https://a.example", 7, 120),
    }
    for name, known in entries.items():
        cache.put(name, known)
    for name, known in entries.items():
        found = cache.get(name)
        assert found is not None
        assert (found.pds, found.checked, found.pause) == (known.pds, known.checked, known.pause)
        assert cache.checked(name) == Checked(known.checked, known.pause or None)
    for name, number in (("a", 1), ("b", 2), ("c", 15)):
        found = cache.get(name)
        assert found is not None
        assert not isinstance(found.answer, NoIdentity)
        assert found.answer.verifies(b"m", keys.signer(1, number).sign(b"m"))
    assert cache.get("d") == entries["d"]
    assert (cache.get("e"), cache.checked("e"), "e" in cache, "a" in cache) == (None, None, False, True)


def test_the_ones_used_last_stay() -> None:
    cache = KeyCache(100)
    for number in range(1_000):
        cache.put(f"did{number}", Known(KEYS[number % 3], f"https://host{number}.example", number))
        assert len(cache) <= 100
        used = cache.get("did0")
        assert used is not None
        assert used.pds == "https://host0.example"
    assert all(f"did{number}" in cache for number in range(960, 1_000))
    assert "did900" not in cache


def test_a_did_that_holds_another_is_another() -> None:
    cache = KeyCache(100)
    cache.put("did:web:host.example.com", Known(KEYS[0], None, 1))
    assert "did:web:host.example.com" in cache
    for name in ("did:plc:did:web:host.example.com", "did:plc:host.example.com", "host.example.com"):
        assert name not in cache


@pytest.mark.long
def test_a_hundred_thousand_keys_take_25_mb() -> None:
    """Half of them are looked at: one of the two generations, as full as it gets."""
    cache, half = KeyCache(), MOST_KEPT // 2 - 1
    tracemalloc.start()
    try:
        for number in range(half):
            cache.put(f"did:plc:{number:024d}", Known(KEYS[0], f"https://host{number % 100}.example", 1_700_000_000))
        gc.collect()
        assert len(cache) == half
        assert 2 * tracemalloc.get_traced_memory()[0] <= 25_000_000
    finally:
        tracemalloc.stop()
