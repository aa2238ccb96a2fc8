"""What the doctor makes of the way to a scheduler."""

import json
from ipaddress import ip_address
from typing import Any

import attrs
import pytest

from sccachedist.cli.doctor.findings import Level
from sccachedist.cli.doctor.way import HOLD_SECS, Way, held, hold_secs, senders, way_of

HERE, BALANCER, OTHER = (ip_address(f"10.0.0.{number}") for number in (1, 9, 7))
DIRECT = Way(HERE, HERE, False, 600, 0.0)
THROUGH = Way(HERE, BALANCER, True, 600, 0.0)
DOCUMENT: dict[str, Any] = {
    "v": 1,
    "sender": "10.0.0.1",
    "peer": "10.0.0.9",
    "is_proxied": True,
    "max_wait_secs": 600,
    "held": 0.0,
}


def test_what_a_scheduler_says() -> None:
    """It is read, and what is something else is nothing."""
    assert way_of(json.dumps(DOCUMENT).encode()) == THROUGH
    for said, is_taken in ((True, True), (False, False), (None, None), ("yes", None)):
        assert way_of(json.dumps(DOCUMENT | {"is_taken": said}).encode()) == attrs.evolve(THROUGH, is_taken=is_taken)
    for bad in (b"", b"[" * 100_000, b"{}", json.dumps(DOCUMENT | {"peer": "nobody"}).encode()):
        assert way_of(bad) is None


@pytest.mark.parametrize(
    ("way", "wait", "secs"),
    [
        (DIRECT, None, 0),
        (THROUGH, None, HOLD_SECS),
        (attrs.evolve(DIRECT, peer=BALANCER), None, HOLD_SECS),
        (attrs.evolve(DIRECT, is_proxied=True), None, HOLD_SECS),
        (attrs.evolve(THROUGH, max_wait_secs=20), None, 22),
        (attrs.evolve(THROUGH, max_wait_secs=0), 30, 0),
        (THROUGH, 0, 0),
        (THROUGH, 30, 30),
        (DIRECT, 30, 30),
        (THROUGH, 9000, 602),
    ],
)
def test_how_long_a_request_is_held_open(way: Way, wait: float | None, secs: float) -> None:
    """Not at all if nothing is in between, else for longer than the usual time-outs, or as the operator says."""
    assert hold_secs(way, HERE, wait) == secs


@pytest.mark.parametrize(
    ("way", "of_server", "of_client"),
    [
        (DIRECT, Level.OK, Level.OK),
        (THROUGH, Level.OK, Level.OK),
        (attrs.evolve(THROUGH, sender=BALANCER), Level.FAILED, Level.WARNING),
        (attrs.evolve(THROUGH, sender=OTHER), Level.FAILED, Level.WARNING),
    ],
)
def test_who_asks(way: Way, of_server: Level, of_client: Level) -> None:
    """A scheduler that takes the balancer for the sender refuses build servers, and counts all clients as one."""
    assert senders(way, HERE, HERE).level is of_server
    assert senders(way, HERE, None).level is of_client


def test_a_sender_that_is_taken_for_another() -> None:
    """A build server whose address is rewritten is let in where the scheduler says so; a client's is only counted."""
    pod = attrs.evolve(DIRECT, sender=OTHER, peer=OTHER, is_taken=True)
    assert senders(pod, OTHER, HERE).level is Level.OK
    assert "takes 10.0.0.1 from 10.0.0.7: its network.servers_from has that" in str(senders(pod, OTHER, HERE))
    refused = attrs.evolve(pod, is_taken=False)
    assert senders(refused, OTHER, HERE).level is Level.FAILED
    assert "network.servers_from" in str(senders(refused, OTHER, HERE))
    assert senders(attrs.evolve(DIRECT, is_taken=True), HERE, HERE).level is Level.OK


def test_what_mends_a_hidden_sender() -> None:
    """Both sides are named."""
    text = str(senders(attrs.evolve(THROUGH, sender=BALANCER), HERE, HERE))
    assert "requests come from 10.0.0.9, not from 10.0.0.1" in text
    assert "X-Real-IP" in text
    assert "network.trusted_proxies" in text


@pytest.mark.parametrize(
    ("wanted", "took", "status", "said", "level", "text"),
    [
        (602, 602.1, 200, attrs.evolve(THROUGH, held=602.0), Level.OK, "for 602 s; queue.max_wait_secs is 600"),
        (65, 65.1, 200, attrs.evolve(THROUGH, held=65.0), Level.OK, "--wait 600 holds one for as long"),
        (65, 0.1, 200, THROUGH, Level.WARNING, "as many requests open as it may"),
        (
            65,
            50.2,
            504,
            None,
            Level.FAILED,
            "the load balancer ended the request after 50 s with status 504; queue.max_wait_secs is 600: "
            "clients would compile locally",
        ),
        (65, 15.0, None, None, Level.FAILED, "after 15 s; queue.max_wait_secs is 600: clients would compile locally"),
        (
            65,
            15.0,
            408,
            None,
            Level.FAILED,
            "with status 408; queue.max_wait_secs is 600: builds of clients would fail",
        ),
        (65, 75.0, None, None, Level.FAILED, "no answer came in 75 s"),
    ],
)
def test_a_request_that_was_held_open(
    wanted: float, took: float, status: int | None, said: Way | None, level: Level, text: str
) -> None:
    """One line says what its end means to clients."""
    found = held(THROUGH, wanted, took, status, said)
    assert found.level is level
    assert text in str(found)
