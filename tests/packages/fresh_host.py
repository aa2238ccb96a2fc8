"""A host with a fresh system that systemd has booted, for what administrators install on hosts. For root.

It is both hosts of the pages, with their addresses. Examples of configurations are completed as the pages say.
"""

import contextlib
import re
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import attrs

from farmkit.launch import CHECKOUT
from farmkit.processes import wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client
from tests.faults.network import ip
from tests.packages.base import PIP, Base
from tests.support.booted import Booted, booted
from tests.support.own_network import network_of
from tests.support.page_blocks import blocks

SCHEDULER, SERVER = "192.168.1.1:10600", "192.168.1.2:10501"
_SECS = 300
_PACK_SECS = 600
#: The wheels, the configuration of pip, and a copy of what is to be installed.
_FURNISH = """
mkdir wheels root/given
mount --bind {wheels} wheels
printf '%s' {pip} >etc/pip.conf
cp -r {given}/. root/given
"""


@attrs.frozen
class FreshHost:
    """The host, and the page that is followed on it."""

    system: Booted
    page: str

    def follow(self, block: str, folder: str = "/root/given") -> list[str]:
        """Run the commands of a block of the page, one after the other; what each prints."""
        [text] = [each.text for each in blocks(self.page) if each.name == block]
        said = []
        umask = ""
        for line in text.splitlines():
            umask = f"{line};" if line.startswith("umask") else umask
            said.append(self.system.said(f"cd {folder}; {umask} {line}", seconds=_SECS))
        return said

    def configuration(self, role: str) -> Path:
        """The file of a role, as this process sees it."""
        return self.system.root / "etc/sccachedist" / f"{role}.conf"

    def complete(self, role: str, **printed: str) -> None:
        """Give a role the example of its configuration, with what commands have printed; the file stays its owner's."""
        text = (CHECKOUT / "contrib/examples" / f"{role}.conf").read_text()
        for command, secret in printed.items():
            told = f"what sccachedist auth {command.replace('_', '-')} printed"
            assert text.count(told) == 1, told
            text = text.replace(told, secret)
        self.configuration(role).write_text(text)

    def files(self) -> set[str]:
        """All files and folders, but for what the kernel or a running system has."""
        passed_over = ("/proc", "/sys", "/run", "/dev", "/tmp", "/var/log/journal", "/wheels", "/root/given")
        pruned = " -o ".join(f"-path {each}" for each in passed_over)
        return set(self.system.said(f"find / \\( {pruned} \\) -prune -o -print").splitlines())

    def wait_until_registered(self) -> None:
        """Return when the build server takes jobs, and the scheduler knows it, as systemd shows both."""
        for unit, status in (
            ("sccachedist-server", r"open, 0 of \d+ .*"),
            ("sccachedist-scheduler", r"build servers: 1, slots taken: 0 of .*"),
        ):
            wait_until(partial(self._has_status, unit, re.compile(status)), _SECS, f"{unit}: {status}")

    def _has_status(self, unit: str, status: re.Pattern[str]) -> bool:
        shown = self.system.said(f"systemctl show --property=StatusText --value {unit}")
        return status.fullmatch(shown) is not None

    def compiles(self, token: str, folder: Path, toolchains: Path) -> None:
        """Compile a file on the host's farm, by the published client."""
        project = write_project(folder / "project", C, 1)
        user = Client(folder / "client", f"http://{SCHEDULER}", token, toolchains)
        with network_of(self.system.process), user as client:
            command = client.compiling(project.compile_command(project.sources[0]), project.folder)
            ended = command.run(_PACK_SECS)
            assert ended.returncode == 0, ended
            statistics = client.statistics()
            assert (dict(statistics.remote), statistics.errors) == ({SERVER: 1}, 0)


@contextlib.contextmanager
def fresh_host(base: Base, release: str, folder: Path, given: Path, page: str) -> Iterator[FreshHost]:
    """Boot it; all of it ends with the block.

    :param release: the name of a root.
    :param given: a folder whose files it has in ``/root/given``.
    :param page: one of ``doc/``.
    """
    folder.mkdir()
    furnish = _FURNISH.format(wheels=base.wheels, pip=shlex.quote(PIP), given=given)
    with booted(folder / "booted", base.root(release), furnish) as system:
        with network_of(system.process):
            for address in (SCHEDULER, SERVER):
                ip("addr", "add", f"{address.partition(':')[0]}/32", "dev", "lo")
        try:
            yield FreshHost(system, page)
        finally:
            print(system.run("journalctl --no-pager --lines=60 --unit='sccachedist-*'").stdout)
