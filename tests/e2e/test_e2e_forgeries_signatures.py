"""Every kind of forgery through a worker with VERIFY=signatures: what that level promises, it keeps; the rest is in a table.

Nobody writes for an account, changes a record, deletes an account or takes a handle (docs/trust.md).
"""

import pytest

from testing.forgeries import AT_SIGNATURES, OUTCOMES
from tests.e2e.test_e2e_forgeries import Seen, rev_of, seen_at
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.protocol.failures import Failure

ALL = OUTCOMES | AT_SIGNATURES
NEEDS_FULL = {Failure.TREE_MISMATCH, Failure.BAD_TREE, Failure.DOWNGRADED_COMMIT}  # names of what a proof of the whole finds


@pytest.fixture(scope="module")
def seen(pg18: PostgresServer) -> Seen:
    """One run, for all tests."""
    return seen_at(pg18, "signatures")


def test_all_tables_are_the_model_s_without_what_was_forged(seen: Seen) -> None:
    """What a hidden operation wrote is missing in the model, too."""
    assert seen.differences == []


def test_nothing_honest_is_refused(seen: Seen) -> None:
    assert seen.honest_letters() == {}


@pytest.mark.parametrize("kind", ALL)
def test_each_kind_comes_to_what_this_level_promises(seen: Seen, kind: str) -> None:
    came, outcome = seen.came[kind], ALL[kind]
    refused = outcome.refused or outcome.unusable
    assert (dict(came.counted), came.letters) == (({refused: 1}, {refused}) if refused else ({}, set()))
    assert came.repo["sync_reason"] == outcome.marked
    assert (came.repo["rev"] == rev_of(came.forged)) == (refused is None and outcome.ignored is None)


def test_only_what_a_proof_of_the_whole_finds_may_pass() -> None:
    assert {OUTCOMES[kind].marked or OUTCOMES[kind].refused for kind in AT_SIGNATURES} == NEEDS_FULL


def test_of_an_account_that_nobody_knows_nothing_is_applied(seen: Seen) -> None:
    came = seen.came["unknown-did"]
    assert (came.letters, came.repo) == ({"no_identity"}, None)


def test_a_deletion_that_the_account_s_host_denies_takes_nothing(seen: Seen) -> None:
    repo = seen.repos[seen.came["false-deletion"].forged.did]
    assert (repo["active"], repo["status"]) == (True, None)


def test_nobody_gets_the_handle_of_another(seen: Seen) -> None:
    assert seen.handles_of_others() == {}
