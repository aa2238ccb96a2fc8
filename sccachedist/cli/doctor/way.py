"""What is between a host and its scheduler: whether it hides who asks, and ends requests before the queue does.

Pure. The scheduler says how a request came to it (:mod:`sccachedist.scheduler.own_routes`).
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address

import attrs

from sccachedist.auth.bearer import IPAddress
from sccachedist.cli.doctor.findings import Finding, failed, good, warning

#: Seconds for which a request is held open at most, if the operator does not say: longer than the usual time-outs of
#: load balancers, which are 15, 30, 50 and 60 s.
HOLD_SECS = 65.0
#: Seconds beyond the longest wait of the queue: a time-out that is as long as that is too short.
_BEYOND_SECS = 2.0
_RAISE = "raise its time-out (HAProxy: timeout server, nginx: proxy_read_timeout, Envoy: timeout of the route)"


@attrs.frozen
class Way:
    """How a request came to the scheduler, in its words.

    :param sender: the address that it counts as coming from; ``peer``: where its connection came from.
    :param is_proxied: whether it has headers that proxies add.
    :param max_wait_secs: for how long the queue lets requests wait.
    :param held: for how many seconds this one was held open.
    :param is_taken: whether it takes the build server's token from there; None if it does not say.
    """

    sender: IPAddress
    peer: IPAddress
    is_proxied: bool
    max_wait_secs: float
    held: float
    is_taken: bool | None = None


def way_of(body: bytes) -> Way | None:
    """What the scheduler says; None if it does not: it is older, or another program."""
    with suppress(ValueError, RecursionError):
        document = json.loads(body)
        match document:
            case {
                "sender": str(sender),
                "peer": str(peer),
                "is_proxied": bool(is_proxied),
                "max_wait_secs": int(most),
                "held": int() | float() as held,
            }:
                return Way(ip_address(sender), ip_address(peer), is_proxied, most, held, _taken(document))
    return None


def _taken(document: Mapping[str, object]) -> bool | None:
    """What an older scheduler does not say, and one says of no client."""
    said = document.get("is_taken")
    return said if isinstance(said, bool) else None


def hold_secs(way: Way, left: IPAddress, wait: float | None) -> float:
    """For how many seconds a request is to be held open; 0 if that would show nothing.

    :param left: the address that requests leave from.
    :param wait: at most so many seconds, as the operator says; None if nothing is said: then a scheduler with nothing
        in between is not asked.
    """
    if wait is None:
        wait = HOLD_SECS if way.is_proxied or way.peer != left else 0.0
    return min(wait, way.max_wait_secs + _BEYOND_SECS) if way.max_wait_secs else 0.0


def senders(way: Way, left: IPAddress, own: IPAddress | None) -> Finding:
    """Whether the scheduler knows who sends a request.

    :param left: the address that requests leave from.
    :param own: the address by which the scheduler has to know a build server; None for a client.
    """
    expected = left if own is None else own
    if way.sender == expected:
        through = "" if way.peer == left and not way.is_proxied else f", through {way.peer}"
        return good("way", f"the scheduler sees that requests come from {expected}{through}")
    if own is not None and way.is_taken:
        return good("way", f"the scheduler takes {own} from {way.sender}: its network.servers_from has that")
    bad = warning if own is None else failed
    if way.sender != way.peer:
        text = f"{way.peer} says that requests come from {way.sender}, and they come from {expected}"
        return bad("way", text, "have it set X-Real-IP to the address of its client")
    mend = f"have the load balancer set X-Real-IP, and network.trusted_proxies of the scheduler name {way.peer}"
    if own is not None:
        mend += "; where no balancer is, but the network rewrites addresses, see its network.servers_from"
    return bad("way", f"for the scheduler, requests come from {way.peer}, not from {expected}", mend)


def held(way: Way, wanted: float, took: float, status: int | None, said: Way | None) -> Finding:
    """Whether a request may wait for as long as the queue lets it.

    :param way: what the scheduler said at once; ``said``: what it said at last, if it did.
    :param wanted: for how many seconds the request was to be held open, and ``took``: after how many it ended.
    :param status: that of its answer; None if there was none.
    """
    most = f"queue.max_wait_secs is {way.max_wait_secs:g}"
    if said is not None:
        if not said.held:
            return warning("wait", "the scheduler holds as many requests open as it may", "ask again later")
        if wanted >= way.max_wait_secs:
            return good("wait", f"a request was held open for {said.held:.0f} s; {most}")
        more = f"--wait {way.max_wait_secs:g} holds one for as long"
        return good("wait", f"a request was held open for {said.held:.0f} s; {most}: {more}")
    if took >= wanted:
        return failed("wait", f"no answer came in {took:.0f} s to a request that was held open for {wanted:.0f} s")
    how, fate = "", "clients would compile locally"
    if status is not None:
        how = f" with status {status}"
        if 400 <= status < 500:
            fate = "builds of clients would fail"
    return failed("wait", f"the load balancer ended the request after {took:.0f} s{how}; {most}: {fate}", _RAISE)
