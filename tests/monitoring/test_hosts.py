"""By which names HTTP answers: a page that leads its own name to this machine is not answered."""

import pytest

from unified_indexer.monitoring.http.hosts import Hosts


@pytest.mark.parametrize(
    ("bound", "named", "answered", "refused"),
    [
        ("127.0.0.1", (), "127.0.0.1:8080 127.0.0.1 localhost LOCALHOST:9 localhost. [::1]:8080 127.0.0.7", "10.0.0.7 worker"),
        ("::1", (), "[::1]:8080 [0:0:0:0:0:0:0:1] localhost", "[fd00::7]:80 worker:80"),
        ("10.0.0.7", (), "10.0.0.7:8080 localhost", "10.0.0.8 10.0.0.7.evil.example"),
        ("fd00::7", (), "[fd00::7]:8080 [FD00:0::7]", "[fd00::8]"),
        ("Worker", (), "worker:8080 WORKER", "worker.evil.example 10.0.0.7"),
        ("0.0.0.0", (), "10.0.0.7:8080 203.0.113.9 [fd00::7]:1 localhost", "unified-worker:8080 evil.example"),
        ("::", (), "10.0.0.7:8080 [fd00::7]", "evil.example 10.0.0.7.nip.io"),
        (
            "127.0.0.1",
            ("unified-worker", "10.0.0.7"),
            "unified-worker:8080 10.0.0.7:80",
            "unified-worker.evil.example 10.0.0.8",
        ),
        ("127.0.0.1", ("*",), "evil.example unified-worker:1", ""),
    ],
)
def test_what_is_answered(bound: str, named: tuple[str, ...], answered: str, refused: str) -> None:
    hosts = Hosts(bound, named)
    assert {host: hosts.allow(host) for host in answered.split()} == dict.fromkeys(answered.split(), True)
    assert {host: hosts.allow(host) for host in refused.split()} == dict.fromkeys(refused.split(), False)


@pytest.mark.parametrize(
    "host",
    ["", " ", "localhost evil.example", "localhost@evil.example", "evil.example#localhost", "localhost:80:80", "[::1", "127.1",
     "localhost/evil", "2130706433", "xn--\u212a", "localhost\n", "a" * 10_000],
)  # fmt: skip
def test_what_is_no_name_is_refused(host: str) -> None:
    assert not Hosts("127.0.0.1", ()).allow(host)
    assert not Hosts("0.0.0.0", ()).allow(host)
