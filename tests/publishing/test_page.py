"""The consumer of docs/publishing.md, with the client that it names."""

from typing import Any

from valkey import Valkey as Client  # pyright: ignore[reportMissingTypeStubs]

from testing.published import of_page
from testing.streams import valkey
from unified_indexer.database.write.outbox import Row
from unified_indexer.publishing.entries import fields


def row(what: str, rev: str, *ops: tuple[int, str], status: str | None = None) -> Row:
    kinds, uris = [kind for kind, _ in ops], [uri for _, uri in ops]
    if not ops:
        return Row(1, what, "did:plc:a", rev, 7, None, None, None, False, status)
    return Row(1, what, "did:plc:a", rev, 7, kinds, uris, ["cid"] * len(ops), None, None)


async def test_the_page_s_consumer_follows_the_stream() -> None:
    """A repetition changes nothing; a repair is read from the tables; a deletion takes all."""
    told = [
        row("commit", "1", (0, "x"), (0, "y")),
        row("commit", "2", (1, "x")),
        row("retried", "2", (0, "z")),
        row("commit", "1", (0, "x"), (0, "y")),
    ]
    page, records, revs = of_page(), dict[str, set[str]](), dict[str, str]()
    async with valkey() as engine:
        client: Any = Client.from_url(f"redis://127.0.0.1:{engine.port}/0", decode_responses=True)  # pyright: ignore[reportUnknownMemberType]

        def from_tables(_did: str) -> tuple[set[str], str]:
            return {"found"}, "5"

        def following(after: str) -> str:
            return page["follow"](client, "indexed:relay.test", after, records, revs, from_tables)

        for one in told:
            await engine.ask("XADD", "indexed:relay.test", "*", *(fields(one) or ()))
        after = following("0")
        assert (records, revs) == ({"did:plc:a": {"y", "z"}}, {"did:plc:a": "2"})
        await engine.ask("XADD", "indexed:relay.test", "*", *(fields(row("repaired", "5")) or ()))
        after = following(after)
        assert (records, revs) == ({"did:plc:a": {"found"}}, {"did:plc:a": "5"})
        await engine.ask("XADD", "indexed:relay.test", "*", *(fields(row("account", "5", status="deleted")) or ()))
        following(after)
        assert records == {"did:plc:a": set()}
        client.close()
