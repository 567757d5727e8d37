"""A row of the outbox as an entry of the stream: its fields, by the names that consumers know."""

import orjson

from unified_indexer.database.write.outbox import Row
from unified_indexer.stream.engine import Word


def stream_key(host: str) -> str:
    """The key of the stream, for the accounts of this relay."""
    return f"indexed:{host}"


def fields(row: Row) -> list[Word] | None:
    """Names and values in turn; None where nothing was written, because every operation was refused."""
    said: list[Word] = ["kind", row.what, "did", row.did, "rev", row.rev, "seq", "" if row.seq is None else row.seq]
    if row.what == "account":
        return [*said, "active", int(bool(row.active)), "status", row.status or ""]
    if row.kinds is None or row.uris is None or row.cids is None:
        return said
    ops: list[dict[str, str]] = []
    for kind, uri, cid in zip(row.kinds, row.uris, row.cids, strict=True):
        if kind < 0 or uri is None:  # refused: kept among the dead letters
            continue
        if kind % 2:
            ops.append({"action": "delete", "uri": uri})
        else:
            ops.append({"action": "put", "uri": uri, "cid": cid or ""})
    return [*said, "ops", orjson.dumps(ops)] if ops else None
