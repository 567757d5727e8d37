"""Why a repo was not fetched, and what follows from it. Pure."""

from enum import StrEnum
from typing import NamedTuple

from unified_indexer.identity.errors import FetchError, NotAllowed
from unified_indexer.protocol.repo_failures import RepoError


class Kind(StrEnum):
    """What follows."""

    RETRY = "retry"  # an attempt that failed; the pause grows with their number
    INCOMPLETE = "incomplete"  # the same, of a repo that lacked some of its blocks
    LATER = "later"  # nobody could be asked; no attempt was made
    UNAVAILABLE = "unavailable"  # its server does not show it, with authority: no failure
    REFUSED = "refused"  # what came is not what its account signed: once a day
    STOPPED = "stopped"  # the one who asked does not want it any more


class Failed(NamedTuple):
    """`reason`: a fixed word. `after`: seconds until it is of use to ask again, where the host said so."""

    reason: str
    kind: Kind
    after: float | None = None


# The lexicon's errors of getRepo by which a server says that it does not show a repo, and not that the question failed.
HIDDEN = {
    "RepoNotFound": "not_found",
    "RepoDeactivated": "deactivated",
    "RepoTakendown": "takendown",
    "RepoSuspended": "suspended",
}
MOVED = frozenset(("not_found", "deactivated"))  # what the server of before says of an account that has moved


def of_answer(status: int, error: str | None, message: str | None) -> Failed:
    """What an answer other than 200 means, and not too much was asked. Older servers have no name for a repo that is absent."""
    if error in HIDDEN:
        return Failed(HIDDEN[error], Kind.UNAVAILABLE)
    if status in (404, 410) or (status == 400 and "not find repo" in (message or "").lower()):
        return Failed("not_found", Kind.UNAVAILABLE)
    return Failed("server_error" if status >= 500 else "no_repo_served", Kind.RETRY)


def of_error(error: FetchError) -> Failed:
    """What follows when no answer came, or our rules forbid the question."""
    return Failed(error.reason, Kind.REFUSED if isinstance(error, NotAllowed) else Kind.RETRY)


def of_repo(error: RepoError) -> Failed:
    """What follows from a repo that is not proven."""
    return Failed(error.reason, Kind.INCOMPLETE if error.failure.incomplete else Kind.REFUSED)
