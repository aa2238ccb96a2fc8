"""``make demo``: compile three small projects on a farm of one machine, and say where each file went.

Ends with status 0 only if every compile was done by the build server and every program ran.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import attrs

from farmkit.farm import Farm
from farmkit.processes import Command, inherited
from farmkit.projects import CXX, LIBRARIES, C, Language, write_project, write_workspace
from farmkit.published_client import Client, client_config

_PARTS = 4
_STEP_SECS = 300  # packing a compiler takes most of it on a busy machine

_PACKING = "The first file of each language takes longer: the client packs the compiler for the build server."
_FOR_REAL = "For real use, with the address and the token of your scheduler, in ~/.config/sccache/config:"


def main() -> int:
    """Run it; the result is the exit status."""
    with tempfile.TemporaryDirectory(prefix="sccachedist-demo-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Farm(folder) as farm:
            say(f"scheduler     {farm.scheduler_url}")
            say(f"build server  {farm.server_id}, {farm.status().num_cpus} CPUs\n\n{_PACKING}\n")
            with Client(folder / "client", farm.scheduler_url, farm.client_token, folder / "toolchains") as client:
                demo = Demo(folder, client)
                demo.run()
                say(f"\nThe client's statistics:\n{client.distribution_report()}")
    say(f"\n{_FOR_REAL}\n\n{client_config(farm.scheduler_url, farm.client_token)}")
    say("Every compile was remote, every program ran." if demo.good else "NOT all of that was as it should.")
    return 0 if demo.good else 1


def say(line: str) -> None:
    """A line for the person who watches."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@attrs.define
class Demo:
    """The projects, one after the other; ``good`` until a compile is not remote or a program fails."""

    folder: Path
    client: Client
    good: bool = True

    def run(self) -> None:
        """Compile, link and run all that the machine has compilers for."""
        self._project("c", C)
        self._project("c++", CXX)
        if shutil.which("cargo"):
            self._workspace("rust")

    def _project(self, name: str, language: Language) -> None:
        project = write_project(self.folder / name, language, _PARTS)
        for source in project.sources:
            compiling = self.client.compiling(project.compile_command(source), project.folder)
            self._step(f"{name}/{source.name}", compiling, remote=True)
        self._step(f"{name}: link", Command(project.link_command(), inherited(), project.folder))
        self._step(f"{name}: run", Command((str(project.program),), inherited(), project.folder))

    def _workspace(self, name: str) -> None:
        folder = self.folder / name
        program = write_workspace(folder)
        for library in LIBRARIES:
            self._step(f"{name}/{library}", self.client.cargo_build(folder, "-p", library), remote=True)
        self._step(f"{name}: link", self.client.cargo_build(folder))
        self._step(f"{name}: run", Command((str(program),), inherited(), folder))

    def _step(self, what: str, command: Command, *, remote: bool = False) -> None:
        before, started = self.client.statistics(), time.monotonic()
        ended = command.run(_STEP_SECS)
        seconds = time.monotonic() - started
        servers = self.client.statistics().servers_since(before)
        say(f"{what:<20} {', '.join(servers) or 'here':<22} {seconds:6.2f} s")
        if ended.returncode != 0 or bool(servers) != remote:
            say(f"  ^ not as it should be: status {ended.returncode}\n{ended.stderr}")
            self.good = False


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        sys.exit(f"demo: {error}")
