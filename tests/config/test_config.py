"""Settings and the command line: defaults, every fault in one message, and no password anywhere."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from dotenv import dotenv_values
from hypothesis import given, settings
from hypothesis import strategies as st

from unified_indexer.command_line.cli import parse
from unified_indexer.config.addresses import normalised_relay
from unified_indexer.config.chosen import Chosen
from unified_indexer.config.database_url import redacted
from unified_indexer.config.settings import SETTINGS, Address, Config
from unified_indexer.errors import OperatorError
from unified_indexer.shares import Share
from unified_indexer.version import VERSION

ROOT = Path(__file__).parents[2]
URL = "postgresql://user:hunter2@db.example:5432/app"


def faults(**env: str) -> list[str]:
    with pytest.raises(OperatorError) as error:
        Config.from_env({"DATABASE_URL": URL} | env)
    return error.value.faults


def test_defaults() -> None:
    assert Config.from_env({"DATABASE_URL": URL}) == Config(
        database_url=URL,
        relay_url="wss://bsky.network",
        relay_host="bsky.network",
        stream=None,
        publish=None,
        publish_length=1_000_000,
        db_pool_size=20,
        log_level="INFO",
        cursor="live",
        synchronous_commit=True,
        standby=False,
        share=Share(1, 1),
        idle_timeout=60.0,
        collections=("*",),
        chosen=Chosen(),
        http_bind=Address("127.0.0.1", 8080, chosen=False),
        http_hosts=(),
        ready_lag=60.0,
        log_format="text",
        verify="full",
        hold_unproven=False,
        audit_rate=6,
        backfill="repair",
        backfill_source=None,
        backfill_concurrency=64,
        backfill_host_concurrency=10,
        backfill_records=0,
        backfill_limit=0,
        notify_repaired=7,
        plc_urls=("https://plc.directory",),
        plc_rate=5,
        identity_ttl=86_400.0,
        allow_private_hosts=False,
        dns_servers=(),
        otlp_endpoint=None,
    )


def test_everything_set() -> None:
    env = {
        "DATABASE_URL": " postgres:///app?host=/run/postgresql&sslmode=disable&application_name=x&options=-c%20a%3Db ",
        "RELAY_URL": "ws://Relay_Simulator:2470/xrpc/com.atproto.sync.subscribeRepos",
        "DB_POOL_SIZE": "1",
        "LOG_LEVEL": "debug",
        "CURSOR": "9223372036854775807",
        "SYNCHRONOUS_COMMIT": "OFF",
        "STANDBY": "1",
        "SHARE": "3/12",
        "IDLE_TIMEOUT": "1.5",
        "COLLECTIONS": "app.bsky.*, fm.teal.alpha.feed.play,app.bsky.*",
        "HTTP_BIND": "[::1]:0",
        "HTTP_HOSTS": "Worker.example, ,[::1],10.0.0.7,Worker.example",
        "READY_LAG_SECONDS": "0",
        "LOG_FORMAT": "JSON",
        "AUDIT_RATE": "60",
        "BACKFILL": "Off",
        "BACKFILL_SOURCE": "http://Mirror:2583/",
        "BACKFILL_CONCURRENCY": "256",
        "BACKFILL_HOST_CONCURRENCY": "1",
        "BACKFILL_RECORDS_PER_SECOND": "5000",
        "BACKFILL_DATABASE_LIMIT": "900",
        "NOTIFY_REPAIRED": "30",
        "VERIFY": "Signatures",
        "VERIFY_UNPROVEN": "HOLD",
        "PLC_URL": "http://PLC:2582, https://plc.directory:443/,http://[::1]:80",
        "PLC_RATE": "100",
        "IDENTITY_TTL": "60",
        "ALLOW_PRIVATE_HOSTS": "ON",
        "DNS_SERVERS": "9.9.9.9,127.0.0.1:5353, ::1, [::1]:54",
    }
    config = Config.from_env(env)
    assert config.database_url == env["DATABASE_URL"].strip()
    assert (config.relay_url, config.relay_host) == ("ws://relay_simulator:2470", "relay_simulator:2470")
    assert (config.db_pool_size, config.log_level, config.cursor) == (1, "DEBUG", 2**63 - 1)
    assert (config.synchronous_commit, config.standby, config.idle_timeout) == (False, True, 1.5)
    assert (config.share, config.service) == (Share(3, 12), "relay_simulator:2470#3/12")
    assert config.collections == ("app.bsky.*", "fm.teal.alpha.feed.play")
    assert (config.http_bind, str(config.http_bind)) == (Address("::1", 0, chosen=True), "[::1]:0")
    assert config.http_hosts == ("worker.example", "::1", "10.0.0.7")
    assert (config.ready_lag, config.log_format) == (0.0, "json")
    assert (config.verify, config.hold_unproven, config.audit_rate) == ("signatures", True, 60)
    assert (config.backfill, config.notify_repaired) == ("off", 30)
    assert config.backfill_source == "http://mirror:2583"
    assert (config.backfill_concurrency, config.backfill_host_concurrency) == (256, 1)
    assert (config.backfill_records, config.backfill_limit) == (5_000, 900)
    assert config.plc_urls == ("http://plc:2582", "https://plc.directory", "http://[::1]")
    assert (config.plc_rate, config.identity_ttl, config.allow_private_hosts) == (100, 60.0, True)
    assert config.dns_servers == (("9.9.9.9", 53), ("127.0.0.1", 5353), ("::1", 53), ("::1", 54))


@pytest.mark.parametrize(("text", "start"), [("live", None), ("Oldest", 0), ("0", 0), ("17", 17)])
def test_start(text: str, start: int | None) -> None:
    assert Config.from_env({"DATABASE_URL": URL, "CURSOR": text}).start == start


def test_empty_is_not_set() -> None:
    empty = {setting.name: " " for setting in SETTINGS if not setting.off}
    assert Config.from_env(empty | {"DATABASE_URL": URL}) == Config.from_env({"DATABASE_URL": URL})
    with pytest.raises(OperatorError, match="DATABASE_URL is not set"):
        Config.from_env(empty)


def test_an_empty_address_is_no_http(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Config.from_env({"DATABASE_URL": URL, "HTTP_BIND": ""}).http_bind is None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", URL)
    for written, environment, expected in (
        ("", None, None),
        ("", "h:1", Address("h", 1, chosen=True)),
        ("h:1", "", None),
        ("h:1", None, Address("h", 1, chosen=True)),
    ):
        Path(".env").write_text(f"HTTP_BIND={written}\n")
        monkeypatch.delenv("HTTP_BIND", raising=False)
        if environment is not None:
            monkeypatch.setenv("HTTP_BIND", environment)
        assert Config.from_env().http_bind == expected


def test_embedded_needs_no_database() -> None:
    assert Config.from_env({}, embedded=True).database_url == ""
    assert Config.from_env({"DATABASE_URL": "nonsense"}, embedded=True).database_url == ""


def test_every_fault_at_once() -> None:
    told = faults(
        DATABASE_URL="mysql://user:hunter2@host/db",
        RELAY_URL="https://bsky.network",
        DB_POOL_SIZE="many",
        LOG_LEVEL="LOUD",
        CURSOR="-1",
        SYNCHRONOUS_COMMIT="maybe",
        COLLECTIONS="app.bsky",
        ACCOUNTS="/nowhere",
        STANDBY="yes",
        SHARE="1",
        PUBLISH="http://user:hunter2@host",
        PUBLISH_LENGTH="0",
        IDLE_TIMEOUT="nan",
        HTTP_BIND="8080",
        HTTP_HOSTS="http://worker.example",
        READY_LAG_SECONDS="soon",
        LOG_FORMAT="xml",
        VERIFY="yes",
        VERIFY_UNPROVEN="wait",
        AUDIT_RATE="-1",
        BACKFILL="all",
        BACKFILL_SOURCE="relay",
        BACKFILL_CONCURRENCY="0",
        BACKFILL_HOST_CONCURRENCY="0",
        BACKFILL_RECORDS_PER_SECOND="-1",
        BACKFILL_DATABASE_LIMIT="-1",
        NOTIFY_REPAIRED="-1",
        PLC_URL="plc.directory",
        PLC_RATE="0",
        IDENTITY_TTL="0",
        ALLOW_PRIVATE_HOSTS="some",
        DNS_SERVERS="dns.example",
        OTEL_EXPORTER_OTLP_ENDPOINT="collector:4318",
    )
    assert [fault.split()[0] for fault in told] == [setting.name for setting in SETTINGS]
    assert "hunter2" not in "\n".join(told)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DB_POOL_SIZE", value) for value in ("0", "201", "-5", "1.5", "0x10", "٣", "9" * 5_000)),
        *(("CURSOR", value) for value in ("now", "-1", "1.0", str(2**63), "1_000", "²")),
        *(("IDLE_TIMEOUT", value) for value in ("-1", "0.5", "inf", "1e9", "1m")),
        *(("SHARE", value) for value in ("0/1", "2/1", "1/64", "1/0", "1-2", "1/2/3", "one/two", "-1/2")),
        *(("READY_LAG_SECONDS", value) for value in ("-1", "0.5", "inf", "3e9")),
        *(
            ("HTTP_BIND", value)
            for value in ("localhost", ":8080", "::1:8080", "[::1]", "a b:1", "[x]:1", "h:65536", "h:-1", "h:²")
        ),
        *(("PLC_RATE", value) for value in ("0", "1001", "x")),
        *(("IDENTITY_TTL", value) for value in ("0", "59", "inf", "1d")),
        *(("PLC_URL", value) for value in ("plc", "ftp://plc", "http://plc/x", "http://plc:0", "http://[x]")),
        *(("DNS_SERVERS", value) for value in ("dns.example", "1.1.1", "1.1.1.1:x", "::1:x", "1.1.1.1:99999")),
        *(("OTEL_EXPORTER_OTLP_ENDPOINT", value) for value in ("collector", "grpc://c:4317", "http://c:4318/v1/traces")),
        *(("VERIFY", value) for value in ("on", "true", "all")),
        ("VERIFY_UNPROVEN", "off"),
        *(("AUDIT_RATE", value) for value in ("-1", "601", "x")),
        *(("BACKFILL", value) for value in ("on", "repairs", "1")),
        *(("BACKFILL_SOURCE", value) for value in ("mirror.example", "wss://relay", "https://mirror/x")),
        *(("BACKFILL_CONCURRENCY", value) for value in ("0", "257", "x")),
        *(("BACKFILL_HOST_CONCURRENCY", value) for value in ("0", "257")),
        *(("BACKFILL_RECORDS_PER_SECOND", value) for value in ("-1", "1000001", "1.5")),
        *(("BACKFILL_DATABASE_LIMIT", value) for value in ("-1", "1000001", "1TB")),
        *(("NOTIFY_REPAIRED", value) for value in ("-1", "366", "x", "1.5")),
        *(("LOG_LEVEL", value) for value in ("TRACE", "20")),
        *(("SYNCHRONOUS_COMMIT", value) for value in ("true", "remote_apply")),
    ],
)
def test_values_out_of_range(name: str, value: str) -> None:
    (fault,) = faults(**{name: value})
    assert fault.startswith(f"{name} is {value[:40]!r}; write ")


@pytest.mark.parametrize("host", ["worker:8080", "a b", "[x]", "*.example", "worker/"])
def test_a_host_that_is_none_is_named(host: str) -> None:
    (fault,) = faults(HTTP_HOSTS=f"worker, {host}")
    assert fault.startswith(f"HTTP_HOSTS names {host!r}; write ")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RELAI_URL", "RELAY_URL"),
        ("relay_url", "RELAY_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("COLLECTION", "COLLECTIONS"),
        ("HTTP_HOST", "HTTP_HOSTS"),
        ("UNIFIED_WORKER_CURSOR", "CURSOR"),
        ("UNIFIED_WORKER_WORKERS", "--help"),
    ],
)
def test_what_is_nearly_a_setting_is_told(name: str, meant: str) -> None:
    (hint,) = Config.from_env({"DATABASE_URL": URL, name: "x"}).hints
    assert hint.startswith(f"{name} is not a setting")
    assert meant in hint


@pytest.mark.parametrize(
    "name",
    # Those of shells, libpq, proxies, the compose file, and what Kubernetes sets for services `relay` and `unified-worker`.
    ["PATH", "HOME", "PGPASSWORD", "HTTP_PROXY", "HTTP_PORT", "POSTGRES_PASSWORD", "DATABASE_USER", "LOG_FILE", "CURSORS_DIR",
     "RELAY_PORT", "RELAY_SERVICE_HOST", "UNIFIED_WORKER_PORT_8080_TCP_ADDR", "UNIFIED_WORKER_SERVICE_PORT_HTTP"],
)  # fmt: skip
def test_what_others_set_is_nobody_s_slip(name: str) -> None:
    assert Config.from_env({"DATABASE_URL": URL, name: "x"}).hints == ()


@pytest.mark.parametrize(
    ("written", "url", "hinted"),
    [
        ("127.0.0.1:2471", "ws://127.0.0.1:2471", False),
        ("localhost", "ws://localhost", False),
        ("[::1]:2471", "ws://[::1]:2471", False),
        ("wss://127.0.0.1:2471", "wss://127.0.0.1:2471", False),
        ("192.168.1.5:2471", "wss://192.168.1.5:2471", True),
        ("[fd00::7]", "wss://[fd00::7]", True),
        ("wss://10.0.0.7", "wss://10.0.0.7", False),
        ("ws://10.0.0.7", "ws://10.0.0.7", False),
        ("bsky.network", "wss://bsky.network", False),
        ("localhost.example", "wss://localhost.example", False),
    ],
)
def test_a_relay_without_a_scheme(written: str, url: str, *, hinted: bool) -> None:
    """On this machine there is no TLS; in a private network there may be none, which is said and not assumed."""
    config = Config.from_env({"DATABASE_URL": URL, "RELAY_URL": written})
    assert config.relay_url == url
    assert [f"write ws://{written} " in hint for hint in config.hints] == ([True] if hinted else [])


def test_one_slash_too_few_is_told() -> None:
    (fault,) = faults(RELAY_URL="wss:/bsky.network")
    assert fault == "RELAY_URL has one slash instead of two; write wss://host"


@pytest.mark.parametrize("pattern", ["app", "app.bsky*", "*.post", "app..post.*", ".*", "app.bsky.feed.post/x"])
def test_a_collection_that_is_none_is_named(pattern: str) -> None:
    (fault,) = faults(COLLECTIONS=f"app.bsky.feed.like, {pattern}")
    assert fault.startswith(f"COLLECTIONS names {pattern!r}; write ")


def test_accounts_are_a_file_or_whom_one_follows(tmp_path: Path) -> None:
    path = tmp_path / "dids"
    path.write_text("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa\n# none\n\n did:web:b.example  # two\n")
    given = {"DATABASE_URL": "postgresql:///app"}
    assert Config.from_env(given).chosen == Chosen()
    assert Config.from_env(given | {"ACCOUNTS": str(path)}).chosen == Chosen(
        frozenset({"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "did:web:b.example"})
    )
    following = Config.from_env(given | {"ACCOUNTS": "follows-of:did:web:b.example"}).chosen
    assert following == Chosen(frozenset({"did:web:b.example"}), "did:web:b.example")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "which cannot be read (FileNotFoundError)"),
        (b"did:plc:a\nalice.example\n", "where line 2 is 'alice.example'; write a DID per line"),
        (b"# nobody\n", "which holds no DID"),
        (b"\xff\xfe", "which cannot be read (UnicodeDecodeError)"),
    ],
)
def test_a_file_of_accounts_that_is_none_is_told(text: bytes | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "d"
    if text is not None:
        path.write_bytes(text)
    (fault,) = faults(ACCOUNTS=str(path))
    assert fault.startswith("ACCOUNTS names ")
    assert told in fault


def test_whom_nobody_follows_is_told() -> None:
    (fault,) = faults(ACCOUNTS="follows-of:alice.example")
    assert fault.startswith("ACCOUNTS is 'follows-of:alice.example'; write follows-of:did:plc:")


# ── DATABASE_URL


@pytest.mark.parametrize(
    ("query", "remedy"),
    [
        ("pgbouncer=true", "a pooler in transaction mode"),
        ("connection_limit=5", "set DB_POOL_SIZE"),
        ("schema=public", "search_path="),
        ("pool_timeout=10", "remove it"),
        ("channel_binding=require", "remove it"),
        ("ssl=true", "sslmode=require"),
        ("Application_Name=x", "remove it"),
    ],
)
def test_parameters_that_the_client_lacks_are_named(query: str, remedy: str) -> None:
    (fault,) = faults(DATABASE_URL=f"{URL}?sslmode=require&{query}")
    assert repr(query.partition("=")[0]) in fault
    assert remedy in fault


def test_all_parameters_are_named_at_once() -> None:
    assert len(faults(DATABASE_URL=f"{URL}?schema=a&pgbouncer=true&schema=b&connection_limit=1")) == 3


@pytest.mark.parametrize(
    "url",
    [
        "host=db user=u password=hunter2",
        "u:hunter2@db/app",
        "postgresql+asyncpg://u:hunter2@db/app",
        "POSTGRES://u:hunter2@db/app",
        "postgres://u:hunter2#x@db/app",
        "postgres://u:hunter2@x@db/app",
        "postgres://u:hunter2/x@db/app",
        "postgres://u:hunter2?x@db/app",
        "postgres://u:[hunter2@db/app",
        "postgres://u:hunter2@db:port/app",
        "postgres://u:hunter2@db:99999/app",
        "postgres://u:hunter2@[::1/app",
        "postgres://u:hunter2@db/app?password=hunter2&sslmode",
        "postgres://db/app?pass%77ord=hunter2&schema=x",
    ],
)
def test_an_unusable_url_is_told_without_its_password(url: str) -> None:
    told = "\n".join(faults(DATABASE_URL=url))
    assert told.startswith("DATABASE_URL")
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "url",
    ["postgres://", "postgres:///app", "postgres://a:1,b:2/app?target_session_attrs=read-write", "postgres://u@[::1]:5432/app"],
)
def test_usable_urls(url: str) -> None:
    assert Config.from_env({"DATABASE_URL": url}).database_url == url


secrets = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=1).map(lambda text: f"S3cr{text}3t")


@settings(deadline=None)  # a busy machine is no fault
@given(secrets)
def test_redacted_hides_whatever_the_password_holds(secret: str) -> None:
    for url in (
        f"postgres://user:{secret}@host:5432/db",
        f"postgres://user:{quote(secret, safe='')}@host/db?sslmode=require",
        f"postgres://host/db?sslmode=require&password={quote(secret, safe='')}",
        f"postgres://host/db?sslp%61ssword={quote(secret, safe='')}&host=x",
        f"user:{secret}@host",
    ):
        for part in (secret, quote(secret, safe=""), "S3cr", "3t"):
            assert part not in redacted(url)


def test_redacted_shows_the_rest() -> None:
    assert redacted("postgres://user:pw@host:1/db?sslmode=require") == "postgres://user:***@host:1/db?sslmode=require"
    assert redacted("postgres:///db") == "postgres:///db"
    assert redacted("postgres://user@host/db") == "postgres://user@host/db"


def test_repr_shows_no_password() -> None:
    config = Config.from_env({"DATABASE_URL": URL})
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(replace(config, log_level="DEBUG"))


@settings(deadline=None)
@given(st.text())
def test_any_database_url_is_either_taken_or_refused(url: str) -> None:
    for candidate in (url, f"postgresql://{url}"):
        try:
            Config.from_env({"DATABASE_URL": candidate})
        except OperatorError:
            continue
        assert candidate.strip().startswith("postgres")


# ── RELAY_URL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bsky.network", "wss://bsky.network"),
        ("BSKY.network:443", "wss://bsky.network"),
        ("localhost:2470", "ws://localhost:2470"),
        ("ws://127.0.0.1:80/", "ws://127.0.0.1"),
        ("ws://[::1]:2470", "ws://[::1]:2470"),
        ("wss://relay.example:80", "wss://relay.example:80"),
    ],
)
def test_relays(text: str, expected: str) -> None:
    assert normalised_relay(text) == expected
    config = Config.from_env({"DATABASE_URL": URL, "RELAY_URL": text})
    assert config.relay_host == expected.partition("://")[2]


@pytest.mark.parametrize(
    "text",
    [
        "https://bsky.network",
        "wss://",
        "wss://user:hunter2@relay.example",
        "wss://relay.example/firehose",
        "wss://relay.example?cursor=5",
        "wss://relay.example:0",
        "wss://relay.example:70000",
        "wss://relay .example",
        "wss://-relay.example",
        "wss://" + "a" * 64 + ".example",
        "wss://[::1",
        "wss://rélay.example",
    ],
)
def test_unusable_relays(text: str) -> None:
    (fault,) = faults(RELAY_URL=text)
    assert fault.startswith("RELAY_URL ")
    assert "hunter2" not in fault


@pytest.mark.parametrize(
    ("text", "shown"), [("http://u@plc", "***@plc"), ("http://plc?x", "http://plc?***"), ("https://plc/?x@y", "***@y")]
)
def test_an_unusable_address_is_shown_without_what_may_be_secret(text: str, shown: str) -> None:
    (fault,) = faults(PLC_URL=text)
    assert fault.startswith(f"PLC_URL is {shown!r}; write ")


@pytest.mark.parametrize("name", ["RELAY_URL", "PUBLISH", "PLC_URL", "BACKFILL_SOURCE", "OTEL_EXPORTER_OTLP_ENDPOINT"])
@pytest.mark.parametrize(
    "rest",
    [
        "user:hunter2@10.0.0.5:6379",
        "hunter2@10.0.0.5",
        "user:pass?hunter2@10.0.0.5",
        "10.0.0.5?api_key=hunter2",
        "10.0.0.5/?api_key=hunter2",
        "10.0.0.5/?api_key=hunter2@x",
        "user:hunter2@host.example/",
    ],
)
@pytest.mark.parametrize("scheme", ["", "https://", "wss://", "redis:/", "mysql://"])
def test_nothing_that_is_said_of_an_unusable_address_holds_its_secret(name: str, rest: str, scheme: str) -> None:
    config = Config.from_env({"DATABASE_URL": URL, name: scheme + rest}, tolerant=True)
    assert [fault.split()[0] for fault in config.faults] == [name]
    assert "hunter2" not in " ".join((*config.faults, *config.hints))


@settings(deadline=None)
@given(st.text() | st.text(st.sampled_from("ws:/.[]@a1-?#")))
def test_any_relay_is_either_normal_afterwards_or_refused(text: str) -> None:
    try:
        url = normalised_relay(text)
    except ValueError:
        return
    assert normalised_relay(url) == url
    assert re.fullmatch(r"wss?://[a-z0-9_.:\[\]-]+", url)


# ── where settings come from


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    Path(".env").write_text("DATABASE_URL='postgres://u:a${HOME}b@db/app'\nDB_POOL_SIZE=5\nCURSOR=oldest\nLOG_LEVEL=\n")
    monkeypatch.setenv("DB_POOL_SIZE", "7")
    monkeypatch.setenv("CURSOR", "")
    config = Config.from_env()
    assert config.database_url == "postgres://u:a${HOME}b@db/app"
    assert (config.db_pool_size, config.cursor, config.log_level) == (7, "oldest", "INFO")


def test_a_file_that_is_no_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_bytes(b"DATABASE_URL=\xff\xfe")
    with pytest.raises(OperatorError, match=r"\.env cannot be read"):
        Config.from_env()


def test_the_example_file_names_every_setting_with_its_default() -> None:
    written = dotenv_values(ROOT / ".env.example")
    assert list(written) == [setting.name for setting in SETTINGS]
    for setting in SETTINGS:
        assert written[setting.name] == setting.default or setting.name == "DATABASE_URL"
    Config.from_env({name: value for name, value in written.items() if value})


# ── the command line


def test_arguments() -> None:
    def read(*argv: str) -> tuple[Path | None, bool, str | None]:
        arguments = parse(argv)
        command = arguments.command and arguments.command.name
        return arguments.embedded, getattr(arguments.options, "reset_cursor", False), command

    assert read() == (None, False, None)
    assert read("--embedded") == (Path("data/postgres"), False, None)
    assert read("--reset-cursor", "--embedded", "/tmp/x") == (Path("/tmp/x"), True, None)
    assert read("rebuild-derived", "--embedded", "/tmp/x") == (Path("/tmp/x"), False, "rebuild-derived")


@pytest.mark.parametrize("argv", [["--cursor"], ["--reset"], ["--embedded", "a", "b"]])
def test_unknown_arguments_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(argv)
    assert end.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["--help"])
    assert end.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for setting in SETTINGS:
        assert setting.name in shown
        assert setting.meaning in shown
    with pytest.raises(SystemExit) as end:
        parse(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == f"unified-worker {VERSION}"


def test_the_version_is_the_projects() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


# ── A stream's server, and PUBLISH


@pytest.mark.parametrize(
    "text", ["redis+sentinel://a:26379/x", "redis+cluster://a", "rediss+sentinel://u:hunter2@a", "redis://u:hunter2@a:1,b:2/0"]
)
def test_servers_that_are_not_followed_are_named_with_the_remedy(text: str) -> None:
    (fault,) = faults(RELAY_URL=text)
    assert fault.startswith("RELAY_URL names sentinels, a cluster, or several hosts")
    assert "write the primary's address" in fault
    assert "hunter2" not in fault


def test_shares_of_a_stream_s_server_are_its_partitions() -> None:
    (fault,) = faults(RELAY_URL="redis://h", SHARE="1/2")
    assert fault == "SHARE is 1/2, and RELAY_URL names a server whose partitions workers share by themselves; remove it"


@pytest.mark.parametrize(
    "text", ["host", "redis://h:0", "redis+sentinel://h", "redis://user:hunter2@a,b", "redis://h/x", "redis://h?relay=x"]
)
def test_an_unusable_publish_names_the_remedy_and_no_password(text: str) -> None:
    (fault,) = faults(PUBLISH=text)
    assert fault.startswith("PUBLISH ")
    assert "redis://user:password@host:6379/0" in fault
    assert "hunter2" not in fault
