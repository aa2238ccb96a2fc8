"""How a command starts: next to nothing is loaded before it is known what is to be done."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
#: What takes long to load, and the commands do without. (An environment may load ``zope`` alone, by a .pth file.)
HEAVY = {
    "tomlkit",
    "sccachedist.config",
    "sccachedist.wire.addresses",
    "twisted",
    "klein",
    "treq",
    "jwt",
    "cryptography",
    "zope.interface",
    "textual",
    "rich",
}
#: Seconds of CPU of a whole command: three times what it takes here.
MOST_CPU_SECS = 0.3


def loaded(script: str) -> set[str]:
    """What of :data:`HEAVY` a process has loaded after a script."""
    look = f"{script}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}} | set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", look], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return HEAVY & set(ran.stdout.split())


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("cli.main", set()),
        ("client", set()),
        ("cli.farm.command", set()),
        ("cli.either_role", {"sccachedist.config", "sccachedist.wire.addresses"}),
    ],
)
def test_nothing_heavy_is_loaded(module: str, needed: set[str]) -> None:
    """Neither to understand the arguments, nor to ask a scheduler, nor to read a configuration."""
    assert loaded(f"import sccachedist.{module}") == needed


def test_a_command_starts_at_once() -> None:
    """By the CPU that the quickest of a few takes: the machine may be busy."""
    taken = []
    for _ in range(4):
        before = cpu_of_children()
        subprocess.run([sys.executable, "-m", "sccachedist", "--version"], cwd=CHECKOUT, check=True)
        taken.append(cpu_of_children() - before)
    assert min(taken) < MOST_CPU_SECS


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
