"""A record, its address, and its form for SQL; and the widths of columns, which limit all three."""

from datetime import datetime
from typing import Any, NamedTuple

# The narrowest columns that an existing database has. The same bounds count for a database of the worker's own, so that the
# rows do not depend on which of the two it is.
MAX_DID_CHARS = 255
MAX_CID_CHARS = 255
MAX_URI_CHARS = 512  # also of derived rows: one with a longer URI is not written

Record = dict[str, Any]
"""A record in the protocol's JSON form, without NULs (`protocol.data_model.to_json_form`)."""


class RecordAddress(NamedTuple):
    """The address of a record: its account, its key, its at-uri."""

    did: str
    rkey: str
    uri: str


class Row(NamedTuple):
    """A record in its form for SQL: what all types share as typed values, the rest as one JSON object.

    `created_at` is None where the record's createdAt is absent or unusable: then the commit's time stands in. `meets`: the
    URIs (or DIDs) at which records of several repos meet, so that one must wait for the other: whatever the row's effects
    count or look up of another repo's (see `RecordType.meets`).
    """

    subject: str | None
    subject_cid: str | None
    created_at: datetime | None
    rest: dict[str, Any] | None
    meets: tuple[str, ...] = ()
