"""How PostgreSQL does what a set, and a comparison, asks of it."""

import re

from relay_simulator.encoding import tid
from testing.commits import LIKE, POST, START, like, post, uri
from testing.database_side import opened
from testing.databases import connected
from testing.whole import Whole, repaired
from tests.database.repair.test_many_repos import REV, key
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.records import RECORD_TYPES

LATER = tid(int(START.timestamp() * 1_000_000) + 2 * 10**12, 0)
# In the server's log is the plan of each statement, those of functions included.
EXPLAINED = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
}
# What is for the databases of others is skipped, whatever it is.
SKIPPED = re.compile(r"One-Time Filter: \(NOT \$[0-9]+\)\n.*")


async def explain(database: str) -> None:
    """From the next connection on."""
    async with connected(database) as connection:
        for name, value in EXPLAINED.items():
            query = "SELECT format('ALTER DATABASE %I SET %s = %L', current_database(), $1::text, $2::text)"
            await connection.execute(await connection.fetchval(query, name, value))


def plans(server: PostgresServer, *words: str) -> list[str]:
    """The plans of the statements that have these words."""
    return [said for said in server.log_file.read_text().split(" duration: ")[1:] if all(word in said for word in words)]


async def test_no_record_of_a_set_is_compared_with_all_others(database: str, pg18: PostgresServer) -> None:
    """Of 500 that would be 250,000 comparisons, which were a third of what a set cost."""
    await explain(database)
    records = {f"{LIKE}/{key(number)}": like(uri("mia", str(number)), number) for number in range(5)}
    records |= {f"{POST}/{key(number)}": post("Here I am.", number) for number in range(5)}
    async with opened(database) as worker:
        for name in "abcdefg":  # from the sixth time on the plan is another one
            await repaired(worker, name, Whole(REV, records))
    found = plans(pg18, "INSERT INTO", "said AS")
    assert len(found) == 14
    assert not [plan for plan in found if "Nested Loop" in plan]


async def test_one_plan_finds_the_rows_of_every_slice_by_a_key(database: str, pg18: PostgresServer) -> None:
    """Whatever the type: a table without such a key would be read whole, for each slice of each repo."""
    await explain(database)
    async with opened(database) as worker:
        for rev in (REV, LATER):
            await repaired(worker, "ann", Whole(rev, {f"{POST}/{key(1)}": post("Here I am.", 1)}))
    found = plans(pg18, "said AS", "mine AS")
    assert len(found) == len(RECORD_TYPES)
    assert [plan for plan in found if re.search(r"One-Time Filter: \$[0-9]+\n", plan)], "each slice has plans of its own"
    for plan in found:
        scans = SKIPPED.sub("", plan)
        assert "Seq Scan" not in scans
        assert "Index Cond: " in scans
        assert len(re.findall(r"Index (?:Only )?Scan ", scans)) == scans.count("Index Cond: "), plan
