"""Secrets in files: NAME_FILE, and systemd's credentials."""

from pathlib import Path

import pytest
import yaml

from testing.documents import blocks, read
from testing.processes import Process
from unified_indexer.config.environment import MOST_BYTES, in_file
from unified_indexer.config.settings import SECRETS, SETTINGS, Config
from unified_indexer.errors import OperatorError

SECRET = "hunter2geheim"
VALUES = {"DATABASE_URL": f"postgresql://user:{SECRET}@host/db", "RELAY_URL": f"redis://user:{SECRET}@host:6379/0"}
VALUES["PUBLISH"] = VALUES["RELAY_URL"]
PLAIN = {"DATABASE_URL": "postgresql://user@host/db"}


def faults_of(env: dict[str, str]) -> list[str]:
    config = Config.from_env(env, tolerant=True)
    assert SECRET not in str(config.faults)
    return list(config.faults)


def test_whatever_takes_a_password_is_a_secret() -> None:
    """So that no later setting with one is left out."""
    forms = ("postgresql://user:{}@host/db", "redis://user:{}@host:6379/0", "https://user:{}@host", "user:{}@host")
    takes = {
        setting.name
        for setting in SETTINGS
        if setting.name != "ACCOUNTS"  # a path
        for form in forms
        if not any(fault.startswith(setting.name) for fault in faults_of(PLAIN | {setting.name: form.format(SECRET)}))
    }
    assert takes == set(SECRETS)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_holds_what_the_variable_would(name: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes((VALUES[name] + end).encode())
    direct = Config.from_env(PLAIN | {name: VALUES[name]})
    others = {other: value for other, value in PLAIN.items() if other != name}
    assert Config.from_env(others | {in_file(name): str(path)}) == direct
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / name).write_bytes(path.read_bytes())
    handed = others | {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert Config.from_env(handed) == direct
    assert direct.hints == Config.from_env(handed | {name: ""}).hints == ()
    (twice,) = faults_of(handed | {in_file(name): str(path)})
    assert twice == f"{name} is set more than once, by {name}_FILE and the credential {name}: keep one of them"
    assert faults_of(PLAIN | {name: VALUES[name], in_file(name): str(path)}) == [
        f"{name} is set more than once, by {name} and {name}_FILE: keep one of them"
    ]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff", b"postgresql://u:hunter2geheim@h/d\nmore\n", b"a" * (MOST_BYTES + 1)])
def test_a_file_that_holds_no_value(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    (fault,) = faults_of({"DATABASE_URL_FILE": str(path)})
    assert fault.startswith("DATABASE_URL is in no usable file: DATABASE_URL_FILE leads to ")


def test_a_file_that_is_not_there_and_one_that_is_a_folder(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "FileNotFoundError"), (tmp_path, "IsADirectoryError")):
        (fault,) = faults_of({"DATABASE_URL_FILE": str(path)})
        assert f"which cannot be read ({why})" in fault
        with pytest.raises(OperatorError):
            Config.from_env({"DATABASE_URL_FILE": str(path)})
    assert Config.from_env({"DATABASE_URL_FILE": "/nowhere"}, embedded=True).database_url == ""


async def test_a_process_reads_it_and_shows_no_password(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"postgresql://user:{SECRET}@127.0.0.1:9/nothing\n")
    (tmp_path / ".env").write_text("DATABASE_URL_FILE=url\n")
    async with Process(tmp_path, "status") as process:
        assert await process.ends() == 2
    assert "no connection to postgresql://user:***@127.0.0.1:9/nothing" in process.output
    assert SECRET not in process.output


def test_the_examples_of_the_page_set_a_secret_by_a_file_and_nowhere_else() -> None:
    page = read("docs/settings.md")
    compose, pod = (list(yaml.safe_load_all(block)) for block in blocks(page, "yaml") if "DATABASE_URL_FILE" in block)
    worker = compose[0]["services"]["unified-worker"]
    assert worker["environment"]["DATABASE_URL"] == ""  # otherwise that of the file which it adds to would be the second
    (secret,) = worker["secrets"]
    assert worker["environment"]["DATABASE_URL_FILE"] == f"/run/secrets/{secret}"
    assert secret in compose[0]["secrets"]
    (container,) = pod[0]["spec"]["template"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    (variable,) = container["env"]
    assert variable == {"name": "DATABASE_URL_FILE", "value": f"{mount['mountPath']}/DATABASE_URL"}
    unit = read("deploy/systemd/unified-worker.service")
    assert "#LoadCredential=DATABASE_URL:/etc/unified-worker/database-url\n" in unit
