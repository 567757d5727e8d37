"""Which accounts are whose, where several workers share the stream: by a hash of the DID that every process and language has.

CRC-32 (zlib's, of the DID's UTF-8 bytes) modulo the number of parts: 0.1 µs, without a secret, even over 64 parts. Who makes
accounts for one part at will could do so with any hash that is known.
"""

from typing import NamedTuple
from zlib import crc32


def part_of(did: str, parts: int) -> int:
    """The part that the account is in, 0 to `parts` - 1."""
    return crc32(did.encode("utf-8", "surrogatepass")) % parts


class Share(NamedTuple):
    """One of `of` workers, with the accounts of its part; `number` counts from 1. 1 of 1 has all.

    0 of so many has some parts, which ones is known elsewhere (unified_indexer/stream/), and gets no others' events.
    """

    number: int = 1
    of: int = 1

    @property
    def sorts(self) -> bool:
        """Whether events of others come too."""
        return self.number > 0 and self.of > 1

    def takes(self, did: str) -> bool:
        """Whether the account is this share's; what is nobody's (an empty DID) is one share's as well."""
        return not self.sorts or part_of(did, self.of) == self.number - 1

    def service(self, host: str) -> str:
        """The name of what a share has for itself (lock, cursor, runs, gaps): the relay's host where there is one share."""
        return host if self.of == 1 else f"{host}#{self.number}/{self.of}"

    def siblings(self) -> "list[Share]":
        """All shares of the same number, itself included."""
        return [Share(number, self.of) for number in range(1, self.of + 1)]


WHOLE = Share()
