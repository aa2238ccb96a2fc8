"""A full farm and real clients: their shares by weight, and by address where they show one token."""

import hashlib
import itertools
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from farmkit.busybox_jobs import write_toolchain
from farmkit.farm import Farm
from farmkit.processes import wait_until
from farmkit.published_client import Client, Override
from tests.faults.network import ip
from tests.functional.conftest import running_farm
from tests.support.farm_api import farm_document
from tests.support.own_network import own_network

pytestmark = pytest.mark.functional

#: The CPUs of the farm, and its slots with them; the seconds of each compile, which takes next to no CPU.
CPUS, SLOTS, COMPILE_SECS = 8, 10, 2
#: Addresses of this host, each a network of its own: who asks a scheduler at one of them comes from there.
ADDRESSES = ("10.79.0.2", "10.79.0.3")
WEIGHTS = {"light": 1, "heavy": 3}
#: What each of them compiles at a time, more than its part of the slots.
THREADS = 20
#: So many compiles of both are counted, when the crowd of their first requests is over.
COUNTED = 80


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm on a host with two addresses, and clients with the names and weights of :data:`WEIGHTS`."""
    folder = tmp_path_factory.mktemp("farm")
    clients = folder / "clients.toml"
    clients.touch(mode=0o600)
    clients.write_text("".join(map(_table, WEIGHTS)))
    settings = (
        f'[clients]\nfile = "{clients}"\n[records]\nfile = "{folder / "records"}"\n[queue]\nmax_wait_secs = 300\n'
    )
    with own_network():
        ip("link", "add", "card0", "type", "bridge")
        for address in ADDRESSES:
            ip("addr", "add", f"{address}/32", "dev", "card0")
        ip("link", "set", "card0", "up")
        farm = Farm(folder, scheduler_settings=settings, server_settings=f"[capacity]\ncpus = {CPUS}\n")
        farm.scheduler_host = "0.0.0.0"
        yield from running_farm(farm)


def _table(name: str) -> str:
    digest = hashlib.sha256(_token(name).encode()).hexdigest()
    return f'[{name}]\nweight = {WEIGHTS[name]}\ntokens = [{{ sha256 = "{digest}" }}]\n'


def _token(name: str) -> str:
    return f"scd_{name:x<43}"


@contextmanager
def client(farm: Farm, folder: Path, token: str, address: str = ADDRESSES[0]) -> Iterator[Client]:
    """A client whose compiler sleeps on the farm, from an address."""
    folder.mkdir()
    compiler = folder / "gcc"
    compiler.write_text('#!/bin/sh\nexec /usr/bin/gcc "$@"\n')
    compiler.chmod(0o755)
    script = f'sleep {COMPILE_SECS}; while [ $# -gt 0 ]; do [ "$1" = -o ] && echo object > "$2"; shift; done'
    archive = write_toolchain(folder / "slow.tar.gz", {"/usr/bin/gcc": script})
    (folder / "file.c").write_text("int one(void) { return 1; }\n")
    override = Override(compiler, archive, "/usr/bin/gcc")
    url = f"http://{address}:{farm.scheduler_port}"
    with Client(folder / "client", url, token, folder / "tc", [override]) as started:
        yield started


def compile_command(started: Client, output: str) -> list[str]:
    folder = started.folder.parent
    return [str(folder / "gcc"), "-c", "file.c", "-o", output]


def compile_once(started: Client, output: str) -> float:
    """The seconds of one compile."""
    began = time.monotonic()
    ended = started.compiling(compile_command(started, output), started.folder.parent).run(300)
    assert ended.returncode == 0, ended
    return time.monotonic() - began


def test_weights(farm: Farm, tmp_path: Path) -> None:
    """Of a full farm, a client of weight 3 has three times the slot-seconds of one of weight 1, within a tenth."""
    over = threading.Event()
    with ExitStack() as stack, ThreadPoolExecutor(2 * THREADS) as threads:
        clients = {name: stack.enter_context(client(farm, tmp_path / name, _token(name))) for name in WEIGHTS}
        for name, started in clients.items():
            compile_once(started, f"{name}.first")

        def build(name: str, thread: int) -> None:
            for number in itertools.count():
                if over.is_set():
                    return
                compile_once(clients[name], f"{name}-{thread}-{number}.o")

        builds = [threads.submit(build, name, thread) for name in WEIGHTS for thread in range(THREADS)]
        try:
            wait_until(lambda: at_farm(farm) >= 2 * THREADS - SLOTS // 2, 120, "both have all their requests there")
            there = time.time()
            wait_until(lambda: len(ended_since(farm, there)) > 2 * SLOTS, 120, "their begin is over")
            begin = time.time()
            wait_until(lambda: len(ended_since(farm, begin)) > COUNTED, 240, "enough compiles have ended")
        finally:
            over.set()
        for each in builds:
            each.result()
    window = begin, ended_since(farm, begin)[COUNTED]
    held = {name: sum(slot_seconds(record, *window) for record in records(farm, name)) for name in WEIGHTS}
    assert held["heavy"] / held["light"] == pytest.approx(3, rel=0.1), held


def records(farm: Farm, name: str = "") -> list[dict[str, Any]]:
    """The records of the builds' compiles that are over, of one client or of all."""
    lines = (farm.folder / "records").read_text().splitlines()
    outputs = [(record, Path(record["output"] or "").name) for record in map(json.loads, lines)]
    return [record for record, output in outputs if output.startswith(name) and output.endswith(".o")]


def ended_since(farm: Farm, begin: float) -> list[float]:
    """When the compiles ended that have ended since then."""
    return sorted(record["ended"] for record in records(farm) if record["ended"] > begin)


def slot_seconds(record: dict[str, Any], begin: float, end: float) -> float:
    """For how long a compile had a slot within a window."""
    assert record["outcome"] == "compiled", record
    has_it = float(record["asked"] + record["phases"]["queue_wait"])
    return max(0.0, min(float(record["ended"]), end) - max(has_it, begin))


def test_a_large_build_and_a_small_one(farm: Farm, tmp_path: Path) -> None:
    """With one token, at two addresses: ``-j400`` does not keep ``-j4`` waiting for twice its time."""
    with ExitStack() as stack, ThreadPoolExecutor(4) as threads:
        large, small = (
            stack.enter_context(client(farm, tmp_path / name, farm.client_token, address))
            for name, address in zip(("large", "small"), ADDRESSES, strict=True)
        )

        def median(name: str) -> float:
            outputs = [f"{name}-{number}" for number in range(12)]
            return statistics.median(threads.map(lambda output: compile_once(small, output), outputs))

        compile_once(large, "first")
        alone = median("alone")
        for number in range(400):
            command = large.compiling(compile_command(large, f"large-{number}"), large.folder.parent)
            started = subprocess.Popen(command.arguments, env=command.environment, cwd=command.folder)
            stack.callback(started.wait)
            stack.callback(started.kill)
        wait_until(lambda: waiting(farm) >= 100, 120, "the large build waits for slots")
        beside = median("beside")
        assert waiting(farm) >= 50
    assert beside <= 2 * alone, (beside, alone)


def at_farm(farm: Farm) -> int:
    """How many requests wait for a slot or have one."""
    told = farm_document(farm, "status")
    return int(told["running"]) + int(told["waiting"])


def waiting(farm: Farm) -> int:
    """How many requests wait for a slot."""
    return int(farm_document(farm, "status")["waiting"])
