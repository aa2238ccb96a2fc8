"""Which address of a host its calls leave from."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from sccachedist.peers.source_address import binding, is_own, source_address

HERE, ELSEWHERE = "127.0.0.2", "192.0.2.1"


@pytest.mark.parametrize(
    ("public", "chosen", "source"),
    [
        (HERE, None, HERE),
        ("::1", None, "::1"),
        (ELSEWHERE, None, None),
        ("0.0.0.0", None, None),
        (ELSEWHERE, HERE, HERE),
        (HERE, "0.0.0.0", None),
        (HERE, "::", None),
    ],
)
def test_source_address(public: str, chosen: str | None, source: str | None) -> None:
    """That of ``public_addr`` if this host has it, unless the configuration says otherwise."""
    found = source_address(ip_address(public), None if chosen is None else ip_address(chosen))
    assert found == (None if source is None else ip_address(source))


def test_where_any_address_can_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then that shows nothing, and the host's routes are asked."""
    monkeypatch.setattr(Path, "read_text", lambda _: "1\n")
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address(ELSEWHERE))


@pytest.mark.parametrize(
    ("host", "source", "bound"),
    [
        ("192.0.2.1", HERE, True),
        ("farm.example", HERE, True),
        ("farm.example", "::1", True),
        ("fe80::1%eth0", "::1", True),
        ("192.0.2.1", "::1", False),
        ("2001:db8::1", HERE, False),
    ],
)
def test_binding(host: str, source: str, bound: bool) -> None:
    """An address is not reached from one of the other version; which of them a name has is not known."""
    assert binding(ip_address(source), host) == ((source, 0) if bound else None)
    assert binding(None, host) is None
