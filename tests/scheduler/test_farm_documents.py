"""Rows of the farm's documents: why a build server gets no jobs, and what is known of a record."""

from typing import Any

import attrs
import pytest

from sccachedist.config.clients import DEFAULT, ClientClass, ClientSettings
from sccachedist.outcomes import Outcome
from sccachedist.records.ring import SUMMARY, Entry, entry_of
from sccachedist.scheduler.events import Fault
from sccachedist.scheduler.farm_documents import ClientSums, names, server_row
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.scheduler.standings import Standings
from sccachedist.wire.abilities import Abilities, GatewayFacts
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import A
from tests.scheduler.test_attention import FINE


def entry(client: str | None) -> Entry:
    return entry_of(JobId(1), 0.0, 1.0, client, str(A), "", Outcome.COMPILED, None)


@pytest.mark.parametrize(
    ("changes", "state", "why"),
    [
        ({}, "open", ""),
        ({"taken": FINE.slots}, "full", "all of its slots are taken"),
        ({"slots": 0, "lack": "no_memory"}, "busy", "it has no memory for one more job"),
        ({"slots": 1, "lack": "too_hot"}, "open", "it offers 1 slot for now; too_hot"),
        (
            {"slots": 2, "lack": "no_memory"},
            "open",
            "it offers 2 slots for now; it has no memory for one more job",
        ),
        (
            {"slots": 1, "taken": 1, "lack": "no_memory"},
            "full",
            "all slots that it offers are taken; it has no memory for one more job",
        ),
        (
            {"slowness": 3.21},
            "open",
            "its jobs take 3.2 times as long as usual: others get jobs first, and it gets no more than it has CPUs",
        ),
        ({"slowness": 1.4}, "open", ""),
        ({"unfit": "the disk is full"}, "unfit", "the disk is full"),
        ({"is_open": False, "drain": Drain("ann")}, "draining", "ann drains it"),
        ({"is_open": False}, "draining", "it takes no jobs: it drains itself"),
        ({"avoided_secs": 38.0, "avoided_why": Fault.NOT_TAKEN}, "avoided", "it did not take a job; again in 38 s"),
    ],
)
def test_why_a_server_gets_no_jobs(changes: dict[str, Any], state: str, why: str) -> None:
    """In words that an administrator can act on."""
    row = server_row(attrs.evolve(FINE, **changes))
    assert (row["state"], row["why"]) == (state, why)


def test_workers() -> None:
    """Of a gateway it is told how many are there."""
    gateway = attrs.evolve(FINE, abilities=Abilities(gateway=GatewayFacts(3, 24)))
    assert server_row(gateway)["workers"] == {"live": 3, "cpus": 24}
    assert server_row(FINE)["workers"] is server_row(attrs.evolve(FINE, abilities=Abilities()))["workers"] is None


def test_names_of_a_summary_that_is_none() -> None:
    """A build server may send anything."""
    broken = list(entry("10.0.0.1"))
    broken[SUMMARY] = b"\xff"
    assert names(tuple(broken)) == ("", "")  # type: ignore[arg-type]
    assert names(entry("10.0.0.1")) == ("", "")


def test_clients_that_are_not_known() -> None:
    """Jobs from before the scheduler's start are nobody's."""
    sums = ClientSums()
    sums.wait("10.0.0.1", 2)
    sums.hold(None)
    sums.hold("10.0.0.1")
    sums.add(entry(None))
    sums.add(entry("10.0.0.1"))
    standing = Standings({DEFAULT: ClientSettings(2, 9, ClientClass.BATCH)}).named
    (row,) = sums.rows(60.0, standing, sums.places())
    assert (row["client"], row["holds"], row["waits"]) == ("10.0.0.1", 1, 2)
    assert (row["weight"], row["max_slots"], row["class"]) == (2, 9, "batch")
    assert row["recent"]["outcomes"] == {"compiled": 1}
