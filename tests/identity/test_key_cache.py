"""The identities in memory: the ones used last, in little room."""

import gc
import tracemalloc

from indexer.identity.key_cache import Checked, KeyCache, Known, NoIdentity
from indexer.protocol.keys import parse_multikey
from relay_simulator import keys

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


def test_an_entry_takes_250_bytes() -> None:
    known = Known(KEYS[0], "https://host.example", 1_700_000_000)
    cache = KeyCache(20_000)
    tracemalloc.start()
    try:
        for number in range(30_000):
            cache.put(f"did:plc:{number:024d}", known)
        gc.collect()
        assert len(cache) >= 10_000
        assert tracemalloc.get_traced_memory()[0] <= len(cache) * 270
    finally:
        tracemalloc.stop()
