"""A PDS: what it says of the repositories of its accounts. Errors are those that the lexicons com.atproto.sync.* name.

Whole repositories (getRepo, listRepos, getRecord) are not served yet: their methods belong into METHODS.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from aiohttp import web

from relay_simulator.hosts.answers import Answers, told
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.standing import Standing

_ERRORS = {"deactivated": "RepoDeactivated", "suspended": "RepoSuspended", "takendown": "RepoTakendown"}

Method: TypeAlias = Callable[[Standing], web.Response]


def _repo_status(standing: Standing) -> web.Response:
    body: dict[str, object] = {"did": standing.did, "active": standing.active}
    if standing.status is not None:
        body["status"] = standing.status
    if standing.active and standing.rev is not None:
        body["rev"] = standing.rev
    return told(body)


def _latest_commit(standing: Standing) -> web.Response:
    if not standing.active and standing.status in _ERRORS:
        return _refused(_ERRORS[standing.status], standing.did)
    if standing.rev is None or standing.status == "deleted":
        return _refused("RepoNotFound", standing.did)
    return told({"cid": standing.commit, "rev": standing.rev})


METHODS: dict[str, Method] = {"getRepoStatus": _repo_status, "getLatestCommit": _latest_commit}
"""By the name that follows com.atproto.sync."""


class Pds:
    """One of the two hosts; an account that has left it stands here as deactivated."""

    def __init__(self, ledger: Ledger, answers: Answers, number: int) -> None:
        self._ledger = ledger
        self._answers = answers
        self._number = number

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        return [web.get(f"/xrpc/com.atproto.sync.{name}", self._handler(name, method)) for name, method in METHODS.items()]

    def _handler(self, name: str, method: Method) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            did = request.query.get("did", "")
            return await self._answers.give(request, name, did, lambda _: self._answer(did, method))

        return handle

    def _answer(self, did: str, method: Method) -> web.Response:
        standing = self._ledger.standing(did)
        if standing is None or standing.number >= self._ledger.settings.accounts:
            return _refused("RepoNotFound", did)
        if standing.pds == self._number:
            return method(standing)
        if standing.pds != self._ledger.first(standing.number).pds:
            return method(replace(standing, active=False, status="deactivated"))
        return _refused("RepoNotFound", did)


def _refused(error: str, did: str) -> web.Response:
    return told({"error": error, "message": f"{error}: {did}"}, 400)
