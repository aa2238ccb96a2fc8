"""``scripts/setup.sh`` on a machine that lacks things, by programs that only note what they are asked for."""

import shutil
import subprocess
from pathlib import Path

import attrs
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "setup.sh"
#: What any system has.
PLAIN = ("cat", "chmod", "dirname", "env", "grep", "rm", "tee", "touch")


@attrs.frozen
class Machine:
    """A checkout, the programs of its machine, and what these were asked for."""

    folder: Path

    @property
    def policy(self) -> Path:
        """What says whether an installed service may start."""
        return self.folder / "policy-rc.d"

    def add(self, program: str, script: str) -> None:
        """Have a program that notes its arguments."""
        file = self.folder / "bin" / program
        file.write_text(f'#!/bin/sh\necho "{program} $*" >>"{self.folder}/asked"\n{script}\n')
        file.chmod(0o755)

    def set_up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        environment = {"PATH": str(self.folder / "bin"), "POLICY": str(self.policy)}
        command = [str(self.folder / "scripts" / "setup.sh"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    @property
    def asked(self) -> list[str]:
        """What was run, as a line each."""
        noted = self.folder / "asked"
        return noted.read_text().splitlines() if noted.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One whose administrator runs the script; its virtual environment is there."""
    for name in ("scripts", "bin", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(SCRIPT, tmp_path / "scripts")
    for name in ("setup.py", "requirements.lock"):
        (tmp_path / name).touch()
    for name in PLAIN:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "")
    machine = Machine(tmp_path)
    machine.add("id", "echo 0")
    machine.add("python", "")
    shutil.move(tmp_path / "bin" / "python", tmp_path / ".venv" / "bin" / "python")
    return machine


@pytest.mark.parametrize("level", ["", "everything"])
def test_levels(machine: Machine, level: str) -> None:
    """What the script can set up is said to who asks for something else."""
    ended = machine.set_up(*filter(None, [level]))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: ")


def test_unit(machine: Machine) -> None:
    """The unit tests, the linters and the documentation need no package of the system's, nor who may install one."""
    machine.add("id", "echo 1000")
    machine.add("apt-get", "exit 1")
    ended = machine.set_up("unit")
    assert ended.returncode == 0, ended
    assert {line.split()[0] for line in machine.asked} == {"python"}
    assert ".[dev]" in machine.asked[-1]


def test_an_installation(machine: Machine) -> None:
    """It waits for another apt, and what is installed must not start; afterwards others may start what they install."""
    machine.add("apt-get", 'case $1 in install) "$POLICY" || echo "forbidden $?" >>"${0%/*}/../asked" ;; esac')
    ended = machine.set_up("dev")
    assert ended.returncode == 0, ended
    update, install, forbidden = (line for line in machine.asked if line.split()[0] in ("apt-get", "forbidden"))
    for line in (update, install):
        assert "-o DPkg::Lock::Timeout=600" in line
    assert "bubblewrap" in install
    assert forbidden == "forbidden 101"
    assert not machine.policy.exists()


def test_an_installation_that_fails(machine: Machine) -> None:
    """It ends the script, and leaves nothing behind that keeps services from starting."""
    machine.add("apt-get", '[ "$1" != install ]')
    assert machine.set_up("dev").returncode != 0
    assert not machine.policy.exists()


def test_a_policy_of_the_machine(machine: Machine) -> None:
    """One that is there already stays as it is."""
    machine.add("apt-get", "")
    machine.policy.write_text("#!/bin/sh\nexit 0\n")
    assert machine.set_up("dev").returncode == 0
    assert machine.policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_services_of_the_packages(machine: Machine) -> None:
    """Those that an installation enables are disabled again; one that was enabled before is the machine's."""
    enabled = machine.folder / "installed"
    machine.add("apt-get", f'[ "$1" != install ] || touch "{enabled}"')
    machine.add(
        "systemctl",
        f'case "$*" in is-enabled*docker.service) ;; is-enabled*nginx*) [ -e "{enabled}" ] ;; *) exit 1 ;; esac',
    )
    assert machine.set_up("dev").returncode == 0
    assert [line for line in machine.asked if "disable" in line] == ["systemctl disable --quiet nginx.service"]


@pytest.mark.parametrize("again", [False, True])
def test_no_build_folder(machine: Machine, again: bool) -> None:
    """Setuptools would put what it finds there into the next wheel, also modules that are gone."""
    if again:
        machine.set_up("unit")
    (machine.folder / "build" / "lib" / "sccachedist").mkdir(parents=True)
    machine.set_up("unit")
    assert not (machine.folder / "build").exists()
