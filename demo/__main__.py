"""``make demo``: compile three small projects on a farm of one machine, and say where each file went.

Ends with status 0 only if every compile was done by the build server and every program ran. With ``--keep`` the farm
stays until Ctrl-C or SIGTERM, for compiles of one's own and to be looked at.
"""

import argparse
import contextlib
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import attrs

from farmkit import program
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, PROGRAMS, adding
from farmkit.processes import LOOPBACK, Command, free_port, inherited
from farmkit.projects import CXX, LIBRARIES, C, Language, write_project, write_workspace
from farmkit.published_client import Client, client_config

_PARTS = 4
_STEP_SECS = 300  # packing a compiler takes most of it on a busy machine

_PACKING = "The first file of each language takes longer: the client packs the compiler for the build server."
_FOR_REAL = """
This is the client's configuration. For real use, write these lines to ~/.config/sccache/config, with the address and
the token of your scheduler in the place of this farm's, which {end}:

{config}
The client reads it when it starts: end one that runs with "sccache --stop-server". Then let sccache run the compilers:

    make CC="sccache gcc" CXX="sccache g++"
    cmake -DCMAKE_C_COMPILER_LAUNCHER=sccache -DCMAKE_CXX_COMPILER_LAUNCHER=sccache ...
    RUSTC_WRAPPER=sccache cargo build

"sccache --show-stats" says what went to the farm. "sccachedist status" and "sccachedist why FILE" read the same lines.
"""

_KEPT = """
The farm stays until you press Ctrl-C. To compile on it, in another terminal:

    . {environment}
    sccache gcc -c hello.c
    sccachedist status

Its page is {url}/
    to look at it, sign in with  {client}
    to drain and undrain, with   {administrator}
"""


def main() -> int:
    """Run it; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="demo", description="A farm of one machine at work.")
    parser.add_argument("--keep", action="store_true", help="keep the farm until Ctrl-C")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory(prefix="sccachedist-demo-", ignore_cleanup_errors=True) as name:
        folder, administrator = Path(name), secrets.token_urlsafe()
        metrics = f'[metrics]\naddress = "{LOOPBACK}:{free_port()}"\n'
        scheduler = adding(OUR_SCHEDULER, admin=f'token = "{administrator}"')
        with Farm(folder, scheduler, server_settings=metrics) as farm:
            say(f"scheduler     {farm.scheduler_url}")
            say(f"build server  {farm.server_id}, {farm.status().num_cpus} CPUs")
            say(f"page          {farm.scheduler_url}/\n\n{_PACKING}\n")
            with Client(folder / "client", farm.scheduler_url, farm.client_token, folder / "toolchains") as client:
                demo = Demo(folder, client)
                demo.run()
                say(f"\nThe client's statistics:\n{client.distribution_report()}")
                say(_FOR_REAL.format(end="stays for now" if keep else "ends now", config=farm_config(farm)))
                say(
                    "Every compile was remote, every program ran." if demo.good else "NOT all of that was as it should."
                )
                if keep:
                    wait_for_the_end(farm, client, administrator)
    return 0 if demo.good else 1


def farm_config(farm: Farm) -> str:
    """The client's configuration for a farm."""
    return client_config(farm.scheduler_url, farm.client_token)


def wait_for_the_end(farm: Farm, client: Client, administrator: str) -> None:
    """Say how the farm is used, and return when the user has seen enough of it."""
    environment, token = farm.folder / "environment", farm.folder / "administrator.token"
    token.touch(mode=0o600)
    token.write_text(administrator)
    mine = {name: value for name, value in client.environment.items() if name.startswith("SCCACHE")}
    mine["SCCACHEDIST_TOKEN_FILE"] = str(token)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in mine.items()]
    environment.write_text("".join([*lines, f'export PATH={shlex.quote(str(PROGRAMS))}:"$PATH"\n']))
    say(
        _KEPT.format(
            environment=environment, url=farm.scheduler_url, client=farm.client_token, administrator=administrator
        )
    )
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    say("The farm ends.")


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
        program.run(main)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        sys.exit(f"demo: {error}")
