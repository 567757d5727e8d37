"""The workflows of the code host, as far as they can be held here: what they may do, what they run, and when they publish."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from unified_indexer.version import VERSION

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))
# What each job may do; it must ask for no more, and what is not here reads the source only.
MORE = {
    ("release.yml", "publish"): {"id-token": "write", "attestations": "write"},
    ("release.yml", "image"): {"contents": "read", "packages": "write", "id-token": "write", "attestations": "write"},
    ("site.yml", "publish"): {"pages": "write", "id-token": "write"},
}
READ = {"contents": "read"}


def workflow(name: str) -> dict[str, Any]:
    whole = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return whole | {"on": whole[True]}  # YAML 1.1 reads the word `on` so


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job.get("steps", [])]


def step_with(job: dict[str, Any], action: str) -> dict[str, Any]:
    (found,) = (step for step in job["steps"] if step.get("uses", "").startswith(f"{action}@"))
    return found


def test_there_are_the_workflows_that_are_held_here() -> None:
    assert {"ci.yml", "release.yml", "site.yml"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_job_may_do_no_more_than_it_must(name: str) -> None:
    whole = workflow(name)
    assert whole["permissions"] in ({}, READ)
    for job_name, job in whole["jobs"].items():
        assert job.get("permissions", READ) == MORE.get((name, job_name), READ), job_name
        assert "timeout-minutes" in job or "uses" in job, job_name


@pytest.mark.parametrize("name", NAMES)
def test_an_action_is_a_commit_and_its_version_is_said(name: str) -> None:
    uses = re.findall(r"uses: (.*)", (FOLDER / name).read_text(encoding="utf-8"))
    assert uses
    for use in uses:
        assert re.fullmatch(r"(\./\S+|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)", use), use


@pytest.mark.parametrize("name", NAMES)
def test_what_a_step_runs_is_sound(name: str) -> None:
    """And takes nothing from an event into the shell's text: what others may name would be run."""
    for step in steps(name):
        script = step.get("run", "")
        assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True).stderr == ""
        assert set(re.findall(r"\$\{\{ *([\w.-]+) *\}\}", script)) <= {"matrix.python"}, script


def test_an_action_that_fetches_the_source_leaves_no_password_in_a_release() -> None:
    fetched = [step for step in steps("release.yml") if step.get("uses", "").startswith("actions/checkout@")]
    assert fetched
    assert all(step["with"]["persist-credentials"] is False for step in fetched)


def test_only_a_tag_that_names_the_version_publishes() -> None:
    release = workflow("release.yml")
    assert release["on"] == {"push": {"tags": ["v*"]}}
    jobs = release["jobs"]
    (check,) = (step["run"] for step in jobs["package"]["steps"] if step.get("id") == "version")
    assert 'test "v$version" = "$GITHUB_REF_NAME"' in check
    compared, path = check.partition("epoch=")[0], f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for tag, code in (("v0.0.0", 1), (f"v{VERSION}", 0)):
        done = subprocess.run(["bash", "-ec", compared], cwd=ROOT, env={"PATH": path, "GITHUB_REF_NAME": tag})
        assert done.returncode == code
    for name in ("publish", "image"):
        assert jobs[name]["needs"] == ["test", "package"]
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert "workflow_call" in workflow("ci.yml")["on"]


def test_a_change_of_the_documents_is_built_before_it_lands_and_published_after() -> None:
    site = workflow("site.yml")
    assert site["on"] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert "if" not in site["jobs"]["build"]
    assert site["jobs"]["publish"]["if"] == step_with(site["jobs"]["build"], "actions/upload-pages-artifact")["if"]
    assert site["jobs"]["publish"]["if"] == "github.event_name == 'push'"
    # A newer change ends the build of an older one of its own branch only.
    assert "github.ref" in site["concurrency"]["group"]


def test_what_the_tests_need_is_asked_for() -> None:
    """Where a program is missing its tests are skipped, and nobody sees it."""
    asked = (ROOT / ".ci" / "run").read_text(encoding="utf-8").split("for packages in", 1)[1].partition(";")[0].split()
    asked = {name.strip('"') for name in asked}
    assert {"postgresql-15", "pgbouncer", "haproxy", "prometheus", "chromium", "redis-server", "patroni"} <= asked
    assert {"zsh", "fish", "groff-base"} <= asked


def test_the_image_is_built_for_both_architectures_and_says_what_is_in_it() -> None:
    job = workflow("release.yml")["jobs"]["image"]
    build = step_with(job, "docker/build-push-action")
    assert build["with"]["platforms"] == "linux/amd64,linux/arm64"
    assert (build["with"]["provenance"], build["with"]["sbom"]) == ("mode=max", True)
    given = set(re.findall(r"^(\w+)=", build["with"]["build-args"], re.MULTILINE))
    arguments = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    assert given == arguments | {"SOURCE_DATE_EPOCH"}
    assert step_with(job, "actions/attest-build-provenance")["with"]["subject-digest"] == "${{ steps.build.outputs.digest }}"


def test_the_package_is_published_without_a_password() -> None:
    job = workflow("release.yml")["jobs"]["publish"]
    assert job["environment"] == "pypi"
    assert "with" not in step_with(job, "pypa/gh-action-pypi-publish")
    assert "secrets." not in (FOLDER / "release.yml").read_text(encoding="utf-8")
