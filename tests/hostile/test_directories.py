"""Rows 36 and 48: a local user of the build server's host makes its directories, or writes to them."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.busybox_jobs import id_of, shell
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, Launch, adding
from farmkit.processes import Command
from tests.hostile.victim import Victim
from tests.support.unprivileged import dropping, unprivileged

_NOBODY = 65534
_KEY = b"known to who planted".ljust(32, b"!")
_WAIT_SECS = 60


@attrs.frozen
class Ground:
    """A directory that everybody shares, as ``/tmp`` is, where a build server is to keep its files.

    :param owner: the uid that the build server runs as.
    :param planter: the uid of a local user.
    :param precious: a tree of the build server's user, which is none of its business.
    """

    shared: Path
    owner: int
    planter: int
    precious: Path
    victim: Victim

    @property
    def cache(self) -> Path:
        """The ``cache_dir``."""
        return self.shared / "farm/cache"

    @property
    def home(self) -> Path:
        """What the build server has in its ``build_dir``."""
        return self.shared / "farm/build/sccachedist"

    def plant(self, script: str) -> None:
        """Do something as the local user."""
        subprocess.run(self.planting(script), check=True)

    def planting(self, script: str) -> list[str]:
        """The command that does it."""
        user = ["setpriv", f"--reuid={self.planter}", f"--regid={self.planter}", "--clear-groups"]
        return [*user, "sh", "-c", f"umask 0; cd {shlex.quote(str(self.shared))}; precious={self.precious}; {script}"]

    def start(self) -> str:
        """Start the build server; what it says when it refuses to, nothing where it is registered."""
        farm = self.victim.farm
        farm.launch_only_server()
        server = farm.server
        seen = len(server.log.read_text())
        with contextlib.suppress(RuntimeError):  # it has ended
            server.wait_until(lambda: "registered with the scheduler" in server.log.read_text()[seen:], _WAIT_SECS, "")
        said = server.log.read_text()[seen:]
        assert "Traceback" not in said, said
        if server.running:
            return ""
        (line,) = re.findall(r"sccachedist: .*\.conf: (.*)", said)
        return str(line)

    def serves(self) -> None:
        """An honest client's job runs."""
        self.victim.run(shell("true"))
        self.victim.all_slots_free()

    def untouched(self) -> None:
        """Nothing has happened to the tree beside."""
        assert [seen(path) for path in (self.precious, *sorted(self.precious.rglob("*")))] == [
            (self.precious, self.owner, 0o40700, 3, ""),
            (self.precious / "deep", self.owner, 0o40700, 2, ""),
            (self.precious / "deep/thesis", self.owner, 0o100600, 1, "years of work"),
            (self.precious / "thesis", self.owner, 0o100600, 1, "years of work"),
        ]


def seen(path: Path) -> tuple[Path, int, int, int, str]:
    """What a file is, and whose."""
    entry = path.lstat()
    return path, entry.st_uid, entry.st_mode, entry.st_nlink, path.read_text() if path.is_file() else ""


def placed(launch: Launch, shared: Path) -> Launch:
    """A build server with its directories below another one."""

    def launch_placed(config: Path) -> Command:
        config.write_text(config.read_text().replace(str(config.parent), f"{shared}/farm"))
        return launch(config)

    return launch_placed


def with_umask(launch: Launch, umask: int) -> Launch:
    """A daemon that is started with a umask."""

    def launch_with_umask(config: Path) -> Command:
        command = launch(config)
        arguments = ("sh", "-c", f"umask {umask:o}; exec {shlex.join(command.arguments)}")
        return attrs.evolve(command, arguments=arguments)

    return launch_with_umask


def as_user(user: str, umask: int | None = None) -> Launch:
    """A build server of a user's."""
    launch = OUR_SERVER if umask is None else with_umask(OUR_SERVER, umask)
    match user:
        case "root":
            return launch
        case "nobody":
            return unprivileged(launch)
        case _:
            return dropping(adding(launch, sandbox='user = "nobody"'))


@pytest.fixture(scope="module")
def scheduler(user: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm of which only the scheduler runs, for all tests with a user."""
    farm = Farm(tmp_path_factory.mktemp("planted"), OUR_SCHEDULER, as_user(user))
    farm.start_scheduler()
    yield farm
    farm.stop()
    shutil.rmtree(farm.folder)


@pytest.fixture
def ground(scheduler: Farm, user: str, archive: Path) -> Iterator[Ground]:
    """A place for a build server that is not there yet."""
    shared = Path(tempfile.mkdtemp(prefix="shared-"))
    shared.chmod(0o1777)
    owner, planter = (0, _NOBODY) if user == "root" else (_NOBODY, 1234)
    precious = Path(tempfile.mkdtemp(prefix="precious-"))
    (precious / "deep").mkdir(mode=0o700)
    for file in (precious / "thesis", precious / "deep/thesis"):
        file.touch(mode=0o600)
        file.write_text("years of work")
    for path in (precious, *precious.rglob("*")):
        os.chown(path, owner, -1)
    farm = attrs.evolve(scheduler, launch_server=placed(scheduler.launch_server, shared))
    farm.scheduler = scheduler.scheduler
    (farm.folder / "server.log").write_text("")
    try:
        yield Ground(shared, owner, planter, precious, Victim(farm, archive, id_of(archive)))
    finally:
        farm.stop()
        shutil.rmtree(shared)
        shutil.rmtree(precious)


_MARKED = "mkdir -p farm/build/sccachedist && touch farm/build/sccachedist/.made-by-sccachedist"


@pytest.mark.parametrize(
    "script",
    [
        f"{_MARKED} && ln -s $precious farm/build/sccachedist/toolchains",
        "mkdir -p farm/build && ln -s $precious farm/build/sccachedist",
        "mkdir -p farm/cache/identity && head -c 32 /dev/zero >farm/cache/identity/job.key",
        "mkdir -p farm/cache && ln -s $precious farm/cache/spool",
        "ln -s $precious farm",
        "mkfifo farm",
    ],
)
def test_row_36_planted(ground: Ground, script: str) -> None:
    """What a local user has made is named in one line; nothing that it leads to changes, and then the server starts."""
    ground.plant(script)
    before = sorted(map(seen, ground.shared.rglob("*")))
    refused = ground.start()
    assert re.match(r"(cache_dir|builder\.build_dir): /.*(belongs to|link of|not a directory)", refused), refused
    assert sorted(map(seen, ground.shared.rglob("*"))) == before
    ground.untouched()


@pytest.mark.parametrize("name", ["cache", "build"])
def test_row_36_a_parent_that_others_write_to(ground: Ground, name: str) -> None:
    """There everybody could put something else in the place of what the build server has checked."""
    parent = ground.shared / "farm" / name
    parent.mkdir(parents=True)
    parent.chmod(0o777)
    for path in (parent.parent, parent):
        os.chown(path, ground.owner, -1)
    refused = ground.start()
    assert f"{parent} can be written by other users (mode 0777): chmod go-w {parent}" in refused
    parent.chmod(0o755)
    assert ground.start() == ""
    ground.serves()


@pytest.mark.parametrize("script", ["rm -f {}; echo known >{}", "rm -f {}; ln -s $precious/thesis {}"])
def test_row_36_a_key_that_somebody_else_has_written(ground: Ground, script: str) -> None:
    """It is put aside, and a new one made: no token can be forged with it."""
    assert ground.start() == ""
    ground.victim.farm.server.stop()
    key = ground.cache / "identity/job.key"
    key.unlink()
    key.parent.chmod(0o777)  # as an older version had left it
    os.chown(key.parent.parent, ground.owner, -1)
    key.parent.parent.chmod(0o755)
    key.parent.parent.parent.chmod(0o755)
    ground.plant(script.format(key, key))
    key.parent.chmod(0o700)
    assert ground.start() == ""
    assert (key.stat().st_uid, key.lstat().st_mode, key.stat().st_size) == (ground.owner, 0o100600, 32)
    assert os.path.lexists(key.with_suffix(".broken"))
    ground.untouched()
    ground.serves()


def test_row_36_while_it_starts(ground: Ground) -> None:
    """A local user who swaps directories and links as fast as can be wins nothing."""
    swap = "while :; do rm -rf farm; mkdir -p farm/cache/identity; rm -rf farm; ln -s $precious farm; done 2>/dev/null"
    swapping = subprocess.Popen(ground.planting(swap), stdout=subprocess.PIPE, start_new_session=True)
    try:
        for _ in range(3):
            if ground.start() == "":  # it came first, and keeps its directories
                ground.serves()
                ground.victim.farm.server.stop()
            ground.untouched()
    finally:
        os.killpg(swapping.pid, signal.SIGKILL)
        swapping.communicate()  # until the program that the shell had started is over, too
    subprocess.run(["rm", "-rf", ground.shared / "farm"], check=True)
    assert ground.start() == ""
    ground.serves()
    ground.untouched()


def _toolchain_with_a_mode(archive: Path, made: Path) -> Path:
    with tarfile.open(archive) as source, tarfile.open(made, "w:gz") as tar:
        top = tarfile.TarInfo("./")
        top.type, top.mode = tarfile.DIRTYPE, 0o777
        tar.addfile(top)
        for member in source:
            tar.addfile(member, source.extractfile(member))
    return made


@pytest.mark.parametrize("umask", [0, 0o077])
def test_row_48_whatever_the_umask(ground: Ground, user: str, tmp_path: Path, umask: int) -> None:
    """No other user can enter what the build server makes, whatever an archive says; it works, also after a restart."""
    farm = ground.victim.farm
    farm.launch_server = placed(as_user(user, umask), ground.shared)
    archive = _toolchain_with_a_mode(ground.victim.archive, tmp_path / "toolchain.tar.gz")
    honest = attrs.evolve(ground.victim, archive=archive, toolchain=id_of(archive))
    for _ in range(2):
        assert ground.start() == ""
        honest.run(shell("true"))
        made = [ground.shared / "farm", *(ground.shared / "farm").rglob("*")]
        toolchains = ground.home / "toolchains"
        ours = [path for path in made if toolchains not in path.parents and path.is_dir()]
        assert len(ours) > 10
        assert {oct(path.stat().st_mode) for path in ours} == {"0o40700"}
        assert {path.stat().st_uid for path in made} == {ground.owner}
        assert oct((toolchains / id_of(archive)).stat().st_mode) == "0o40755"
        honest.all_slots_free()
        farm.server.stop()


def test_row_36_what_is_there_already(ground: Ground) -> None:
    """The directories of the published build server, or of an older version, are taken over and closed to others."""
    for path in (ground.shared / "farm", ground.cache, ground.cache / "tc", ground.home.parent):
        path.mkdir(mode=0o755)
        os.chown(path, ground.owner, -1)
    assert ground.start() == ""
    ground.serves()
    assert (ground.cache / "tc").stat().st_mode & 0o777 == 0o700


def test_a_second_server_on_the_same_cache(ground: Ground, tmp_path: Path) -> None:
    """It ends with one line, and the first one keeps all that it has."""
    assert ground.start() == ""
    ground.serves()
    farm = ground.victim.farm
    second = farm.beside(tmp_path, farm.launch_server)
    second.launch_only_server()
    try:
        second.server.process.wait(_WAIT_SECS)
        said = second.server.log.read_text()
        assert said.rstrip().endswith(f"cache_dir: {ground.cache} is in use by another build server"), said
        assert "Traceback" not in said
    finally:
        second.stop()
    ground.serves()
