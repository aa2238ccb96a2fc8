"""The doctor and the way to a scheduler: a real HAProxy is in between, which does something wrong at each port."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, adding
from farmkit.processes import LOOPBACK, Command, Daemon, answers, free_port, inherited
from tests.functional.conftest import running_farm
from tests.functional.test_doctor import config_of, doctor
from tests.support.proxy import SENDER

pytestmark = pytest.mark.functional

#: What each port does: its time-out for an answer, and further lines of its ``backend``.
_PORTS = {
    "patient": ("90s", "http-request set-header X-Real-IP %[src]"),
    "hasty": ("2s", "http-request set-header X-Real-IP %[src]"),
    "lying": ("2s", "http-request set-header X-Real-IP %[src]\n    errorfile 504 not-found"),
    "hiding": ("90s", ""),
}
_CONFIG = """\
defaults
    mode http
    timeout connect 5s
    timeout client 90s
"""
_PORT = """
frontend {name}
    bind 127.0.0.1:{port}
    default_backend to-{name}
backend to-{name}
    timeout server {secs}
    {lines}
    server scheduler 127.0.0.1:{scheduler} source {sender}
"""
#: Such a thing as balancers answer in the place of what they do not have.
_NOT_FOUND = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@attrs.frozen
class Balanced:
    """A farm behind a balancer, which has a port for each thing that one may do."""

    farm: Farm
    ports: dict[str, int]

    def url(self, name: str) -> str:
        """Where the farm is found."""
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def server_config(self, folder: Path, name: str) -> Path:
        """The configuration of a build server that finds its scheduler there."""
        copy = folder / "server.conf"
        text = config_of(self.farm, "server").read_text()
        copy.write_text(re.sub(r"(?m)^scheduler_url = .*", f'scheduler_url = "{self.url(name)}"', text))
        copy.chmod(0o600)
        return copy


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    """A farm whose scheduler believes the balancer."""
    launch = adding(OUR_SCHEDULER, network=f'trusted_proxies = ["{SENDER}"]')
    folder = tmp_path_factory.mktemp("balancer")
    ports = {name: free_port() for name in _PORTS}
    for farm in running_farm(Farm(tmp_path_factory.mktemp("farm"), launch)):
        parts = [
            _PORT.format(
                name=name, port=ports[name], secs=secs, lines=lines, scheduler=farm.scheduler_port, sender=SENDER
            )
            for name, (secs, lines) in _PORTS.items()
        ]
        (folder / "not-found").write_text(_NOT_FOUND)
        (folder / "haproxy.cfg").write_text(_CONFIG + "".join(parts))
        program = shutil.which("haproxy") or "/usr/sbin/haproxy"  # not on the PATH of others than root
        balancer = Daemon.start(Command((program, "-db", "-f", "haproxy.cfg"), inherited(), folder), folder / "log")
        try:
            balancer.wait_until(lambda: all(map(answers, ports.values())), 30, "the balancer answers")
            yield Balanced(farm, ports)
        finally:
            balancer.stop()


def test_nothing_in_between(balanced: Balanced) -> None:
    """No request is held open then."""
    status, lines = doctor(config_of(balanced.farm, "server"))
    assert (status, lines["way"]) == (0, f"ok the scheduler sees that requests come from {LOOPBACK}")
    assert "wait" not in lines


def test_a_time_out_that_is_too_short(balanced: Balanced, tmp_path: Path) -> None:
    """It is named, with what becomes of clients that wait, for longer than the balancer lets them."""
    status, lines = doctor(balanced.server_config(tmp_path, "hasty"))
    assert status == 1
    assert lines["way"] == f"ok the scheduler sees that requests come from {LOOPBACK}, through {SENDER}"
    found = re.fullmatch(
        r"FAILED the load balancer ended the request after (\d+) s with status 504; queue\.max_wait_secs is 60: "
        r"clients would compile locally; raise its time-out .*",
        lines["wait"],
    )
    assert found is not None, lines["wait"]
    assert 2 <= int(found[1]) < 60


def test_an_answer_that_fails_builds(balanced: Balanced, tmp_path: Path) -> None:
    """A balancer that answers with a 4xx in the place of the scheduler is worse."""
    status, lines = doctor(balanced.server_config(tmp_path, "lying"))
    assert status == 1
    assert "with status 404; queue.max_wait_secs is 60: builds of clients would fail" in lines["wait"]


def test_a_balancer_that_hides_who_asks(balanced: Balanced, tmp_path: Path) -> None:
    """The scheduler takes it for the sender, and refuses the build server; the line says what mends that."""
    status, lines = doctor(balanced.server_config(tmp_path, "hiding"), options=("--wait", "0"))
    assert status == 1
    assert lines["token"].startswith("FAILED the scheduler refuses it, or this host's address")
    assert lines["way"].startswith(f"FAILED for the scheduler, requests come from {SENDER}, not from {LOOPBACK}; ")
    assert "X-Real-IP" in lines["way"]
    assert "wait" not in lines


def test_from_the_scheduler(balanced: Balanced) -> None:
    """The doctor of a scheduler is told where clients find it, and for how long to try."""
    config, began = config_of(balanced.farm, "scheduler"), time.monotonic()
    for name, level in (("patient", "ok"), ("hasty", "FAILED")):
        status, lines = doctor(config, options=("--scheduler", balanced.url(name), "--wait", "4"))
        assert (status, lines["wait"].split()[0]) == (int(level == "FAILED"), level), lines
        assert lines["way"] == f"ok the scheduler sees that requests come from {LOOPBACK}, through {SENDER}"
        if level == "ok":
            assert lines["wait"].endswith(
                "a request was held open for 4 s; queue.max_wait_secs is 60: --wait 60 holds one for as long"
            )
            assert time.monotonic() - began >= 4
    status, lines = doctor(config, options=("--scheduler", f"http://{LOOPBACK}:{free_port()}"))
    assert (status, "cannot be reached" in lines["way"]) == (1, True)


def test_from_the_scheduler_alone(balanced: Balanced) -> None:
    """Without an address nothing of it is asked."""
    status, lines = doctor(config_of(balanced.farm, "scheduler"))
    assert (status, "way" in lines, "wait" in lines) == (0, False, False)
