"""A wheel and the units of systemd on fresh systems, by the commands of the page about services."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.base import Base
from tests.packages.fresh_host import SERVER, FreshHost, fresh_host

pytestmark = [pytest.mark.functional, pytest.mark.packages]

COMMAND = "/opt/sccachedist/bin/sccachedist"


@pytest.fixture
def host(base: Base, release: str, checkout: Path, tmp_path: Path) -> Iterator[FreshHost]:
    """A fresh host with a checkout."""
    with fresh_host(base, release, tmp_path / "host", checkout, "service") as host:
        yield host


def test_from_nothing_to_a_compile(host: FreshHost, tmp_path: Path, toolchains: Path) -> None:
    """Every command of the page as it stands there; a farm of it compiles."""
    host.follow("install")
    host.follow("configure")
    said = host.system.said
    token, key = (said(f"{COMMAND} auth {kind}") for kind in ("generate-shared-token", "generate-jwt-hs256-key"))
    host.complete("scheduler", generate_shared_token=token, generate_jwt_hs256_key=key)
    host.follow("start")
    asking = f"{COMMAND} auth generate-jwt-hs256-server-token --config /etc/sccachedist/scheduler.conf"
    server_token = said(f"{asking} --server {SERVER}")
    said("umask 077; touch /etc/sccachedist/server.conf; systemd-tmpfiles --create /etc/tmpfiles.d/sccachedist.conf")
    host.complete("server", generate_jwt_hs256_server_token=server_token)
    said("systemctl enable --now sccachedist-server")
    host.wait_until_registered()
    host.compiles(token, tmp_path / "client", toolchains)
