"""Recount what the worker keeps of accounts, for a check: who shows a handle, and whose deletion is to be confirmed."""

from unified_indexer.database.recount.compare import Kind, Scope, Source
from unified_indexer.database.recount.rows import said

LAST = 2**63 - 1  # where a seq is not known: behind all others
THERE = said(there="true")


def handles(schema: str) -> Kind:
    """Who claims a handle shows it if nobody stands before; nobody else shows it."""
    mine, other = (f"({r}.handle_place, coalesce({r}.place_seq, {LAST}), {r}.did)" for r in "ro")

    def should(scope: Scope) -> str:
        first = f"""NOT EXISTS (SELECT FROM unified_worker.repos AS o
      WHERE o.handle = r.handle AND o.handle_place <= r.handle_place AND {other} < {mine})"""
        shown = f"CASE WHEN r.handle_place IS NOT NULL AND {first} THEN r.handle ELSE 'handle.invalid' END"
        return f"""SELECT r.did AS key, {said(handle=shown)}, false AS optional
    FROM unified_worker.repos AS r JOIN {schema}.users AS u USING (did) WHERE r.handle IS NOT NULL AND {scope.only("r.did")}"""

    return Kind(
        name="users.handle",
        should=should,
        has=lambda _: (
            f"""SELECT u.did AS key, {said(handle="u.handle")} FROM {schema}.users AS u
    WHERE u.did IN (SELECT key FROM should)"""
        ),
        remedy="SELECT unified_worker.show_handle('…')",
        sources=(Source("unified_worker.repos", "t.did", "t.handle IS NOT NULL"),),
    )


def deletions() -> Kind:
    """Every account whose deletion is not confirmed is asked about: nothing else would ever show it again, or wipe it."""
    return Kind(
        name="deletions",
        should=lambda scope: (
            f"""SELECT r.did AS key, {THERE}, false AS optional FROM unified_worker.repos AS r
    WHERE r.status = 'deletion_unconfirmed' AND NOT r.active AND {scope.only("r.did")}"""
        ),
        has=lambda scope: f"SELECT d.did AS key, {THERE} FROM unified_worker.deletions AS d WHERE {scope.only('d.did')}",
        remedy="INSERT INTO unified_worker.deletions (did) VALUES ('…')",
        sources=(
            Source("unified_worker.repos", "t.did", "t.status = 'deletion_unconfirmed'"),
            Source("unified_worker.deletions", "t.did"),
        ),
    )
