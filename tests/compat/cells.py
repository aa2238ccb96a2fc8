"""One cell of the matrix: a release in one role, ours in the others, and a session of compiles on that farm.

A cell knows the command lines and files of an operator and a user, and judges by what these would see.
"""

import subprocess
from enum import Enum
from pathlib import Path

import attrs

from farmkit.farm import Farm
from farmkit.gateway_farm import GatewayFarm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding, published
from farmkit.processes import Command, inherited
from farmkit.projects import CXX, C, write_project
from farmkit.published_client import Client
from tests.compat.releases import NEWEST, programs

_HEARTBEAT_SECS = 30
_LINES = 25
_COMPILE_SECS = 180  # the client packs its compiler in it, on a machine that may be busy with other cells

# What the newest client makes of an exit status of 1 from a published build server: it reads it as a signal.
_PUBLISHED_STATUS = 254

# One compiler for both: a toolchain takes a while to pack, to send and to unpack.
_LANGUAGES = (C, attrs.evolve(CXX, compiler=C.compiler))

_MISTAKE = "int twice(int x)\n{\n    return 2 * y;\n}\n"


class Role(Enum):
    """What of a farm is the release's; the client is the newest one where it is not."""

    CLIENT = "client"
    SERVER = "build server"
    SCHEDULER = "scheduler"


@attrs.frozen
class Cell:
    """A release and its role.

    :param has_gateway: whether the build server is a gateway with one worker.
    """

    release: str
    role: Role
    has_gateway: bool = False

    def __str__(self) -> str:
        return f"{self.release} as {self.role.value}{' of a gateway' if self.has_gateway else ''}"

    def farm(self, folder: Path) -> Farm:
        """A farm with the release in its role and ours in the others."""
        # A mistake is to travel through the protocol, where by default its client would repeat it and read its own.
        scheduler, server = OUR_SCHEDULER, adding(OUR_SERVER, policy='on_failure = "report"')
        match self.role:
            case Role.SCHEDULER:
                scheduler = published("scheduler", programs(self.release))
            case Role.SERVER:
                server = published("server", programs(self.release))
        return (GatewayFarm if self.has_gateway else Farm)(folder, scheduler, server)

    def client(self, folder: Path, farm: Farm, toolchains: Path) -> Client:
        """The client of that farm."""
        sccache = programs(self.release if self.role is Role.CLIENT else NEWEST) / "sccache"
        return Client(folder, farm.scheduler_url, farm.client_token, toolchains, sccache=sccache)


@attrs.frozen
class Seen:
    """What a cell came to: its compiles, all of them remote, and what the user gets for a compiler's status 1."""

    compiles: int
    mistake_status: int

    def __str__(self) -> str:
        return f"{self.compiles} of {self.compiles} remote, error {self.mistake_status}"


@attrs.frozen
class Failed:
    """The ends of a cell's logs, and what went wrong in it: the last line is what is read first."""

    what: str

    def __str__(self) -> str:
        return "**failed**"


def run_cell(cell: Cell, folder: Path, toolchains: Path) -> Seen | Failed:
    """Compile C, C++ and a mistake, and C and C++ again on daemons of ours that were restarted.

    :param folder: is made, for all files of the cell.
    :param toolchains: where the client finds its compilers packed, or packs them; of no other cell at the same time.
    """
    folder.mkdir(parents=True)
    try:
        with cell.farm(folder) as farm, cell.client(folder / "client", farm, toolchains) as client:
            session = Session(client, folder, mistake_status=_PUBLISHED_STATUS if cell.role is Role.SERVER else 1)
            session.compile_projects("before")
            session.compile_mistake()
            restart_ours(farm, cell.role)
            session.compile_projects("after")
            return Seen(session.compiles, session.mistake_status)
    except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        return Failed(f"{_logs(folder)}\n{cell}: {error}")


def _logs(folder: Path) -> str:
    ends = {log.name: log.read_text(errors="replace").splitlines()[-_LINES:] for log in sorted(folder.rglob("*.log"))}
    return "\n".join("\n".join([f"--- {name}", *lines]) for name, lines in ends.items())


def restart_ours(farm: Farm, role: Role) -> None:
    """Stop what of a farm is ours, and start it again; return when the scheduler has heard of the build server."""
    if role is not Role.SERVER:
        farm.server.stop()
    before = _registrations(farm)  # after what a gateway says when it ends
    if role is not Role.SCHEDULER:
        farm.scheduler.stop()
        farm.start_scheduler()
    if role is not Role.SERVER:
        farm.start_server()
        farm.server.wait_until(lambda: _registrations(farm) > before, _HEARTBEAT_SECS, "our server has registered")
    farm.server.wait_until(lambda: farm.status().num_servers == 1, _HEARTBEAT_SECS + 10, "the scheduler knows it")


def _registrations(farm: Farm) -> int:
    """How often our build server has: a scheduler that goes on running counts the one that was stopped."""
    return farm.server.log.read_text(errors="replace").count("registered with the scheduler")


@attrs.define
class Session:
    """Compiles through one client, each of which has to be remote.

    :param mistake_status: the exit status of a compiler that found a mistake, as the client gives it.
    """

    client: Client
    folder: Path
    mistake_status: int
    compiles: int = 0

    def compile_projects(self, name: str) -> None:
        """A small project in C, one in C++: the objects are those of a local compile."""
        for language in _LANGUAGES:
            project = write_project(self.folder / f"{name}{language.suffix}", language, parts=1)
            for source in project.sources:
                made, command = project.object_of(source), project.compile_command(source)
                remote = self._remote(command, made)
                assert remote == (0, ""), remote
                octets = made.read_bytes()
                assert self._local(command, made) == (0, "")
                assert octets == made.read_bytes(), f"{made.name} is not what a local compile gives"

    def compile_mistake(self) -> None:
        """An error in the source: the user reads the compiler's own message."""
        source = self.folder / "mistake.c"
        source.write_text(_MISTAKE)
        command, made = ("gcc", "-c", source.name, "-o", "mistake.o"), source.with_suffix(".o")
        status, messages = self._local(command, made)
        assert (status, messages != "") == (1, True)
        remote = self._remote(command, made)
        assert remote == (self.mistake_status, messages), remote

    def _remote(self, command: tuple[str, ...], made: Path) -> tuple[int, str]:
        """Compile through the client: what a local compile gives too."""
        self.compiles += 1
        ended = _outcome(self.client.compiling(command, made.parent))
        given_back = self.client.statistics().errors
        assert given_back == 0, f"{made} was given back"
        assert self._sent() == self.compiles, f"{made} was not sent to a build server"
        return ended

    def _sent(self) -> int:
        """How many compiles ran on a build server: old releases leave those that failed out of their statistics."""
        return self.client.daemon.log.read_text(errors="replace").count("]: Running job")

    def _local(self, command: tuple[str, ...], made: Path) -> tuple[int, str]:
        return _outcome(Command(command, inherited(), made.parent))


def _outcome(command: Command) -> tuple[int, str]:
    """Exit status and messages; the lines that quote the source differ, as it goes away preprocessed."""
    ended = command.run(_COMPILE_SECS)
    messages = (line for line in ended.stderr.splitlines() if line.startswith("mistake.c:"))
    return ended.returncode, "\n".join(messages)
