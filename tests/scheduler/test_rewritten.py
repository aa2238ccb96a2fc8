"""Build servers from networks that rewrite their senders' addresses, from bytes to bytes."""

from ipaddress import ip_network

import pytest

from farmkit.memory_http import bearer
from sccachedist.auth.servers import Rewritten
from tests.scheduler.test_routes import HEARTBEAT_16, MISMATCH, Scheduler

REWRITTEN = Rewritten({ip_network("10.244.0.0/16"): [ip_network("127.0.0.0/30")]})
POD = "10.244.7.7"


@pytest.fixture
def rewriting() -> Scheduler:
    """A scheduler before which a network rewrites the addresses of build servers."""
    return Scheduler(rewritten=REWRITTEN)


def test_a_rewritten_sender(rewriting: Scheduler) -> None:
    """A build server may come from a network that rewrites addresses, also through a proxy that says so."""
    for sender, headers in ((POD, {}), (f"::ffff:{POD}", {}), ("10.9.0.1", {"X-Real-IP": POD})):
        assert rewriting.browser.ask(HEARTBEAT_16.asked(headers), sender).status == 200
    assert rewriting.status().num_servers == 1


@pytest.mark.parametrize(
    ("sender", "headers"),
    [
        ("10.245.0.1", {}),
        ("10.245.0.1", {"X-Real-IP": POD}),  # no proxy
        ("10.245.0.1", {"X-Forwarded-For": POD}),
        ("10.9.0.1", {}),  # a proxy that names no sender
        ("10.9.0.1", {"X-Real-IP": "10.245.0.1"}),
        ("127.0.0.2", {}),  # another build server
        (POD, bearer("127.0.0.4:10501 servertok")),
        (POD, bearer("10.244.7.8:10501 servertok")),
    ],
)
def test_who_is_no_rewritten_sender(rewriting: Scheduler, sender: str, headers: dict[str, str]) -> None:
    """Servers that send from elsewhere, or name another address than those, are refused as before."""
    answer = rewriting.browser.ask(HEARTBEAT_16.asked(headers), sender)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, f'Bearer error="{MISMATCH}"')
    assert rewriting.status().num_servers == 0
