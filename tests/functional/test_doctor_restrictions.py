"""The doctor on hosts that forbid sandboxes: each restriction is made here, for real, and named as the one cause."""

import json
import os
import sys
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, PROGRAMS
from sccachedist.cli.doctor.restrictions import KINDS
from sccachedist.config.settings import DockerSettings
from tests.functional.test_doctor import config_of, doctor
from tests.support.docker_engine import docker_engine
from tests.support.filtered import UNSHARE

pytestmark = pytest.mark.functional

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def after(*steps: str) -> tuple[str, ...]:
    """A command before the doctor: it takes steps as root of namespaces of its own."""
    own = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")
    return (*own, "sh", "-c", "\n".join(("set -e", *steps, 'exec "$@"')), "sh")


def devices(*names: str) -> tuple[str, ...]:
    """Steps that show no other devices of the host than these."""
    bound = [f"touch /mnt/{name} && mount --bind /dev/{name} /mnt/{name}" for name in names]
    return ("mount -t tmpfs -o mode=755 none /mnt", *bound, "mkdir /mnt/shm", "mount --move /mnt /dev")


def sandbox(farm: Farm, *before: str) -> str:
    """What the doctor says of sandboxes."""
    status, lines = doctor(config_of(farm, "server"), *before)
    told = lines["sandbox"]
    assert status == int(told.startswith("FAILED")), lines
    return told


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_of_namespaces(farm: Farm, kind: str, limit: int) -> None:
    """The sysctl is named, and its value."""
    setting = f"echo {limit} > /proc/sys/user/max_{kind}_namespaces"
    told = sandbox(farm, "unshare", "--map-root-user", "sh", "-c", f'{setting} && exec "$@"', "sh")
    assert told.startswith(f"FAILED user.max_{kind}_namespaces is 0" if limit == 0 else "FAILED the limit user.max_")
    assert f"user.max_{kind}_namespaces" in told


def test_a_seccomp_filter(farm: Farm, tmp_path: Path) -> None:
    """As in a container: the line of the process's status is named that shows it."""
    (tmp_path / "calls").write_text(json.dumps([UNSHARE]))
    told = sandbox(farm, str(PROGRAMS / "python"), "-m", "tests.support.filtered", str(tmp_path / "calls"))
    assert told.startswith("FAILED a seccomp filter forbids user namespaces (Seccomp: 2 in /proc/self/status)")


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        (("mount -t tmpfs none /proc/bus",), "masks on /proc (/proc/bus)"),
        (("mount --bind /proc/sys /proc/sys", "mount -o remount,ro,bind /proc/sys"), "masks on /proc (/proc/sys)"),
        (("umount -l /proc",), "there is no /proc"),
        (devices(*_DEVICES[:-1]), "missing, or no device: /dev/tty"),
        (devices(*_DEVICES[1:]), "missing, or no device: /dev/null"),
        ((*devices(*_DEVICES[1:]), "touch /dev/null"), "missing, or no device: /dev/null"),
    ],
    ids=["masked", "read-only", "no proc", "no tty", "no null", "null is a file"],
)
def test_what_a_container_hides(farm: Farm, steps: tuple[str, ...], named: str) -> None:
    """Parts of /proc and of /dev: what is hidden is named."""
    assert sandbox(farm, *after(*steps)).startswith(f"FAILED {named}")


def test_nothing_is_hidden(farm: Farm) -> None:
    """The same devices in another place, and a /proc that hides processes, are no cause."""
    assert sandbox(farm, *after(*devices(*_DEVICES), "mount -t proc -o hidepid=2 proc /proc")).startswith("ok ")


def test_a_docker_container(farm: Farm) -> None:
    """Docker's own restrictions, one taken away after the other: each is named in its turn, then there are none."""
    host = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", str(CHECKOUT), sys.prefix)
    shown = [f"--volume={each}:{each}:ro" for each in host if os.path.exists(each)]
    config = config_of(farm, "server")
    own = ("--rm", "--network=none", "--tmpfs=/tmp", f"--tmpfs={farm.server_folder}", f"--volume={config}:{config}:ro")
    with docker_engine() as engine:
        command = ("docker", "run", *own, *shown)
        for options, named in (
            ((), "FAILED a seccomp filter forbids user namespaces (Seccomp: 2 in /proc/self/status)"),
            (("--security-opt=seccomp=unconfined",), "FAILED masks on /proc (/proc/"),
            (("--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined"), "ok "),
        ):
            before = (*command, *options, f"--env=PYTHONPATH={CHECKOUT}", DockerSettings().image)
            _, lines = doctor(config, *before, **engine.environment)
            assert lines["sandbox"].startswith(named), lines
            assert "start as root" not in lines["limit of memory"]
