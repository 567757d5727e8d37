"""The log of the did:plc directory: its lines -> rows of identities, page by page.

Source: https://web.plc.directory/spec/v0.1/did-plc. Of each DID the last operation counts: one that a recovery has nullified is
always followed by the recovery. Hashes and signatures of operations are not checked: the directory is as much believed here as
where a document of it is asked for.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

import orjson

from unified_indexer.errors import Rejected
from unified_indexer.identity.client import Client
from unified_indexer.identity.directory import is_plc
from unified_indexer.identity.document import read_handle, read_pds
from unified_indexer.identity.store import Row, State
from unified_indexer.protocol.keys import did_key_bytes

PAGE = 1_000  # operations of a page, at most
MAX_PAGE_BYTES = 16 * 2**20  # an operation has 7,500 bytes at most


class Operation(NamedTuple):
    """A line of the log. `seq`: None in logs that are ordered by time. `row`: as of the time of the operation."""

    seq: int | None
    made: int  # seconds since 1970
    row: Row
    handle: str | None


def read_operation(line: bytes, *, allow_private: bool = False) -> Operation | None:
    """What a line of the log says; None if it says nothing that counts (it was nullified).

    Raises Rejected: `bad_plc_operation`.
    """
    try:
        entry = cast("dict[str, Any]", orjson.loads(line))
    except ValueError:
        raise Rejected("bad_plc_operation", "no JSON") from None
    return read_entry(entry, allow_private=allow_private)


def read_entry(entry: dict[str, Any], *, allow_private: bool = False) -> Operation | None:
    """The same of a line that is read; it may be any JSON value."""
    try:
        did, operation, seq = entry["did"], entry["operation"], entry.get("seq")
        made = int(datetime.fromisoformat(entry["createdAt"]).timestamp())
        is_sound = isinstance(did, str) and is_plc(did) and isinstance(operation, dict) and 0 <= made < 2**31
        if not is_sound or not (seq is None or type(seq) is int):
            raise Rejected("bad_plc_operation", "no operation of a DID")
        if entry.get("nullified") is True:
            return None
        return _read(seq, made, did, cast("dict[str, Any]", operation), allow_private)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise Rejected("bad_plc_operation", type(error).__name__) from None


def _read(seq: int | None, made: int, did: str, operation: dict[str, Any], allow_private: bool) -> Operation:
    kind = operation["type"]
    if kind == "plc_tombstone":
        return Operation(seq, made, Row(did, None, None, made, State.TOMBSTONED), None)
    if kind == "create":  # the form of the first years
        key, pds, names = operation["signingKey"], operation["service"], [f"at://{operation['handle']}"]
    elif kind == "plc_operation":
        service: dict[str, Any] = operation["services"].get("atproto_pds") or {}
        is_pds = service.get("type") == "AtprotoPersonalDataServer"
        key, pds = operation["verificationMethods"].get("atproto"), (service.get("endpoint") if is_pds else None)
        names = operation["alsoKnownAs"]
    else:
        raise ValueError(kind)
    try:
        data = did_key_bytes(key) if isinstance(key, str) else None
    except Rejected:
        data = None
    state = State.NO_KEY if data is None else State.KNOWN
    return Operation(seq, made, Row(did, data, read_pds(pds, allow_private=allow_private), made, state), read_handle(names))


def last_seq(lines: Sequence[bytes]) -> int | None:
    """The seq of the last line that has one: also a line that is no operation moves the reading on."""
    for line in reversed(lines):
        try:
            seq = orjson.loads(line)["seq"]
        except (ValueError, TypeError, KeyError):
            continue
        if type(seq) is int:
            return seq
    return None


async def read_page(client: Client, directory: str, after: int) -> list[bytes]:
    """The lines of the log after this seq, at most 1,000; none at its end. Raises FetchError."""
    page = await client.get_page(f"{directory}/export?after={after}&count={PAGE}", MAX_PAGE_BYTES)
    return [line for line in page.split(b"\n") if line]
