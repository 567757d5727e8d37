"""What a benchmark ran on, in lines to print: figures without it say nothing."""

import os
import platform
import statistics
import time
from pathlib import Path

import asyncpg
import psutil

from unified_indexer.embedded.server import PostgresServer

SYNCS = 100  # of which the median counts
SHOWN_SETTINGS = ("fsync", "shared_buffers", "max_wal_size", "checkpoint_timeout", "full_page_writes", "wal_compression")


async def describe(server: PostgresServer, folder: Path) -> list[str]:
    """Machine, disk, versions and the settings of the server. `folder`: where the server's data are."""
    connection = await asyncpg.connect(server.url)
    version = await connection.fetchval("SHOW server_version")
    settings = [f"{name} {await connection.fetchval(f'SHOW {name}')}" for name in SHOWN_SETTINGS]
    await connection.close()
    return [
        f"Machine     {hardware()}",
        f"Disk        {_file_system(folder)}; to write 8 kB durably takes {1000 * _sync_time(folder):.2f} ms",
        f"Load before {', '.join(f'{load:.1f}' for load in os.getloadavg())} (1, 5, 15 minutes)",
        "Settings    the worker's defaults: DB_POOL_SIZE 20, SYNCHRONOUS_COMMIT on (every commit durable)",
        f"Software    Python {platform.python_version()}, PostgreSQL {version} (embedded, over a unix socket)",
        f"PostgreSQL  {', '.join(settings)}",
    ]


def hardware() -> str:
    """Processor, cores, memory and system, in a line."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB RAM, {platform.system()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown file system"


def _sync_time(folder: Path) -> float:
    """Seconds that it takes to write a page for good: the least that a durable commit alone takes."""
    times: list[float] = []
    path = folder / "sync"
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(bytes(8192))
            began = time.perf_counter()
            getattr(os, "fdatasync", os.fsync)(file.fileno())  # macOS has fsync alone
            times.append(time.perf_counter() - began)
    path.unlink()
    return statistics.median(times)
