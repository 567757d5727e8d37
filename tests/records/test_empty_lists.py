"""A list without members stays one in the row: it is neither an absent field nor an object."""

import json
from typing import Any

from testing.commits import POST, Stream, post, put
from testing.database_side import Worker

NAMES = ("langs", "facets", "tags")
ROWS = f"SELECT {', '.join(f'to_jsonb({name}) AS {name}' for name in NAMES)} FROM posts ORDER BY uri"


async def test_a_list_without_members_stays_one(both_worker: Worker) -> None:
    lists: dict[str, Any] = {name: [] for name in NAMES}
    await both_worker.write(Stream().commit("a", put(f"{POST}/1", post(**lists)), put(f"{POST}/2", post())))
    empty, absent = [
        [None if value is None else json.loads(value) for value in row.values()]
        for row in await both_worker.connection.fetch(ROWS)
    ]
    assert empty == [[], [], []]
    assert absent == [None, None, []]  # tags are those of the record and of its facets: a column of its own making
