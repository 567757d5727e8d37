"""Dead letters as text: a table of many, everything about one with the content of its frame, or JSON for programs. Pure."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import libipld

from unified_indexer import json
from unified_indexer.command_line.stdout import table
from unified_indexer.database.dead_letters.queries import Letter, ReasonCount
from unified_indexer.errors import Rejected
from unified_indexer.formatting import printable
from unified_indexer.protocol.dag_cbor import decode_frame
from unified_indexer.protocol.data_model import to_json_form
from unified_indexer.protocol.events import Commit
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.salvage import record_paths

DUMPED = 256  # bytes of a frame that does not decode
MAX_TEXT = 200  # characters of a text in a frame's field


def listed(reasons: Sequence[ReasonCount], letters: Sequence[Letter]) -> list[str]:
    """The counts by reason, then the letters, in aligned columns."""
    if not reasons:
        return ["No dead letters."]
    total = sum(reason.letters for reason in reasons)
    head = ("reason", "letters", "without frame", "first seen", "last seen")
    counts = [
        (printable(r.reason), f"{r.letters:,}", f"{r.without_frame:,}", _time(r.first_seen), _time(r.last_seen))
        for r in reasons
    ]
    lines = table([head, *counts], right=frozenset({1, 2}))
    if not letters:
        return lines
    columns = ("id", "seq", "reason", "attempts", "first seen", "last seen", "frame", "did", "path")
    lines += ["", *table([columns, *map(_row, letters)], right=frozenset({0, 1, 3, 6}))]
    if total > len(letters):
        lines += ["", f"{total - len(letters):,} more: use --limit to show more, --reason and --did to select some."]
    return lines


def _row(letter: Letter) -> tuple[str, ...]:
    return (
        str(letter.id),
        "-" if letter.seq is None else str(letter.seq),
        printable(letter.reason),
        str(letter.attempts),
        _time(letter.first_seen),
        _time(letter.last_seen),
        "dropped" if letter.frame_bytes is None else f"{letter.frame_bytes:,}",
        letter.did or "-",
        printable(letter.path),
    )


def as_json(letter: Letter, frame: bytes | None = None) -> str:
    """The letter as one line of JSON, with its frame in base64 if it is given."""
    fields: dict[str, Any] = {
        **letter._asdict(),
        "frame_sha256": None if letter.frame_sha256 is None else letter.frame_sha256.hex(),
    }
    if frame is not None:
        fields["frame"] = b64encode(frame).decode()
    return json.dumps(fields)


def shown(letter: Letter, frame: bytes | None) -> list[str]:
    """Everything about one letter, and the content of its frame."""
    fields = [
        ("id", str(letter.id)),
        ("seq", "-" if letter.seq is None else str(letter.seq)),
        ("did", letter.did or "- (not known)"),
        ("rev", letter.rev or "- (not known)"),
        ("path", printable(letter.path)),
        ("reason", printable(letter.reason)),
        ("detail", *[printable(line) for line in letter.detail.splitlines()]),
        ("waits for", " ".join(map(printable, letter.awaited)) if letter.awaited else ""),
        ("first seen", _time(letter.first_seen)),
        ("last seen", _time(letter.last_seen)),
        ("attempts", str(letter.attempts)),
        (
            "frame",
            "dropped because there was no more room, so it cannot be applied again"
            if frame is None
            else f"{len(frame):,} bytes",
        ),
    ]
    lines: list[str] = []
    for name, *texts in fields:
        lines += [f"{name if not place else '':<12}{text}" for place, text in enumerate(texts) if text]
    return lines if frame is None else [*lines, "", *_frame(frame)]


def _frame(frame: bytes) -> list[str]:
    try:
        values = decode_frame(frame)
    except (ValueError, RecursionError) as error:
        return [f"It does not decode ({printable(str(error))[:MAX_TEXT]}). It begins:", *_dump(frame)]
    lines = [f"value {place}: {_plain(value)}" for place, value in enumerate(values) if not isinstance(value, dict)]
    for value in values:
        if isinstance(value, dict):
            fields = cast("dict[str, object]", value)
            lines += [f"{printable(name)[:MAX_TEXT]:<12}{_plain(field)}" for name, field in fields.items() if name != "ops"]
    return lines + _operations(frame, values)


def _operations(frame: bytes, values: list[object]) -> list[str]:
    """What each operation is, with the record as JSON where it can be read."""
    event = decode(frame)
    if not isinstance(event, Commit):
        payload = cast("dict[str, object]", values[1]) if len(values) == 2 and isinstance(values[1], dict) else {}
        return [f"op          {printable(path)[:MAX_TEXT]}" for path in record_paths(payload.get("ops"))]
    lines: list[str] = []
    for op in event.ops:
        lines.append(f"{op.action:<12}{op.collection}/{op.rkey}")
        if op.block is not None:
            try:
                lines.append(f"{'':<12}{printable(json.dumps(to_json_form(op.block)))}")
            except Rejected as refusal:
                lines.append(f"{'':<12}unreadable: {printable(str(refusal))}")
    return lines + [f"unusable    {printable(op.path)}: {op.reason} {printable(op.detail)}" for op in event.refused]


def _plain(value: object) -> str:
    """A field of a frame, in a few words."""
    match value:
        case bytes() if len(value) == 36 and value[:1] == b"\x01":
            return libipld.encode_cid(value)
        case bytes():
            return f"{len(value):,} bytes"
        case str():
            return printable(value[:MAX_TEXT])
        case list():
            return f"{len(cast('list[object]', value)):,} values"
        case dict():
            return f"a map of {len(cast('dict[str, object]', value)):,}"
        case _:
            return json.dumps(value)


def _dump(frame: bytes) -> list[str]:
    rows = [frame[at : at + 16] for at in range(0, min(len(frame), DUMPED), 16)]
    return [
        f"{16 * place:06x}  {row.hex(' '):<47}  {''.join(chr(byte) if 32 <= byte < 127 else '.' for byte in row)}"
        for place, row in enumerate(rows)
    ]


def _time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
