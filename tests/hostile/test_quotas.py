"""Quotas: clients with ``max_slots`` that try to have more."""

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from farmkit.busybox_jobs import id_of, shell
from farmkit.farm import Farm
from farmkit.processes import wait_until
from farmkit.raw_client import RawClient
from sccachedist.auth.clients import digest_of
from tests.functional.conftest import running_farm
from tests.hostile.attacks import NO_INPUTS
from tests.hostile.conftest import asleep
from tests.support.slots import all_slots_free

TOKENS = "scd_ann", "scd_ann_too"
#: For how long jobs sleep, as no other program on this machine does.
SLEEP = f"3{os.getpid()}"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm with eight slots, of which ``ann`` may have one, by either token."""
    folder = tmp_path_factory.mktemp("farm")
    tokens = ", ".join(f'{{ sha256 = "{digest_of(token)}" }}' for token in TOKENS)
    (folder / "clients.toml").write_text(f"[ann]\nmax_slots = 1\ntokens = [{tokens}]\n")
    yield from running_farm(
        Farm(
            folder,
            scheduler_settings='[clients]\nfile = "../clients.toml"\n',
            server_settings="[capacity]\ncpus = 8\n",
        )
    )


@pytest.fixture
def anns(farm: Farm, archive: Path) -> list[RawClient]:
    """The client with each of its tokens, at two addresses; its toolchain is there."""
    ann = RawClient.of(farm, strict=False)
    anns = [attrs.evolve(ann, client_token=token, address=f"127.0.3.{n + 1}") for n, token in enumerate(TOKENS)]
    anns[0].run_job(anns[0].ready(archive, id_of(archive)), shell("true"), NO_INPUTS)
    all_slots_free(farm, 20)
    return anns


def test_jobs_that_come_late(farm: Farm, anns: list[RawClient], archive: Path) -> None:
    """A client that lets slots go by, one after the other, and comes for all of them at once, keeps one."""
    late = [anns[number % 2] for number in range(4)]
    jobs = [ann.slot(id_of(archive)).job_alloc for ann in late]
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [
            pool.submit(ann.run, job, shell(f"exec sleep {SLEEP}"), NO_INPUTS)
            for ann, job in zip(late, jobs, strict=True)
        ]
        try:
            wait_until(lambda: sum(each.done() for each in running) == len(jobs) - 1, 30, "the others are sent home")
            wait_until(lambda: len(asleep(SLEEP)) == 1, 10, "one runs")
            assert [each.result().status for each in running if each.done()] == [500] * (len(jobs) - 1)
        finally:
            for pid in asleep(SLEEP):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    assert "(limit: max_slots of the client)" in farm.scheduler.log.read_text()
    all_slots_free(farm, 20)
