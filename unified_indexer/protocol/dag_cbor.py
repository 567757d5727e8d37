"""Strict DAG-CBOR decoding, safe against values that claim more than they hold.

The decoder makes room for a list or map by the length that its head states, once a level: nested heads that each claim all of
the remaining bytes make 2 GB and five seconds of one hostile record of 1 MB. So what could do that is looked through first.
"""

import libipld

MAX_VALUES = 100_000  # in a record or a message; decoded, they take up to 10 MB and 20 ms

_SMALL_BLOCK_BYTES = 1024  # can claim 3 MB and 0.3 ms at most; nearly every record is smaller
_SMALL_FRAME_BYTES = 8192  # the same for what comes from the relay itself: up to 200 MB for a moment, if it means harm
_WIDE_HEADS = b"\x99\x9a\x9b\xb9\xba\xbb"  # each the first byte of a list or map of more than 255, or part of a text or hash
_MAX_CLAIM = 300_000  # values that wide heads may claim together, each at most the block's size: 2.4 MB of room


def decode(block: bytes) -> object:
    """The value of a block. Raises ValueError (not strict DAG-CBOR, or over 100,000 values) or RecursionError."""
    size = len(block)
    if (
        size > _SMALL_BLOCK_BYTES
        and (size > MAX_VALUES or (size - len(block.translate(None, _WIDE_HEADS))) * size > _MAX_CLAIM)
        and overclaims(block)
    ):
        raise ValueError("claims more values than it may hold")
    return libipld.decode_dag_cbor(block)


def decode_frame(frame: bytes) -> list[object]:
    """The values that a message holds, one after another. Raises as `decode`."""
    if len(frame) > _SMALL_FRAME_BYTES and overclaims(frame):
        raise ValueError("claims more values than it may hold")
    return libipld.decode_dag_cbor_multi(frame)


def overclaims(data: bytes) -> bool:
    """Whether lists and maps say that they hold more values than `data` has bytes, or more than 100,000.

    Reads the heads alone, in their order, 0.2 µs each; where they end being CBOR, the decoder ends too.
    """
    size = len(data)
    limit = min(size, MAX_VALUES)
    at = claimed = 0
    for _ in range(MAX_VALUES):
        if at >= size:
            return False
        kind, length = data[at] & 0xE0, data[at] & 0x1F
        at += 1
        if length > 27:
            return False
        if length > 23:
            width = 1 << length - 24
            length = int.from_bytes(data[at : at + width], "big")
            at += width
        if kind == 0x80:
            claimed += length
        elif kind == 0xA0:
            claimed += 2 * length
        elif kind == 0x40 or kind == 0x60:
            at += length
        if claimed > limit:
            return True
    return at < size
