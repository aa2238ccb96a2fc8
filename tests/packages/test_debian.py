"""The Debian package, by the page's commands: built, installed, a farm of it, upgraded, removed, purged.

The newer release's is built as on Ubuntu.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.launch import CHECKOUT
from farmkit.processes import Command, inherited
from tests.packages.base import THIS, Base
from tests.packages.fresh_host import FreshHost, fresh_host
from tests.packages.package_builder import GIVEN, SOURCE, in_builder
from tests.support.page_blocks import blocks

pytestmark = [pytest.mark.functional, pytest.mark.packages]

ROLES = ("scheduler", "server", "worker")
UNITS = [f"sccachedist-{role}" for role in ROLES]
USERS = {"scheduler": "sccachedist-scheduler", "server": "sccachedist", "worker": "sccachedist"}
#: What is left of any package that was there: who had files, and what dpkg and systemd have.
LEFT = re.compile(
    r"/etc/(?:(?:passwd|group|shadow|gshadow)-?|\.pwd\.lock)|/var/(?:lib/(?:dpkg|apt|systemd)|cache|log)\b.*"
    r"|/var/tmp/systemd-private-[0-9a-f]+-systemd-.*"
)
OLDER = "0.1.0"
#: How a package is compressed: as usual it takes longer than all else of its build.
QUICK = {"DPKG_DEB_COMPRESSOR_TYPE": "gzip", "DPKG_DEB_COMPRESSOR_LEVEL": "1"}
_SECS = 600


@pytest.fixture(scope="module")
def package(base: Base, release: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as the page says, but into another folder."""
    [build] = [each.text for each in blocks("debian") if each.name == "build"]
    assert build == "make deb"
    folder = tmp_path_factory.mktemp("dist")
    if release == THIS:
        environment = inherited(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(base.wheels), **QUICK)
        built = Command(("contrib/debian/build.sh", str(folder)), environment, CHECKOUT).run(_SECS)
        assert built.returncode == 0, (built.stdout[-3000:], built.stderr[-3000:])
    else:
        quick = " ".join(f"{name}={value}" for name, value in QUICK.items())
        in_builder(base, folder, f"{quick} {SOURCE}/contrib/debian/build.sh {GIVEN}")
    [package] = folder.glob("*.deb")
    return package


@pytest.fixture(scope="module")
def older(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of an earlier version, with other configurations."""
    folder = tmp_path_factory.mktemp("older")
    run("dpkg-deb", "--raw-extract", str(package), str(folder / "files"))
    control = folder / "files/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {OLDER}", control.read_text()))
    for role in ROLES:
        with (folder / "files/etc/sccachedist" / f"{role}.conf").open("a") as config:
            config.write("# What an earlier version said.\n")
    older = folder / f"sccachedist_{OLDER}.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(folder / "files"), str(older))
    shutil.rmtree(folder / "files")
    return older


@pytest.fixture
def host(base: Base, release: str, older: Path, package: Path, tmp_path: Path) -> Iterator[FreshHost]:
    """A fresh host, to which both packages have been copied."""
    for name, each in (("given", older), ("given/newer", package)):
        (tmp_path / name).mkdir()
        shutil.copy(each, tmp_path / name)
    with fresh_host(base, release, tmp_path / "host", tmp_path / "given", "debian") as host:
        yield host


def run(*command: str) -> str:
    """What a command prints, which has to succeed."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECS, check=False)
    assert done.returncode == 0, (command, done)
    return done.stdout


def test_lintian(base: Base, release: str, package: Path) -> None:
    """It finds no error."""
    judge = ("lintian", "--allow-root", "--profile", "debian", "--fail-on", "error")
    if release == THIS:
        run(*judge, str(package))
    else:
        in_builder(base, package.parent, f"{' '.join(judge)} {GIVEN}/{package.name}")


def test_what_is_in_it(release: str, package: Path) -> None:
    """Units, users, man pages, completion; configurations that upgrades keep, and that are not everyone's to read."""
    listed = [line.split(maxsplit=5) for line in run("dpkg-deb", "--contents", str(package)).splitlines()]
    modes = {line[5].partition(" -> ")[0].removeprefix("."): line[0] for line in listed}
    configurations = [f"/etc/sccachedist/{role}.conf" for role in ROLES]
    assert {modes[each] for each in configurations} == {"-rw-r-----"}
    assert set(configurations) < set(run("dpkg-deb", "--info", str(package), "conffiles").split())
    units = {Path(name).name for name in modes if "/systemd/system/" in name and name.endswith(".service")}
    assert units == {f"{unit}.service" for unit in UNITS}
    expected = {f"/usr/share/man/man5/sccachedist-{role}.conf.5.gz" for role in ROLES}
    expected |= {
        "/usr/bin/sccachedist",
        "/usr/share/man/man1/sccachedist.1.gz",
        "/usr/share/bash-completion/completions/sccachedist",
        "/usr/share/fish/vendor_completions.d/sccachedist.fish",
        "/usr/share/zsh/vendor-completions/_sccachedist",
        "/etc/logrotate.d/sccachedist",
        "/usr/share/doc/sccachedist/examples/sccachedist" if release == THIS else "/etc/apparmor.d/sccachedist",
    }
    assert expected - modes.keys() == set()
    assert [name for name in modes if "__pycache__" in name or "/site-packages/pip/" in name] == []


def test_from_nothing_to_nothing(host: FreshHost, tmp_path: Path, toolchains: Path) -> None:
    """Installed, it has started nothing; a farm of it compiles, also after an upgrade; a purge leaves nothing."""
    system, before = host.system, host.files()
    host.follow("install")
    assert system.said("dpkg --verify sccachedist") == ""
    for role, unit in zip(ROLES, UNITS, strict=True):
        shown = system.said(f"systemctl show --property=UnitFileState,ActiveState --value {unit}").split()
        assert set(shown) == {"disabled", "inactive"}
        mode = system.said(f"stat --format='%a %U %G' /etc/sccachedist/{role}.conf")
        assert mode == f"640 root {USERS[role]}"

    token, key = host.follow("secrets")
    host.complete("scheduler", generate_shared_token=token, generate_jwt_hs256_key=key)
    host.follow("scheduler")
    [server_token] = host.follow("token")
    host.complete("server", generate_jwt_hs256_server_token=server_token)
    said = host.follow("server")[-1]
    assert re.search(r"(?m)^ok +sandbox: ", said), said
    assert "FAILED" not in said
    host.wait_until_registered()
    host.compiles(token, tmp_path / "before", toolchains)

    processes = [system.said(f"systemctl show --property=MainPID --value {unit}") for unit in UNITS[:2]]
    written = {role: host.configuration(role).read_text() for role in ROLES[:2]}
    host.follow("upgrade", "/root/given/newer")
    assert system.said("dpkg-query --show --showformat='${Version}' sccachedist") != OLDER
    for role, text in written.items():
        assert host.configuration(role).read_text() == text
        assert host.configuration(role).with_suffix(".conf.dpkg-dist").exists()
    assert host.configuration("worker").read_text() == (CHECKOUT / "contrib/examples/worker.conf").read_text()
    host.wait_until_registered()
    for unit, process in zip(UNITS, processes, strict=False):
        assert system.said(f"systemctl show --property=MainPID --value {unit}") not in (process, "0")
    host.compiles(token, tmp_path / "after", toolchains)

    host.follow("remove")
    left = host.files() - before
    assert {f"/etc/sccachedist/{role}.conf" for role in ROLES} < left
    assert {"/var/lib/sccachedist/cache", "/var/lib/sccachedist/build"} < left
    assert [name for name in left if name.startswith(("/usr/", "/lib/"))] == []
    assert system.said("systemctl show --property=ActiveState --value " + " ".join(UNITS)).split() == ["inactive"] * 3
    host.follow("purge")
    assert [name for name in host.files() - before if not LEFT.fullmatch(name)] == []
    assert "sccachedist" in system.said("cat /etc/passwd")


def test_the_profile_is_understood(base: Base, tmp_path: Path) -> None:
    """AppArmor's parser, of version 4 as Ubuntu's, reads it."""
    parse = "apparmor_parser --skip-kernel-load --skip-cache --names"
    assert in_builder(base, tmp_path, f"{parse} {SOURCE}/contrib/apparmor/sccachedist").split() == ["sccachedist"]
