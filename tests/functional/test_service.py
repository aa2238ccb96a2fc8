"""Both daemons as services, in a system that systemd has booted, by the commands of the page about it."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.processes import wait_until
from tests.support.booted import Booted, booted
from tests.test_service_page import commands

pytestmark = pytest.mark.functional

SCHEDULER, SERVER = "sccachedist-scheduler", "sccachedist-server"
#: What is installed already.
INSTALLED = ("python3 ", "/opt/")
_WATCHDOG = f"""
mkdir -p /etc/systemd/system/{SCHEDULER}.service.d
printf '[Service]\\nWatchdogSec=20\\n' >/etc/systemd/system/{SCHEDULER}.service.d/watchdog.conf
"""
_CLIENT = """
mkdir -p $HOME/.config/sccache
printf '[dist]\\nscheduler_url = "http://127.0.0.1:10600"\\n[dist.auth]\\ntype = "token"\\ntoken = "hello"\\n' \\
    >$HOME/.config/sccache/config
cd $HOME
echo 'int main(void) { return 0; }' >hello.c
sccache gcc -O2 -c hello.c -o hello.o
sccache --show-stats --stats-format json
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Booted]:
    with booted(tmp_path / f"booted-{os.getpid()}") as system:
        yield system


def follow(system: Booted, block: str) -> None:
    """Run the commands of a block of the page."""
    lines = [line for line in commands(block) if not line.startswith(INSTALLED)]
    system.said("\n".join(["cd /opt/checkout", *lines]))


def write(system: Booted, name: str, text: str) -> None:
    """Write a configuration that exists already, without a change of its mode."""
    (system.root / "etc" / "sccachedist" / name).write_text(text)


def shown(system: Booted, unit: str, name: str) -> str:
    """One of the properties of a unit."""
    return system.said(f"systemctl show --property={name} --value {unit}")


def test_as_the_page_says(system: Booted) -> None:
    """Install, configure, start, reload, a remote compile; a scheduler that hangs is started again."""
    follow(system, "install")
    follow(system, "configure")
    key = system.said("/opt/sccachedist/bin/sccachedist auth generate-jwt-hs256-key")
    scheduler = f"""\
public_addr = "127.0.0.1:10600"
client_auth = {{ type = "token", token = "hello" }}
server_auth = {{ type = "jwt_hs256", secret_key = "{key}" }}
admin = {{ state = "/var/lib/sccachedist-scheduler/state.json" }}
records = {{ file = "/var/lib/sccachedist-scheduler/jobs.jsonl" }}
"""
    write(system, "scheduler.conf", scheduler)
    token = system.said(
        "umask 077; touch /etc/sccachedist/server.conf; systemd-tmpfiles --create /etc/tmpfiles.d/sccachedist.conf\n"
        "/opt/sccachedist/bin/sccachedist auth generate-jwt-hs256-server-token --server 127.0.0.1:10501 "
        "--config /etc/sccachedist/scheduler.conf"
    )
    server = f"""\
cache_dir = "/var/lib/sccachedist/cache"
public_addr = "127.0.0.1:10501"
scheduler_url = "http://127.0.0.1:10600"
builder = {{ type = "overlay", build_dir = "/var/lib/sccachedist/build", bwrap_path = "/usr/bin/bwrap" }}
scheduler_auth = {{ type = "jwt_token", token = "{token}" }}
"""
    write(system, "server.conf", server)
    system.said(_WATCHDOG)
    system.said(f"systemctl enable --now {SERVER}")  # its scheduler is away
    follow(system, "start")
    registered = re.compile(r"build servers: 1, slots taken: 0 of \d+, waiting: 0")
    wait_until(lambda: registered.fullmatch(shown(system, SCHEDULER, "StatusText")) is not None, 60, "registered")
    wait_until(lambda: shown(system, SERVER, "StatusText").startswith("open, 0 of "), 60, "it is open")

    stats = system.run(_CLIENT, environment={"PATH": "/opt/sccachedist/bin:/usr/bin:/bin", "HOME": "/root/client"})
    assert json.loads(stats.stdout)["stats"]["dist_compiles"] == {"127.0.0.1:10501": 1}, stats
    system.said("HOME=/root/client /opt/sccachedist/bin/sccache --stop-server")
    system.said(f"systemctl reload {SCHEDULER}")
    assert "holds a secret" not in system.said("journalctl --no-pager --unit='sccachedist-*'")

    system.said(f"systemctl kill --kill-who=main --signal=STOP {SCHEDULER}")  # it hangs
    wait_until(lambda: shown(system, SCHEDULER, "NRestarts") != "0", 120, "it is started again")
    wait_until(lambda: registered.fullmatch(shown(system, SCHEDULER, "StatusText")) is not None, 60, "registered again")
    assert "Fatal Python error: Aborted" in system.said(f"journalctl --no-pager --unit={SCHEDULER}")
    system.said(f"systemctl stop {SCHEDULER} {SERVER}")
    assert shown(system, SERVER, "Result") == "success"
