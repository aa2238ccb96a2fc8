"""Debian's icecream-sundae and icemon in front of a real farm that the published client compiles on."""

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.processes import LOOPBACK, Command, Daemon, answers, inherited, wait_until
from farmkit.projects import CXX, write_project
from farmkit.published_client import Client
from tests.functional.test_builds import build
from tests.support.own_network import own_network
from tests.support.terminal import Terminal

pytestmark = pytest.mark.functional

#: Both look for it there.
PORT = 8765
#: A connection's state in /proc/net/tcp.
ESTABLISHED = "01"
FILES, PARALLEL = 6, 3
#: A second of the compiler's time for some lines.
SLOW = attrs.evolve(
    CXX,
    part="""\
constexpr int count()
{{
    int sum = {n};
    for (int i = 0; i < 400; ++i)
        for (int j = 0; j < 2000; ++j)
            sum += j & 1;
    return sum;
}}
static_assert(count() > 0, "");
int part_{n}(int x) {{ return x * {n}; }}
""",
)


@attrs.frozen
class Sundae(Terminal):
    """icecream-sundae, in a terminal."""

    def row(self, name: str) -> tuple[int, ...]:
        """The numbers of a host: jobs that it took, that it has, that it can have; none if it is not shown."""
        found = re.search(rf"^.*\d+ +{re.escape(name)} +(\d+) +(\d+) +(\d+) ", self.screen, re.MULTILINE)
        return tuple(map(int, found.groups())) if found else ()

    @property
    def totals(self) -> tuple[int, ...]:
        """How many jobs were remote, and how many local."""
        found = re.search(r"Remote:(\d+) Local:(\d+)", self.screen)
        return tuple(map(int, found.groups())) if found else ()


@attrs.frozen
class Icemon:
    """icemon on a screen that is a file."""

    program: Daemon
    frame: Path

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path) -> Iterator["Icemon"]:
        """One on a display of its own."""
        frames, number = folder / "frames", folder / "display"
        frames.mkdir()
        screen = f"exec Xvfb -displayfd 3 -fbdir {frames} -screen 0 500x420x24 -nolisten tcp 3>{number}"
        display = Daemon.start(Command(("sh", "-c", screen), inherited(), folder), folder / "xvfb.log")
        with contextlib.ExitStack() as held:
            held.callback(display.stop)
            display.wait_until(lambda: number.exists() and number.read_text().endswith("\n"), 30, "a display is there")
            variables = {"DISPLAY": f":{number.read_text().strip()}", "HOME": str(folder)}
            environment = inherited() | variables | {"XDG_RUNTIME_DIR": str(folder)}
            program = Daemon.start(Command(("icemon", "-s", LOOPBACK), environment, folder), folder / "icemon.log")
            held.callback(program.stop)
            yield cls(program, frames / "Xvfb_screen0")

    def looks(self) -> bytes:
        """What one sees of it: the picture, byte by byte."""
        return self.frame.read_bytes()

    def comes_to_rest(self) -> bytes:
        """What one sees when it has not changed for ten looks."""
        last = [self.looks()]

        def is_still() -> bool:
            last.append(self.looks())
            return len(last) > 10 and len(set(last[-10:])) == 1

        self.program.wait_until(is_still, 30, "icemon comes to rest")
        return last[-1]


@attrs.frozen
class Watched:
    """A farm and its two monitors."""

    farm: Farm
    sundae: Sundae
    icemon: Icemon


@pytest.fixture
def held() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as held:
        yield held


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """On a network of its own: icecream-sundae asks a whole one for schedulers."""
    with contextlib.ExitStack() as held:
        held.enter_context(own_network())
        farm = Farm(tmp_path, scheduler_settings=f'[monitor]\naddress = "{LOOPBACK}:{PORT}"\n')
        held.enter_context(farm)
        wait_until(lambda: answers(PORT), 10, "monitors are listened to")
        command = ("icecream-sundae", "-s", LOOPBACK)
        sundae = held.enter_context(Sundae.running(tmp_path / "tmux", command, (150, 30)))
        yield Watched(farm, sundae, held.enter_context(Icemon.running(tmp_path)))


def monitors() -> int:
    """How many connections the farm has from them."""
    listed = [line.split() for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    return sum(fields[2].endswith(f":{PORT:04X}") and fields[3] == ESTABLISHED for fields in listed)


def besiege(held: contextlib.ExitStack) -> None:
    """Open a thousand connections from some addresses, and say on them what no monitor says; leave them open."""
    said = (b"", b"\x2b\0", b"GET / HTTP/1.1\r\n\r\n", struct.pack("<II", 43, 37) + b"\xff" * 8)
    for number in range(1000):
        stranger = held.enter_context(socket.socket())
        stranger.bind((f"127.0.1.{number % 50 + 1}", 0))
        stranger.settimeout(10)
        stranger.connect((LOOPBACK, PORT))
        with contextlib.suppress(ConnectionError):  # it is closed already
            stranger.sendall(said[number % len(said)])


def test_a_build_is_seen(watched: Watched, held: contextlib.ExitStack, tmp_path: Path, toolchains: Path) -> None:
    """Both show the hosts, the jobs of a build while it goes on, and a build server that leaves.

    A thousand strangers at their port change nothing of it.
    """
    farm, sundae, icemon = watched.farm, watched.sundae, watched.icemon
    server = f"{socket.gethostname()}:{farm.server_port}"
    wait_until(lambda: sundae.row(server)[:2] == (0, 0), 20, "icecream-sundae shows the build server")
    slots = sundae.row(server)[2]
    wait_until(lambda: monitors() == 2, 20, "icemon has found the farm")
    idle = icemon.comes_to_rest()
    besiege(held)
    project = write_project(tmp_path / "project", SLOW, FILES - 1)
    with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
        seen = threading.Event()

        def build_until_seen() -> None:
            while not seen.is_set():
                build(
                    project, lambda source: client.compiling(project.compile_command(source), project.folder), PARALLEL
                )

        with ThreadPoolExecutor(1) as beside:
            building = beside.submit(build_until_seen)
            try:
                wait_until(lambda: building.done() or sundae.row(server)[1] > 0, 60, "icecream-sundae shows a job")
                wait_until(lambda: building.done() or icemon.looks() != idle, 60, "icemon shows a job")
            finally:
                seen.set()
            building.result()
        compiled = client.statistics().total_remote
    wait_until(lambda: sundae.row(server) == (compiled, 0, slots), 10, "icecream-sundae has counted all jobs")
    assert sundae.totals == (compiled, 0)
    farm.server.stop()
    wait_until(lambda: sundae.row(server) == (), 10, "icecream-sundae shows no build server")
    wait_until(lambda: icemon.looks() != idle, 10, "icemon does not, either")
    assert icemon.program.running, icemon.program.tail()
