"""The keys that accounts had before: from the directory's log of a DID, at the pace of other look-ups."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relay_simulator import keys
from relay_simulator.encoding import time_text
from relay_simulator.repository import tid
from testing.database_side import Worker
from testing.web_site import Handler, Site, answering, telling, unregistered, web_site
from unified_indexer.errors import Rejected
from unified_indexer.identity import past
from unified_indexer.identity.client import Client
from unified_indexer.identity.pace import BURST, Breaker, Pace
from unified_indexer.identity.past import MARGIN, MOST_HELD, Held, Pasts, read_past
from unified_indexer.identity.resolver import Identities
from unified_indexer.protocol.keys import SigningKey, key_bytes, parse_multikey

DID = keys.did(1, 0)
NOON = 1_782_907_200  # seconds since 1970
HOUR = 3_600


def key(number: int) -> SigningKey:
    return parse_multikey(keys.signer(1, number).multibase)


def entry(number: int | None, hours: int, **fields: Any) -> dict[str, Any]:
    """The DID has this key from then on; None: it has ended."""
    made: dict[str, Any] = {"type": "plc_tombstone"}
    if number is not None:
        methods = {"atproto": f"did:key:{keys.signer(1, number).multibase}"}
        made = {"type": "plc_operation", "verificationMethods": methods, "alsoKnownAs": [], "services": {}}
    return {"did": DID, "operation": made, "createdAt": time_text((NOON + hours * HOUR) * 1_000_000), **fields}


def held(number: int, since: int, until: int) -> Held:
    return Held(key_bytes(key(number)), NOON + since * HOUR, NOON + until * HOUR)


def rev(seconds: int) -> str:
    """So many seconds after noon."""
    return tid((NOON + seconds) * 1_000_000, 0)


def test_the_present_key_is_none_of_before() -> None:
    assert read_past(DID, [entry(1, 0)]) == ()
    assert read_past(DID, [entry(1, 0), entry(1, 1), entry(2, 2), entry(2, 3), entry(15, 4)]) == (held(1, 0, 2), held(2, 2, 4))
    assert read_past(DID, [entry(1, 0), entry(2, 1), entry(1, 2)]) == (held(1, 0, 1), held(2, 1, 2))


def test_what_a_recovery_has_nullified_never_was_a_key() -> None:
    log = [entry(1, 0), entry(5, 1, nullified=True), entry(2, 2)]
    assert read_past(DID, log) == (held(1, 0, 2),)


def test_an_account_that_has_ended_had_its_key_until_then() -> None:
    assert read_past(DID, [entry(1, 0), entry(None, 3)]) == (held(1, 0, 3),)


def test_of_many_keys_the_newest_count() -> None:
    log = [entry(number % 7, number) for number in range(MOST_HELD + 10)]
    found = read_past(DID, log)
    assert (len(found), found[-1].until) == (MOST_HELD, NOON + (MOST_HELD + 9) * HOUR)


@pytest.mark.parametrize(
    "log", [[], {}, {"error": "maintenance"}, [7], [{}], [entry(1, 0), {"did": DID}], [entry(1, 0, did=keys.did(1, 9))]]
)
def test_a_log_that_is_none_is_refused(log: object) -> None:
    with pytest.raises(Rejected, match="bad_plc_operation"):
        read_past(DID, log)


@asynccontextmanager
async def pasts(answer: Handler) -> AsyncGenerator[tuple[Pasts, Site, Counter[str], Breaker]]:
    """What reads the log that this answers."""
    async with web_site() as site, Client() as client:
        site.paths[f"/{DID}/log/audit"] = answer
        counts, breaker = Counter[str](), Breaker()
        yield Pasts(client, site.url, Pace(1_000), breaker, counts), site, counts, breaker


async def test_a_key_counts_for_what_was_written_while_the_account_had_it() -> None:
    log = [entry(1, 0), entry(2, 1), entry(15, 2)]
    async with pasts(telling(log)) as (found, _site, counts, _breaker):
        assert found.keys(DID, rev(10)) == []
        assert await found.read(DID)
        assert counts == {"log": 1}
        begun, changed, ended = 0, HOUR, 2 * HOUR
        for at, numbers in (
            (begun - MARGIN - 2, []),
            (begun - MARGIN + 2, [1]),
            (changed - MARGIN - 2, [1]),
            (changed, [2, 1]),
            (changed + MARGIN - 2, [2, 1]),
            (changed + MARGIN + 2, [2]),
            (ended + MARGIN - 2, [2]),
            (ended + MARGIN + 2, []),
        ):
            assert [key_bytes(one) for one in found.keys(DID, rev(at))] == [key_bytes(key(number)) for number in numbers], at


async def test_a_log_is_read_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pasts(telling([entry(1, 0), entry(2, 1)])) as (found, site, _counts, _breaker):
        assert DID not in found
        for _ in range(3):
            assert await found.read(DID)
            assert DID in found
        assert len(site.requests) == 1
    monkeypatch.setattr(past, "INTERVAL", -1.0)
    async with pasts(telling([entry(1, 0)])) as (found, site, _counts, _breaker):
        for _ in range(2):
            assert await found.read(DID)
        assert len(site.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        *(answering(status) for status in (302, 403, 404, 410)),
        telling({"error": "maintenance"}),
        telling({"message": f"Cannot GET /{DID}/log/audit"}, 404),
        telling([]),
        *(answering(200, body) for body in (b"<html>", bytes(2**20 + 1))),
        telling([7]),
    ],
)
async def test_where_there_is_no_log_nobody_knows_of_other_keys(answer: Handler) -> None:
    """And it is asked for no more often than a log. The directory may have documents all the same."""
    async with pasts(answer) as (found, site, _counts, breaker):
        for _ in range(3):
            assert not await found.read(DID)
            assert DID not in found
        assert (len(site.requests), breaker.failing_since) == (1, None)


async def test_a_did_that_the_directory_does_not_know_had_no_other_key() -> None:
    async with pasts(unregistered) as (found, _site, _counts, _breaker):
        assert await found.read(DID)
        assert found.keys(DID, rev(0)) == []


async def test_a_directory_that_does_not_answer_is_left_alone() -> None:
    async with pasts(answering(503)) as (found, site, counts, breaker):
        for _ in range(5):
            assert not await found.read(DID)
        assert (len(site.requests), counts, breaker.is_open) == (3, {"server_error": 3}, True)
        assert DID not in found


@pytest.mark.long
async def test_logs_are_read_at_the_pace_of_look_ups(worker: Worker) -> None:
    """Also where forged commits of ever new accounts have them read."""
    async with web_site() as site, Client() as client:
        site.answer = unregistered
        identities = Identities(worker.pool, client, directories=[site.url], rate=5, ttl=60)
        began = time.monotonic()
        answers = await asyncio.gather(*(identities.past(keys.did(1, number)) for number in range(200)))
        assert len(site.requests) <= (time.monotonic() - began) * 5 + BURST + 1
        assert answers.count(True) >= 5  # within the patience of all together
        assert all(identities.has_past(keys.did(1, number)) is answer for number, answer in enumerate(answers))


async def test_of_a_did_web_nobody_knows_which_key_it_had(worker: Worker) -> None:
    async with web_site() as site, Client(allow_private=True) as client:
        identities = Identities(worker.pool, client, directories=[site.url], rate=5, ttl=60, allow_private=True)
        name = f"did:web:localhost%3A{site.port}"
        assert await identities.past(name)
        assert (identities.former(name, rev(0)), site.requests) == ([], [])
