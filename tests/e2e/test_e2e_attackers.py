"""What strangers name is unbounded and hostile: labels, the log and the page hold none of it."""

import json
import re
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay_simulator.encoding import Value, frame, time_text
from relay_simulator.server import RelayServer
from testing.commits import POST, START, Stream, did, post, put
from testing.databases import saved
from tests.e2e.test_e2e_http import get, serving
from unified_indexer.records import RECORD_TYPES

COLLECTIONS = 100_000
OPS = 200
HOSTILE = '\x1b[2J\x1b]0;owned\x07\r\n[2026-01-01 00:00:00] [ERROR] "}\\\x9b31m\u202e'
MOST_LABEL = 64  # characters
MOST_MESSAGE = 64_000  # bytes of a message to the page
MOST_LOG = 20_000  # bytes


def hostile_frames() -> tuple[list[bytes], int]:
    """100,000 collections, and controls wherever a stranger may write; the last seq."""
    stream = Stream()
    names = [f"evil{number}.attacker{number}.thing" for number in range(COLLECTIONS)]
    frames = [
        stream.frame(f"a{at % 40}", *(put(f"{name}/1", {"$type": name}) for name in names[at : at + OPS]))
        for at in range(0, COLLECTIONS, OPS)
    ]
    frames.append(stream.frame("b", put(f"{POST}/1", post(f"hello {HOSTILE} again"))))
    frames.append(stream.frame("b", put(f"{HOSTILE}/1", {"$type": HOSTILE}), put(f"{POST}/{HOSTILE}", post())))
    said: list[tuple[str, dict[str, Value]]] = [
        ("#identity", {"did": did("b"), "handle": f"evil.{HOSTILE}.test"}),
        ("#account", {"did": did("b"), "active": True, "status": HOSTILE}),
        ("#account", {"did": f"did:plc:{HOSTILE}", "active": True}),
        (f"#{HOSTILE}", {"did": did("b")}),
        ("#commit", {"repo": did("b"), "rev": HOSTILE, "ops": [{"path": HOSTILE, "action": HOSTILE}]}),
    ]
    for kind, fields in said:
        stream.seq += 1
        time = time_text(int(START.timestamp() * 1_000_000))
        frames.append(frame(kind, {"seq": stream.seq, "time": time, **fields}))
    frames.append(stream.frame("c", put(f"{POST}/1", post(f"hello {HOSTILE} again"))))
    return frames, stream.seq


async def past(page: str) -> str:
    """The first message to a page, as it goes over the wire."""
    async with aiohttp.ClientSession() as session, session.get(page + "live") as response:
        assert await response.content.readline() == b"event: past\n"
        return (await response.content.readline()).decode().removeprefix("data: ")


def texts(value: Any) -> list[str]:
    """All texts in JSON, keys included."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return [text for key, inner in fields.items() for text in (key, *texts(inner))]
    if isinstance(value, list):
        return [text for inner in cast("list[Any]", value) for text in texts(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.long
async def test_labels_the_log_and_the_page_hold_nothing_unbounded_or_unprintable(tmp_path: Path, database: str) -> None:
    frames, last = hostile_frames()
    async with RelayServer(frames) as relay, serving(tmp_path, database, relay.url) as (worker, page):
        await saved(database, relay.url, last, 120)
        _, exposition = await get(page + "metrics")
        message = await past(page)
        log = worker.output
    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    labels = {value for sample in samples for value in sample.labels.values()}
    assert {label for label in labels if not re.fullmatch(r"[\w.:+#-]+", label, re.ASCII) or len(label) > MOST_LABEL} == set()
    collections = {sample.labels["collection"] for sample in samples if "collection" in sample.labels}
    assert len(collections) == len(RECORD_TYPES)
    assert "attacker" not in exposition
    assert len(samples) < 500

    assert len(message.encode()) < MOST_MESSAGE
    assert [text for text in texts(json.loads(message)) if not text.replace("\n", "").isprintable()] == []
    assert "attacker" not in message

    assert [line for line in log.split("\n") if not line.isprintable()] == []
    assert [line for line in log.split("\n") if line and not re.match(r"\[[^]]+\] \[[A-Z]+\] ", line)] == []
    assert len(log.encode()) < MOST_LOG
