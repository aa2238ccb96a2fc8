"""``python -m tests.faults.one_upload``: a large toolchain, many build servers, and a client behind a slow line.

It prints how often the client was asked for the toolchain, and when each build server had compiled for the first time,
in seconds from the first one. Status 0 says that there was one upload and that all had compiled soon after the first.
With ``--store``, the toolchain lies in an object store when all build servers are new: then there has to be no upload.
For root; it takes some minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import attrs

from farmkit import program
from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SERVER
from farmkit.processes import wait_until
from farmkit.raw_client import RawClient
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import AllocJobSuccess, JobComplete
from tests.faults.alone import be_alone
from tests.faults.network import HERE, ethernet
from tests.support.object_stores import ObjectStoreProcess

_MODULE = "tests.faults.one_upload"
#: The variable with the client's token.
_TOKEN = "TOKEN"
_SETTINGS = "[capacity]\ncpus = 1\n\n[heartbeat]\nsecs = 1\n"
#: Seconds after the first compile in which all build servers have to have compiled, and for which that is waited for.
SOON_SECS, PATIENCE_SECS = 5.0, 120.0


def main() -> int:
    """Measure it; the result is the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__)
    parser.add_argument("--bytes", type=int, default=215_000_000, help="of the toolchain's archive")
    parser.add_argument("--servers", type=int, default=8)
    parser.add_argument("--rate", default="20mbit", help="of the client's line, in tc's words")
    parser.add_argument("--store", action="store_true", help="the toolchain is in an object store already")
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.client is not None:
        scheduler, address, folder = chosen.client
        client = RawClient(ServerId.parse(scheduler), os.environ[_TOKEN], address, strict=True)
        print(json.dumps(_Client(client, Path(folder), chosen.servers).build()))
        return 0
    be_alone(_MODULE, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="sccachedist-upload-") as folder, ExitStack() as held:
        return _measure(chosen, Path(folder), held)


def _measure(chosen: argparse.Namespace, folder: Path, held: ExitStack) -> int:
    archive = write_toolchain(folder / "toolchain.tar.gz", {}, chosen.bytes)
    write_inputs(folder / "inputs", {"/input": b"text"})
    (folder / "first").mkdir()
    connect = held.enter_context(ethernet())
    settings = _SETTINGS
    if chosen.store:
        store = held.enter_context(ObjectStoreProcess(folder, HERE).running())
        store.put(id_of(archive), archive.read_bytes())
        settings += store.settings
    first = Farm(folder / "first", scheduler_host=HERE, server_host=HERE, server_settings=settings)
    held.enter_context(first)
    for number in range(2, chosen.servers + 1):
        (folder / f"server{number}").mkdir()
        other = first.beside(folder / f"server{number}", OUR_SERVER, HERE)
        held.callback(other.stop)
        other.start_server()
    wait_until(lambda: first.status().num_servers == chosen.servers, 120, "all are registered")
    host = connect("client")
    slow = (
        "tc",
        "qdisc",
        "add",
        "dev",
        "eth0",
        "root",
        "tbf",
        "rate",
        chosen.rate,
        "burst",
        "64kb",
        "latency",
        "400ms",
    )
    subprocess.run([*host.within, *slow], check=True)
    asked = (f"{HERE}:{first.scheduler_port}", host.address, str(folder))
    command = [*host.within, sys.executable, "-m", _MODULE, "--servers", str(chosen.servers), "--client", *asked]
    environment = os.environ | {_TOKEN: first.client_token}
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)
    print(f"{archive.stat().st_size} bytes, {chosen.servers} build servers, a line of {chosen.rate}")
    print(f"uploads: {told['uploads']}; the first compile was over after {told['first_secs']:.1f} s")
    print("seconds to the first compile of each:", *(f"{seconds:.1f}" for seconds in told["first_compiles"]))
    all_have = len(told["first_compiles"]) == chosen.servers
    return 0 if all_have and told["uploads"] == (not chosen.store) and told["first_compiles"][-1] <= SOON_SECS else 1


@attrs.define
class _Client:
    """Compiles at all build servers of a farm."""

    client: RawClient
    folder: Path
    servers: int
    uploads: int = 0
    first_compiles: dict[str, float] = attrs.field(factory=dict)
    is_there: threading.Event = attrs.field(factory=threading.Event)

    def build(self) -> dict[str, object]:
        """Bring the toolchain, ask for slots meanwhile as a build would, and then compile everywhere."""
        archive = self.folder / "toolchain.tar.gz"
        name, servers = id_of(archive), self.servers
        began = time.monotonic()
        first = self.client.slot(name)
        ended = threading.Event()
        builds = [threading.Thread(target=self._compile_until, args=(name, servers, ended)) for _ in range(servers)]
        if first.need_toolchain:
            self._bring(name, first, archive)
            self._run(first)
        else:
            builds.append(threading.Thread(target=self._run, args=(first,)))
        for each in builds:
            each.start()
        for each in builds:
            each.join()
        origin = min(self.first_compiles.values())
        times = sorted(when - origin for when in self.first_compiles.values())
        return {"uploads": self.uploads, "first_secs": origin - began, "first_compiles": times}

    def _bring(self, name: str, first: AllocJobSuccess, archive: Path) -> None:
        asking = threading.Thread(target=self._ask_meanwhile, args=(name,))
        asking.start()
        self.client.submit_toolchain(first.job_alloc, archive)
        self.uploads += 1
        self.is_there.set()
        asking.join()

    def _ask_meanwhile(self, name: str) -> None:
        while not self.is_there.wait(3.0):
            allocated = self.client.alloc(name)
            self.uploads += isinstance(allocated, AllocJobSuccess) and allocated.need_toolchain

    def _compile_until(self, name: str, servers: int, ended: threading.Event) -> None:
        deadline = time.monotonic() + PATIENCE_SECS
        while not ended.is_set() and time.monotonic() < deadline:
            allocated = self.client.alloc(name)
            if isinstance(allocated, AllocJobSuccess):
                self.uploads += allocated.need_toolchain
                self._run(allocated)
            if len(self.first_compiles) == servers:
                ended.set()

    def _run(self, allocated: AllocJobSuccess) -> None:
        request = shell("cat < /input > /copy; sleep 1", "/copy")
        result = self.client.run_job(allocated.job_alloc, request, self.folder / "inputs")
        if isinstance(result, JobComplete):
            self.first_compiles.setdefault(str(allocated.job_alloc.server_id), time.monotonic())


if __name__ == "__main__":
    program.run(main)
