"""`status --json`: its keys and their order are an interface for the programs of operators."""

import json
from typing import Any

import pytest

from testing.commits import LIKE, POST, Stream, did, like, post, put
from testing.database_side import Worker
from tests.command_line.test_letter_commands import Commands
from unified_indexer.database.background.runs import Run
from unified_indexer.metrics import Metrics

# One of each thing that there may be.
FILLED = """
INSERT INTO firehose_cursor (service, cursor, last_event_time) VALUES ('relay.test', '7', now());
INSERT INTO unified_worker.gaps (service, after_seq, after_time, upto_seq, upto_time, reason)
VALUES ('relay.test', 1, now(), 3, now(), 'retention');
INSERT INTO unified_worker.stuck_wipes (did, error) VALUES ('did:plc:x', 'no');
INSERT INTO unified_worker.dead_letters (did, rev, path, reason, detail) VALUES ('{did}', '', 'x/y', 'bad_cbor', 'why');
INSERT INTO unified_worker.rebuild (step, number, done) VALUES ('a', 1, true), ('b', 2, false), ('c', 3, false);
INSERT INTO unified_worker.sizes (name, day, taken_at, rows, bytes)
SELECT 'posts', now() - interval '1 day', now() - interval '1 day', 0, 0;
"""

# As `shape` says them.
GAP = "reason after_seq after_time upto_seq upto_time noticed_at"
RUN = "started_at updated_at stopped_at how version host pid counts(…)"
LOCKS = "gaps last_gaps[{}] standbys keeper workers"
RELAY = f"service cursor last_event_time saved_at running(pid connected_at address) runs[{RUN}] {LOCKS.format(GAP)}"
LETTERS = "by_reason(…) newest_only without_frame tried_in_vain frame_bytes most_frame_bytes most_frames_of_a_did"
WIPE = "did attempts error since retry_at"
TABLE = "name rows estimated bytes growth"
REPOS = "desynchronised() desynchronised_since repairing unproven unproven_since most_counted"
STATUS = (
    f"now replica relays[{RELAY}] dead_letters({LETTERS}) repos({REPOS}) accounts_being_wiped gates_being_judged stuck_wipes "
    f"longest_stuck_wipes[{WIPE}] unconfirmed_deletions oldest_deletions handles_to_check "
    f"fetching(left failed done records_per_second seconds_left paused) publishing(waiting sent_at) "
    f"rebuild(step number steps rows) tables[{TABLE}]"
)
GROWTH = "rows_per_day bytes_per_day over_seconds"
REPO = (
    "rev seq active status account_at handle handle_at handle_verified handle_checked_at sync sync_reason sync_at filtered "
    "inductive unproven_at held wiping wiped_at updated_at wipe_error deletion_error "
    "synced_at repair repair_reason repair_at"
)
LAST_LETTER = "path rev reason detail attempts last_seen"
ACCOUNT = f"did repo({REPO}) rows(…) most_counted waiting_duplicates dead_letters(…) last_dead_letters[{LAST_LETTER}]"


def shape(value: dict[str, Any]) -> str:
    """The keys in their order, with those of what is inside."""
    return " ".join(key + _inside(inner) for key, inner in value.items())


def _inside(value: Any) -> str:
    match value:
        case {"bad_cbor": _} | {"posts": _} | {"finished": _}:  # its keys are data
            return "(…)"
        case {**inner}:
            return f"({shape(inner)})"
        case [{**first}, *_]:
            return f"[{shape(first)}]"
        case _:
            return ""


@pytest.fixture
def run(worker: Worker, capfdbinary: pytest.CaptureFixture[bytes]) -> Commands:
    return Commands(worker, capfdbinary)


async def filled(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{POST}/1", post()), put(f"{LIKE}/1", like(f"at://{did('b')}/{POST}/1"))))
    await worker.connection.execute(FILLED.format(did=did("a")))
    await Run(worker.pool, Metrics()).end("SIGTERM")


async def test_the_keys_of_a_status_as_json(worker: Worker, run: Commands) -> None:
    await filled(worker)
    found = json.loads(await run("status", "--json"))
    assert shape(found) == STATUS
    growths = {table["name"]: table["growth"] for table in found["tables"]}
    assert shape(growths.pop("posts")) == GROWTH
    assert set(growths.values()) == {None}


async def test_the_keys_of_an_account_as_json(worker: Worker, run: Commands) -> None:
    await filled(worker)
    assert shape(json.loads(await run("status", "--did", did("a"), "--json"))) == ACCOUNT
    nobody = json.loads(await run("status", "--did", did("b"), "--json"))
    assert (nobody["repo"], nobody["dead_letters"], nobody["last_dead_letters"]) == (None, {}, [])
