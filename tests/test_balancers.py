"""The examples for load balancers: what a test cannot wait for, and the one that none starts."""

import re
from typing import Any

import pytest
import yaml

from farmkit.launch import CHECKOUT
from sccachedist.cluster.leader_search import ANSWER_SECS
from sccachedist.config.limits import ConnectionLimits
from sccachedist.config.settings import QueueSettings

CONTRIB = CHECKOUT / "contrib"
#: Seconds that a request may be without an answer: for a slot, and on the way from a follower to the leader.
LONGEST = QueueSettings().max_wait_secs + ANSWER_SECS


def seconds(pattern: str, name: str) -> list[int]:
    """All numbers of seconds that follow something in a file."""
    return [int(found) for found in re.findall(rf"(?m)^ *{pattern} (\d+)s\b", (CONTRIB / name).read_text())]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("haproxy/haproxy.cfg", "timeout client"),
        ("haproxy/haproxy.cfg", "timeout server"),
        ("nginx/sccachedist.conf", "proxy_read_timeout"),
        ("envoy/envoy.yaml", "stream_idle_timeout:"),
        ("envoy/envoy.yaml", "timeout:"),
    ],
)
def test_patience(name: str, pattern: str) -> None:
    """A client that waits for a slot is not sent home before the scheduler does it."""
    assert max(seconds(pattern, name)) > LONGEST


def envoy() -> tuple[dict[str, Any], dict[str, Any]]:
    """What Envoy is told of those who ask, and of the schedulers."""
    static = yaml.safe_load((CONTRIB / "envoy/envoy.yaml").read_text())["static_resources"]
    ((listener,), (cluster,)) = static["listeners"], static["clusters"]
    return listener["filter_chains"][0]["filters"][0]["typed_config"], cluster


def test_envoy_asks_again() -> None:
    """What clients and build servers ask, as a whole and for as long as they wait; what administrators order, never."""
    asking, cluster = envoy()
    asked, rest = asking["route_config"]["virtual_hosts"][0]["routes"]
    assert (asked["match"], rest["match"]) == ({"prefix": "/api/v1/scheduler/"}, {"prefix": "/"})
    assert asked["route"]["retry_policy"]["retry_on"] == "connect-failure,reset"
    assert int(asked["route"]["timeout"].removesuffix("s")) > LONGEST
    assert "retry_policy" not in rest["route"]
    buffer, router = asking["http_filters"]
    assert buffer["typed_config"]["max_request_bytes"] == ConnectionLimits().heartbeat_bytes
    assert router["name"] == "envoy.filters.http.router"
    (bounds,) = cluster["circuit_breakers"]["thresholds"]
    assert min(bounds.values()) >= QueueSettings().max_waiting


def test_envoy_says_who_asks() -> None:
    """In place of what a sender says of itself."""
    config = envoy()[0]["route_config"]
    (added,) = config["request_headers_to_add"]
    assert added["header"] == {"key": "x-real-ip", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
    assert added["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"
    assert config["request_headers_to_remove"] == ["x-forwarded-user"]


def test_envoy_refuses_nothing_with_a_4xx() -> None:
    """Each that it would answer with is a 503."""
    (mapper,) = envoy()[0]["local_reply_config"]["mappers"]
    compared = [each["status_code_filter"]["comparison"] for each in mapper["filter"]["and_filter"]["filters"]]
    assert [(each["op"], each["value"]["default_value"]) for each in compared] == [("GE", 400), ("LE", 499)]
    assert mapper["status_code"] == 503


def test_envoy_looks_after_the_schedulers() -> None:
    """It asks each whether it is ready, at its port for that."""
    cluster = envoy()[1]
    (check,) = cluster["health_checks"]
    assert check["http_health_check"] == {"path": "/readyz"}
    for place in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]:
        assert place["endpoint"]["health_check_config"] == {"port_value": 10601}
