"""What is seen of several schedulers: asked of any of them, with a real store of the lock and real daemons."""

import json
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from farmkit.busybox_jobs import shell, write_inputs
from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, PROGRAMS
from farmkit.processes import Command, inherited, wait_until
from sccachedist.records.documents import JobsDocument, NoticesDocument
from tests.functional.conftest import running_farm, with_toolchain
from tests.support.farm_api import farm_document
from tests.support.redis_servers import RedisServer
from tests.support.two_schedulers import two_schedulers

pytestmark = pytest.mark.functional

_SECS = 60


@attrs.frozen
class Seen:
    """Two schedulers, of which the second one is that of a build server, and their store."""

    first: Farm
    second: Farm
    store: RedisServer

    @property
    def urls(self) -> list[str]:
        """Of both, as rows have them."""
        return sorted((self.first.scheduler_url, self.second.scheduler_url))

    def status(self, farm: Farm) -> tuple[int, dict[str, Any]]:
        """The exit status and the document of ``sccachedist status``, asked of one of them."""
        token = farm.folder / "client.token"
        token.write_text(farm.client_token)
        arguments = "status", "--json", "--scheduler", farm.scheduler_url, "--token-file", str(token)
        ended = Command((str(PROGRAMS / "sccachedist"), *arguments), inherited(), CHECKOUT).run()
        return ended.returncode, json.loads(ended.stdout) if ended.stdout else {}

    def doctor(self) -> tuple[int, list[str]]:
        """The exit status of the doctor, asked with the file of the first one, and what it says of several."""
        config = self.first.folder / "scheduler" / "scheduler.conf"
        arguments = str(PROGRAMS / "sccachedist"), "doctor", "--config", str(config)
        ended = Command(arguments, inherited(), CHECKOUT).run()
        return ended.returncode, [line for line in ended.stdout.splitlines() if " cluster." in line]

    def until(self, farm: Farm, wanted: Callable[[dict[str, Any]], bool], what: str) -> tuple[int, dict[str, Any]]:
        """Wait until one of them says something; returns what it then says."""
        found: list[tuple[int, dict[str, Any]]] = []

        def is_so() -> bool:
            found.append(self.status(farm))
            return bool(found[-1][1]) and wanted(found[-1][1])

        wait_until(is_so, _SECS, what)
        return found[-1]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Both schedulers, of which the first one leads, and a build server."""
    folders = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    with RedisServer(tmp_path_factory.mktemp("redis")).running() as store:
        first, second = two_schedulers(folders, store)
        try:
            first.start_scheduler()
            wait_until(lambda: "this scheduler leads" in first.scheduler.log.read_text(), _SECS, "the first one leads")
            for _ in running_farm(second):
                yield Seen(first, second, store)
        finally:
            first.stop()


def test_all_are_well(seen: Seen) -> None:
    """Asked of either, the status has both, who leads and by which number; nothing needs attention."""
    both = {seen.first.scheduler_url: "leads", seen.second.scheduler_url: "follows"}
    for farm in (seen.first, seen.second):
        status, document = seen.until(
            farm,
            lambda told: {row["url"]: row["state"] for row in told["schedulers"]} == both and not told["attention"],
            "both are known, and all is well",
        )
        assert status == 0
        assert [row["url"] for row in document["schedulers"]] == seen.urls
        (number,) = [row["number"] for row in document["schedulers"] if row["number"] is not None]
        assert number > 1_700_000_000_000_000
        assert all(row["version"] == document["version"] for row in document["schedulers"])


def test_the_doctor_of_several(seen: Seen) -> None:
    """It asks the store and each scheduler."""
    assert seen.doctor() == (
        0,
        [
            f"ok       cluster.lock: the store answers; {seen.first.scheduler_url} leads",
            *sorted(
                f"ok       cluster.schedulers: {farm.scheduler_url} {state}, with the same secrets"
                for farm, state in ((seen.first, "leads"), (seen.second, "follows"))
            ),
        ],
    )


def differ(wanted: dict[str, list[str]], told: dict[str, Any]) -> bool:
    """Whether schedulers differ in certain parts."""
    return {row["url"]: row["differs"] for row in told["schedulers"]} == wanted


def test_a_secret_that_differs(seen: Seen) -> None:
    """The status says so with status 1, though the one that has it follows; a reload mends it."""
    config = seen.second.folder / "scheduler" / "scheduler.conf"
    text = config.read_text()
    for written, parts in ((text.replace(seen.second.client_token, "another"), ["client_auth"]), (text, [])):
        config.write_text(written)
        seen.second.scheduler.process.send_signal(signal.SIGHUP)
        wanted = {seen.first.scheduler_url: [], seen.second.scheduler_url: parts}
        status, document = seen.until(seen.second, partial(differ, wanted), "what differs is known")
        assert status == len(document["attention"]) == len(parts)
        told, lines = seen.doctor()
        assert told == len(parts)
        assert any(f"{seen.second.scheduler_url} has another client_auth" in line for line in lines) is bool(parts)


def test_the_store_is_away(seen: Seen) -> None:
    """The status says so after a while, with status 1, and no longer when the store is back."""
    seen.store.kill()
    said = "The store of the lock does not answer "
    status, document = seen.until(
        seen.second,
        lambda told: any(each["text"].startswith(said) for each in told["attention"]),
        "the store is missed",
    )
    assert status == 1
    assert any(row["store_silent_since"] for row in document["schedulers"])
    told, lines = seen.doctor()
    assert (told, [line[:32] for line in lines if "FAILED" in line]) == (1, ["FAILED   cluster.lock: redis://1"])
    seen.store.start()
    seen.until(seen.second, lambda told: not told["attention"], "the store is back")


def test_a_take_over(seen: Seen, tmp_path: Path) -> None:
    """The one that has died is silent; who took over, and by which number, is in events and in records."""
    seen.first.scheduler.kill()
    status, document = seen.until(
        seen.second,
        lambda told: (
            {row["url"]: row["state"] for row in told["schedulers"]}
            == {seen.first.scheduler_url: "silent", seen.second.scheduler_url: "leads"}
        ),
        "the second one leads, and misses the first",
    )
    assert status == 1
    (silent,) = [each for each in document["attention"] if each["about"] == seen.first.scheduler_url]
    assert "has been silent for" in silent["text"]
    (number,) = [row["number"] for row in document["schedulers"] if row["number"] is not None]
    notices = farm_document(seen.second, "notices", NoticesDocument)["notices"]
    assert (seen.second.scheduler_url, f"it leads, as number {number}") in {
        (notice["about"], notice["text"]) for notice in notices if notice["kind"] == "leader"
    }
    wait_until(lambda: seen.second.status().num_servers == 1, _SECS, "the build server is known again")
    client, job = with_toolchain(seen.second, tmp_path)
    client.run_job(job, shell("true"), write_inputs(tmp_path / "inputs", {}))
    wait_until(lambda: farm_document(seen.second, "jobs")["jobs"], _SECS, "the job has a record")
    (record,) = farm_document(seen.second, "jobs", JobsDocument)["jobs"]
    assert (record["scheduler"], record["term"]) == (seen.second.scheduler_url, number)
