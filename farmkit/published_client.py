"""The published client: a daemon of its own for each :class:`Client`, and compiles through it.

The same class drives every published release; it knows nothing of our daemons.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import attrs

from farmkit.launch import PROGRAMS
from farmkit.processes import Command, Daemon, answers, free_port, inherited

#: Where a client keeps which of its archives is of which compiler, in the folder of its toolchains.
WEAK_MAP = "weak_map.json"

_CACHE_SIZE = "100M"  # not 0, which some releases do not bear

_FOREGROUND = {"SCCACHE_START_SERVER": "1", "SCCACHE_NO_DAEMON": "1", "SCCACHE_LOG": "debug"}


def client_config(scheduler_url: str, token: str, more: str = "") -> str:
    """What a user writes into the client's configuration file to compile on a farm.

    :param more: further lines of the ``[dist]`` table.
    """
    return f"""\
[dist]
scheduler_url = "{scheduler_url}"
{more}
[dist.auth]
type = "token"
token = "{token}"
"""


@attrs.frozen
class Override:
    """A toolchain archive of the user's own, and the executable in it, to use for a local compiler."""

    compiler: Path
    archive: Path
    executable: str

    def config(self) -> str:
        """Its entry in the client's configuration file."""
        return f"""\
[[dist.toolchains]]
type = "path_override"
compiler_executable = "{self.compiler}"
archive = "{self.archive}"
archive_compiler_executable = "{self.executable}"
"""


@attrs.frozen
class Statistics:
    """What a client says that it has done since it started.

    ``remote`` counts compiles by build server, ``errors`` those that were given back and compiled locally.
    """

    remote: Mapping[str, int]
    errors: int

    @property
    def total_remote(self) -> int:
        """How many compiles were done on build servers."""
        return sum(self.remote.values())

    def servers_since(self, before: "Statistics") -> list[str]:
        """The build servers that have compiled something since then."""
        return [server for server, count in self.remote.items() if count > before.remote.get(server, 0)]


def share_toolchains(packed: Path, own: Path) -> Path:
    """Make a folder with packed toolchains for one client, which removes what others have begun there when it starts.

    :param packed: the folder of a client that is not at work.
    """
    shutil.copytree(packed, own, copy_function=_share)
    return own


def _share(source: str, copy: str) -> None:
    """Link what is large and stays as it is, copy what a client writes to."""
    if Path(source).name == WEAK_MAP:
        shutil.copy(source, copy)
    else:
        os.link(source, copy)


@attrs.define
class Client:
    """One client daemon with its own port, cache and configuration.

    :param toolchains: its folder for packed toolchains, which takes seconds to fill: see :func:`share_toolchains`.
    :param variables: what its environment has besides; ``dist``: further lines of the ``[dist]`` table.
    """

    folder: Path
    scheduler_url: str
    token: str = attrs.field(repr=False)
    toolchains: Path
    overrides: Sequence[Override] = ()
    sccache: Path = PROGRAMS / "sccache"
    variables: Mapping[str, str] = attrs.field(factory=dict)
    dist: str = ""
    port: int = attrs.field(factory=free_port)
    daemon: Daemon = attrs.field(init=False)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._config_path.write_text(self._config())
        start = Command((str(self.sccache),), self.environment | _FOREGROUND, self.folder)
        self.daemon = Daemon.start(start, self.folder / "client.log")
        try:
            self.daemon.wait_until(lambda: answers(self.port), 20, "the client answers")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("--stop-server")  # also one that a compile started after a crash
        finally:
            self.daemon.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What tells the ``sccache`` command which daemon is its own, and to compile again each time."""
        return inherited(
            SCCACHE_SERVER_PORT=str(self.port),
            SCCACHE_CONF=str(self._config_path),
            SCCACHE_CACHED_CONF=str(self.folder / "cached.conf"),
            SCCACHE_DIR=str(self.folder / "cache"),
            SCCACHE_CACHE_SIZE=_CACHE_SIZE,
            SCCACHE_RECACHE="1",
            **self.variables,
        )

    def compiling(self, command: Sequence[str], folder: Path) -> Command:
        """A compiler's command line, to be run through the client."""
        return Command((str(self.sccache), *command), self.environment, folder)

    def cargo_build(self, folder: Path, *arguments: str) -> Command:
        """A build of a cargo workspace, three crates at a time, with the client around its compiler."""
        environment = self.environment | {"RUSTC_WRAPPER": str(self.sccache), "CARGO_INCREMENTAL": "0"}
        return Command(("cargo", "build", "--offline", "-j3", *arguments), environment, folder)

    def statistics(self) -> Statistics:
        """What the client has counted so far."""
        stats = json.loads(self._ask("--show-stats", "--stats-format=json"))["stats"]
        return Statistics(stats["dist_compiles"], stats["dist_errors"])

    def distribution_report(self) -> str:
        """The lines of the client's statistics that are about distribution."""
        report = self._ask("--show-stats")
        return report[report.index("Failed distributed") : report.index("Cache location")].rstrip()

    @property
    def _config_path(self) -> Path:
        return self.folder / "client.conf"

    def _config(self) -> str:
        mine = f'cache_dir = "{self.toolchains}"\n{self.dist}\n'
        dist = client_config(self.scheduler_url, self.token, mine)
        return "\n".join([dist, *(override.config() for override in self.overrides)])

    def _ask(self, *arguments: str) -> str:
        return Command((str(self.sccache), *arguments), self.environment, self.folder).run().stdout
