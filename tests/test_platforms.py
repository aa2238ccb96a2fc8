"""The package on systems that are not Linux, as far as it can be seen from here."""

import subprocess
import sys

import pytest

from tests.test_imports import PACKAGE, modules

LINUX = ("sccachedist.builders.overlay", "sccachedist.builders.cgroup", "sccachedist.sandbox.overlay.")
# What the standard library has on Linux alone is taken away before anything is imported.
LOOK = (
    f"LINUX = {LINUX}"
    + """
import importlib, os, select, signal, socket, sys, types
for module, names in (
    (os, "O_PATH O_TMPFILE memfd_create pidfd_open sched_getaffinity sched_setaffinity getxattr setxattr eventfd "
         "copy_file_range splice setns unshare prctl"),
    (select, "epoll EPOLLIN"),
    (signal, "pidfd_send_signal"),
    (socket, "AF_NETLINK AF_PACKET SO_PEERCRED SOCK_CLOEXEC SOCK_NONBLOCK"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
sys.platform = sys.argv[1]
if sys.platform == "darwin":  # what the standard library has there alone
    sys.modules["_scproxy"] = types.SimpleNamespace(_get_proxy_settings=dict, _get_proxies=dict)
for name in sys.argv[2:]:
    importlib.import_module(name)
print(*(name for name in sys.modules if name.startswith((*LINUX, "twisted."))))
"""
)


def imported(platform: str, *names: str) -> list[str]:
    """The modules of the overlay builder, and of Twisted, that come with these."""
    run = [sys.executable, "-W", "error", "-c", LOOK, platform, *names]
    done = subprocess.run(run, cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("platform", ["freebsd14", "darwin"])
def test_every_module_can_be_imported(platform: str) -> None:
    """Nothing of Linux's is asked for before it is used."""
    imported(platform, *modules("**/*.py"))


def test_the_pot_builder_uses_nothing_of_linux() -> None:
    """What runs on FreeBSD loads no namespaces and no mounts."""
    found = imported("freebsd14", "sccachedist.builders.pot")
    assert [name for name in found if not name.startswith("twisted.")] == []


@pytest.mark.parametrize("kind", ["docker", "pot"])
def test_a_sandbox_worker_is_small(kind: str) -> None:
    """It starts without a reactor, and without anything that another kind of sandbox needs."""
    assert imported("freebsd14", f"sccachedist.sandbox.{kind}.worker") == []
