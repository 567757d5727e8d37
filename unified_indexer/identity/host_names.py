"""Which names hosts on the public internet may have: https://atproto.com/specs/handle#handle-identifier-syntax lists the
top-level names that nobody may use for a handle; for a host of a did:web they are as useless."""

from unified_indexer.protocol.syntax import is_handle

RESERVED = frozenset(("alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"))


def is_host_name(text: str, *, allow_private: bool = False) -> bool:
    """Whether `text`, in lower case, is a name with a dot in it, whose last part is no number and not reserved.
    `allow_private`: reserved ones too, for tests."""
    return is_handle(text) and text == text.lower() and (allow_private or text.rpartition(".")[2] not in RESERVED)
