"""How PostgreSQL does what a set asks of it."""

from testing.commits import LIKE, POST, like, post, uri
from testing.database_side import opened
from testing.databases import connected
from testing.whole import Whole, repaired
from tests.database.repair.test_many_repos import REV, key
from unified_indexer.embedded.server import PostgresServer

# In the server's log is the plan of each statement, those of functions included.
EXPLAINED = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
}


async def test_no_record_of_a_set_is_compared_with_all_others(database: str, pg18: PostgresServer) -> None:
    """Of 500 that would be 250,000 comparisons, which were a third of what a set cost."""
    async with connected(database) as connection:
        for name, value in EXPLAINED.items():
            query = "SELECT format('ALTER DATABASE %I SET %s = %L', current_database(), $1::text, $2::text)"
            await connection.execute(await connection.fetchval(query, name, value))
    records = {f"{LIKE}/{key(number)}": like(uri("mia", str(number)), number) for number in range(5)}
    records |= {f"{POST}/{key(number)}": post("Here I am.", number) for number in range(5)}
    async with opened(database) as worker:
        for name in "abcdefg":  # from the sixth time on the plan is another one
            await repaired(worker, name, Whole(REV, records))
    plans = [said for said in pg18.log_file.read_text().split(" duration: ")[1:] if "INSERT INTO" in said and "said AS" in said]
    assert len(plans) == 14
    assert not [plan for plan in plans if "Nested Loop" in plan]
