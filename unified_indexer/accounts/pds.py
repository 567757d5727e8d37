"""What a PDS says of a repo, in two questions.

Source: the lexicons com.atproto.sync.getRepoStatus and com.atproto.sync.getLatestCommit.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import quote

from unified_indexer.identity.errors import FetchError, Unreachable
from unified_indexer.protocol.syntax import is_tid

MOST_BYTES = 4_096  # of an answer
NOT_FOUND = "RepoNotFound"
# Errors of getLatestCommit by which a PDS says that it does not show the repo, and not that the question failed.
HIDDEN = frozenset({NOT_FOUND, "RepoTakendown", "RepoSuspended", "RepoDeactivated"})

is_status = re.compile(r"[a-z][a-z_-]{0,39}").fullmatch


class Http(Protocol):
    """Who fetches: the identities' client."""

    async def get_json(self, url: str, limit: int = MOST_BYTES) -> object:
        """The JSON at `url`. Raises FetchError."""
        ...


class RepoStatus(NamedTuple):
    """`status`: why it is not active, in the protocol's word; None if the PDS does not say."""

    active: bool
    status: str | None

    @property
    def deleted(self) -> bool:
        """Whether it is gone for good."""
        return not self.active and self.status == "deleted"


async def repo_status(http: Http, pds: str, did: str) -> RepoStatus:
    """Whether a PDS has the account active. One that does not know it counts as deleted. Raises FetchError."""
    try:
        said = await _ask(http, pds, "getRepoStatus", did)
    except FetchError as error:
        if error.error == NOT_FOUND:
            return RepoStatus(active=False, status="deleted")
        raise
    active, status = said.get("active"), said.get("status")
    if not isinstance(active, bool) or said.get("did", did) != did:
        raise Unreachable("bad_answer")
    return RepoStatus(active, status if isinstance(status, str) and is_status(status) else None)


async def latest_rev(http: Http, pds: str, did: str) -> str | None:
    """The rev of the newest commit that a PDS has; None if it does not show the repo. Raises FetchError."""
    try:
        said = await _ask(http, pds, "getLatestCommit", did)
    except FetchError as error:
        if error.error in HIDDEN:
            return None
        raise
    rev = said.get("rev")
    if not isinstance(rev, str) or not is_tid(rev):
        raise Unreachable("bad_answer")
    return rev


async def _ask(http: Http, pds: str, method: str, did: str) -> Mapping[str, Any]:
    said = await http.get_json(f"{pds}/xrpc/com.atproto.sync.{method}?did={quote(did, safe='')}", MOST_BYTES)
    if not isinstance(said, dict):
        raise Unreachable("bad_answer")
    return cast("dict[str, Any]", said)
