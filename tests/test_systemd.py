"""The units for systemd: it understands them, and they permit what the roles need and little else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parent.parent / "contrib" / "systemd"
NAMES = ["sccachedist-scheduler.service", "sccachedist-server.service", "sccachedist-worker.service"]
#: The namespaces that a sandbox is made of.
NAMESPACES = {"user", "mnt", "net", "pid", "ipc", "uts", "cgroup"}


def text_of(name: str) -> str:
    """A unit, with the command of this environment in the place of the installed one."""
    return (UNITS / name).read_text().replace("/opt/sccachedist", sys.prefix)


@pytest.mark.functional
@pytest.mark.parametrize("name", NAMES)
def test_understood(name: str, tmp_path: Path) -> None:
    """``systemd-analyze verify`` has nothing to say about it."""
    unit = tmp_path / name
    unit.write_text(text_of(name))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@pytest.mark.parametrize("name", NAMES)
def test_hardened(name: str) -> None:
    """No new privileges, no capabilities, nothing of the system to be written, and descriptors for many connections."""
    lines = text_of(name).splitlines()
    for line in ("NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "LimitNOFILE=65536"):
        assert line in lines
    assert any(line.startswith("SystemCallFilter=@system-service") for line in lines)


@pytest.mark.parametrize("name", NAMES[1:])
def test_sandboxes(name: str) -> None:
    """What runs compiles may make the namespaces, the mounts and the groups that its sandboxes need."""
    text = text_of(name)
    (allowed,) = re.findall(r"(?m)^RestrictNamespaces=(.*)$", text)
    assert set(allowed.split()) == NAMESPACES
    assert "Delegate=yes" in text
    assert "@mount" in text
    assert not re.search(r"(?m)^(ProtectKernelTunables|ProtectProc|ProtectKernelLogs|PrivateUsers)=", text)
