"""The schema's steps: files that never change once they are released, and of which none is missing."""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from testing.documents import ROOT
from unified_indexer.database.schema import migrations

FOLDER = ROOT / "unified_indexer" / "database" / "schema" / "migrations"
# By file, the start of its SHA-256. A step gets its line when it is added; after its release the line never changes.
STEPS = {
    "0001_repos_and_dead_letters.sql": "31e25398bc96d4b7",
    "0002_accounts_and_rebuild.sql": "643a29faa8133668",
    "0003_gaps_runs_sizes.sql": "ca9d55acca018a91",
    "0004_commit_times_and_judgements.sql": "229e4f9004f943bb",
    "0005_identities.sql": "ee898f512501e501",
    "0006_sync_states.sql": "b5a2450d460b0afc",
    "0007_confirmed_accounts.sql": "fe809f4698229091",
    "0008_repairs.sql": "5430d1b76a1a83d2",
    "0009_listings.sql": "1cf5b84321bfe14b",
    "0010_backfill_minutes.sql": "9e0e4cbedbaa403e",
    "0011_outbox.sql": "ae46726b6107890c",
    "0012_frames_size.sql": "7bf241fd0614a77c",
    "0013_repair_shares.sql": "8ca96d3bdc439522",
    "0014_blind_and_refused.sql": "a55de80762d6e41b",
}


def test_every_step_has_its_line() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == list(STEPS)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_what_it_was(name: str) -> None:
    digest = sha256((FOLDER / name).read_bytes()).hexdigest()
    assert digest.startswith(STEPS[name]), f"databases that have run {name} never run it again: undo the change, add a step"
    assert len(STEPS[name]) == 16


def test_the_steps_are_read_in_the_order_of_their_numbers() -> None:
    assert list(migrations.MIGRATIONS) == [(FOLDER / name).read_text(encoding="utf-8") for name in STEPS]


@pytest.mark.parametrize("missing", list(STEPS)[:-1])
def test_a_missing_step_is_an_error(missing: str, tmp_path: Path) -> None:
    """Without it, the next one would pass for it."""
    folder = tmp_path / "migrations"
    shutil.copytree(FOLDER, folder)
    (folder / missing).unlink()
    with pytest.raises(ValueError, match="is missing"):
        migrations.read(folder)
