"""The command serves the hosts beside its relay, and says what a worker needs to ask them."""

import asyncio
import json
import re
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from relay_simulator.generator import Settings
from relay_simulator.hosts.ledger import Ledger
from testing.processes import spawned

PROJECT = Path(__file__).parents[2]
DEADLINE = 60.0
SAID = re.compile(
    r"directory at (\S+), PDS hosts at (\S+) and (\S+), DNS at (\S+) \(UDP\)\n"
    r"a worker's settings: PLC_URL=(\S+) PLC_RATE=100 ALLOW_PRIVATE_HOSTS=on DNS_SERVERS=(\S+)\n"
)


@pytest.mark.long
@pytest.mark.parametrize("stream", [["--commits", "60"], ["--now", "--rate", "100"]])
async def test_the_command_serves_the_hosts(stream: list[str]) -> None:
    options = ["--port", "0", "--accounts", "20", "--web-accounts", "1", "--fault", "export=503"]
    command = [sys.executable, "-u", "-m", "relay_simulator", *options, *stream]
    async with spawned(*command, cwd=PROJECT) as process, asyncio.timeout(DEADLINE):
        assert process.stdout is not None
        assert b" at ws://" in await process.stdout.readline()
        said = SAID.fullmatch((await process.stdout.readline() + await process.stdout.readline()).decode())
        assert said is not None
        directory, first, _, dns = said.groups()[:4]
        assert said.groups()[4:] == (directory, dns)
        did = Ledger(Settings(accounts=20)).did(1)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{directory}/{did}") as answer:
                document = json.loads(await answer.text())
            async with session.get(f"{directory}/export") as answer:
                assert answer.status == 503
            async with session.get(f"{first}/xrpc/com.atproto.sync.getRepoStatus", params={"did": did}) as answer:
                assert (await answer.json())["active"] is True
        assert document["id"] == did
        assert document["service"][0]["serviceEndpoint"] == first


@pytest.mark.parametrize("options", [["--fault", "plc=what"], ["--change", "7@9=keys"]])
async def test_what_is_no_fault_or_change_is_said(options: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay_simulator", *options, cwd=PROJECT, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(DEADLINE):
        error = (await process.communicate())[1]
    assert process.returncode == 2
    assert options[0].encode() in error.splitlines()[-1]


@pytest.mark.parametrize("option", ["--port", "--directory-port"])
async def test_a_port_that_is_taken_is_said_in_a_line(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        options = ["--port", "0", option, str(other.getsockname()[1]), "--now", "--rate", "1", "--accounts", "20"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "relay_simulator", *options, cwd=PROJECT, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(DEADLINE):
            error = (await process.communicate())[1].decode()
    assert process.returncode == 1
    (line,) = error.splitlines()
    assert line.startswith("relay_simulator: ")
    assert "in use" in line
