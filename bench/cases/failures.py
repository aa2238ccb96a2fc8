"""What it costs that clients repeat failed compiles: a real project's ``configure``, and builds in which files fail.

The source is PyNaCl's source distribution, which brings libsodium with its ``configure``; pip fetches it when the case
runs. Both sides are our own daemons: the column of the published ones has ``policy.on_failure = "report"``, ours has
``"verify"``, the default.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from bench.quantities import Bar, Quantity, by_turns
from bench.run import Run
from bench.sides import OURS, Role, Side, side
from farmkit.launch import OUR_SERVER, adding
from farmkit.projects import C, Project, write_project
from farmkit.published_client import Client

_SOURCE = "pynacl==1.5.0"
_CONFIGURE = "PyNaCl-1.5.0/src/libsodium"
_FILES, _AT_A_TIME = 100, 4


@attrs.frozen
class _Developer:
    """A client of a farm, a tree to configure, and a project with a mistake in one file."""

    client: Client
    tree: Path
    project: Project

    def configure(self) -> dict[str, float]:
        """Run ``configure``: many of its small compiles fail, on purpose."""
        shutil.rmtree(build := self.tree / "build", ignore_errors=True)
        build.mkdir()
        compiler = f"CC={self.client.sccache} gcc"
        began = time.perf_counter()
        ended = subprocess.run(
            ["../configure", "--disable-dependency-tracking", compiler],
            cwd=build,
            env=self.client.environment,
            capture_output=True,
            check=False,
        )
        if ended.returncode:
            raise RuntimeError(f"configure failed: {ended.stderr[-1000:]!r}")
        return {"seconds": time.perf_counter() - began}

    def build(self) -> dict[str, float]:
        """Compile everything, also after a failure."""
        began = time.perf_counter()
        with ThreadPoolExecutor(_AT_A_TIME) as makes:
            failed = sum(makes.map(self._fails, self.project.sources))
        if failed != 1:
            raise RuntimeError(f"{failed} files failed, where one has a mistake")
        return {"seconds": time.perf_counter() - began}

    def _fails(self, source: Path) -> bool:
        return bool(
            self.client.compiling(self.project.compile_command(source), self.project.folder).run(600).returncode
        )


class VerifiedFailures:
    """Wall time, with failed compiles repeated locally and without."""

    name, title, is_quick = (
        "verified-failures",
        "failed compiles: told by the farm, repeated at home (both ours)",
        False,
    )

    def measure(self, run: Run) -> list[Quantity]:
        """Time a ``configure`` run, and a build of 100 files of which one fails."""
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            archive = _fetched(Path(folder))
            with _developer(Path(folder), archive, "report") as one, _developer(Path(folder), archive, "verify") as two:
                configured = by_turns(run.scaled(3, 1), one, two, _Developer.configure, warm_up=False)
                built = by_turns(run.scaled(5, 1), one, two, _Developer.build)
        return [
            configured.quantity("seconds", "s", Bar(1.25)).named("``configure`` of libsodium"),
            built.quantity("seconds", "s", Bar(1.1)).named(f"a build of {_FILES} files, one of which fails"),
        ]


def _fetched(folder: Path) -> Path:
    download = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), _SOURCE]
    subprocess.run([sys.executable, "-m", "pip", *download], check=True)
    (archive,) = folder.glob("*.tar.gz")
    return archive


@contextlib.contextmanager
def _developer(folder: Path, archive: Path, policy: str) -> Iterator[_Developer]:
    role = Role(policy, OURS.scheduler, adding(OUR_SERVER, policy=f'on_failure = "{policy}"'))
    with side(role, folder) as farm, _client(farm) as client:
        shutil.unpack_archive(archive, source := farm.farm.folder / "source")
        project = write_project(farm.farm.folder / "project", C, _FILES - 1)
        project.sources[0].write_text("int twice(int x)\n{\n    return 2 * y;\n}\n")
        client.compiling(project.compile_command(project.sources[1]), project.folder).run(600)  # packs gcc
        yield _Developer(client, source / _CONFIGURE, project)


@contextlib.contextmanager
def _client(farm: Side) -> Iterator[Client]:
    folder = farm.farm.folder
    with Client(folder / "client", farm.farm.scheduler_url, farm.farm.client_token, folder / "toolchains") as client:
        yield client
