"""What is indexed: the collections and accounts that the operator wants, without the accounts that forbid it."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Selection:
    """`patterns`: NSIDs, or NSID prefixes that end in '.*', or '*' for all. `accounts`: DIDs, None for everybody. `opted_out`:
    DIDs that forbid indexing. Both sets of DIDs are replaced as a whole."""

    patterns: tuple[str, ...] = ("*",)
    opted_out: frozenset[str] = frozenset()
    accounts: frozenset[str] | None = None
    _known: dict[str, bool] = field(default_factory=dict[str, bool])

    def follows(self, did: str) -> bool:
        """Whether anything of the account is looked at; what is nobody's (an empty DID) is."""
        return self.accounts is None or did in self.accounts or not did

    def takes_account(self, did: str) -> bool:
        """Whether the account's records are indexed."""
        return did not in self.opted_out and self.follows(did)

    def takes_collection(self, collection: str) -> bool:
        """Whether the collection's records are indexed."""
        if self.patterns == ("*",):
            return True
        if collection not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[collection] = any(_matches(pattern, collection) for pattern in self.patterns)
        return self._known[collection]


_MOST_KNOWN = 4_096  # collections; the stream has some hundred, and may name any


def _matches(pattern: str, collection: str) -> bool:
    return collection == pattern or (pattern.endswith("*") and collection.startswith(pattern[:-1]))


EVERYTHING = Selection()
