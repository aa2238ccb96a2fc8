"""What both roles' plugins have in common: their options, and how a configuration becomes a role or one clear line."""

import gc
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import attrs
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred
from twisted.python import usage

from sccachedist import __version__
from sccachedist.config import SchedulerSettings, ServerSettings, exposed_secrets
from sccachedist.daemon.clocks import let_time_only_grow
from sccachedist.daemon.fd_limit import affordable
from sccachedist.daemon.logs import Logger, bound_lines, choose_levels
from sccachedist.daemon.signals import survive_and_tell
from sccachedist.directories import check_way, trusted
from sccachedist.errors import ConfigError, UntrustedPath
from sccachedist.wire.addresses import ServerId

log = Logger()

S = TypeVar("S", SchedulerSettings, ServerSettings)

#: The environment variable that says what is logged, as for the published programs.
LOG_VARIABLE = "SCCACHE_LOG"


class RoleOptions(usage.Options):
    """The options of ``twistd sccache-scheduler`` and ``twistd sccache-server``."""

    optParameters = (("config", "c", None, "The configuration file, TOML or (ending in .json) JSON."),)

    def postOptions(self) -> None:
        """Insist on a configuration."""
        if self["config"] is None:
            raise usage.UsageError("--config is needed")

    @property
    def config(self) -> Path:
        """Where the configuration is."""
        return Path(self["config"]).absolute()


class AtStart(Service):
    """Does something when its role starts, which does not wait for it."""

    def __init__(self, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        self._work = work

    def startService(self) -> None:
        """Begin it."""
        super().startService()
        Deferred.fromCoroutine(self._work()).addErrback(lambda failure: log.failure("at start", failure))


class AtStop(Service):
    """Does something when its role stops."""

    def __init__(self, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        self._work = work

    def stopService(self) -> Deferred[None]:
        """Do it; what this returns fires when it is done."""
        super().stopService()
        return Deferred.fromCoroutine(self._work())


def make_role(
    name: str, options: RoleOptions, load: Callable[[Path], S], build: Callable[[S, Any], IService]
) -> IService:
    """A role from its configuration file; a wrong one ends the process with one line, before it detaches.

    :param name: what the role is, for the log.
    """
    from twisted.internet import reactor  # noqa: TID251

    survive_and_tell(reactor)
    let_time_only_grow(reactor)
    choose_levels(os.environ.get(LOG_VARIABLE, ""))
    bound_lines()
    try:
        settings = load(options.config)
        log.info(
            "sccachedist {version}: {role} at {address}, configured by {file}",
            version=__version__,
            role=name,
            address=str(settings.public_addr),
            file=str(options.config),
        )
        for file, mode in exposed_secrets(options.config):
            log.warn("{file} holds a secret, and others may read or change it: mode {mode}", file=str(file), mode=mode)
    except ConfigError as error:
        raise SystemExit(f"sccachedist: {error}") from error
    try:
        role = build(attrs.evolve(settings, limits=affordable(settings.limits)), reactor)
    except ConfigError as error:
        raise SystemExit(f"sccachedist: {options.config}: {error}") from error
    service = _Role(options.config)
    role.setServiceParent(service)
    gc.collect()
    gc.freeze()  # what is there now stays: looking through it each time would hold everybody up for half as long again
    return service


class _Role(MultiService):
    """A role whose start ends the process with one line where it cannot be."""

    def __init__(self, config: Path) -> None:
        super().__init__()
        self._config = config

    def startService(self) -> None:
        """Start it."""
        try:
            super().startService()
        except ConfigError as error:
            raise SystemExit(f"sccachedist: {self._config}: {error}") from error


def check_address(key: str, address: ServerId) -> None:
    """Find out early whether one can listen there.

    :raises ConfigError: one cannot; ``key`` is to blame.
    """
    family = socket.AF_INET if address.host.version == 4 else socket.AF_INET6
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(address.host), address.port))
        except OSError as error:
            raise ConfigError(f"{key}: cannot listen on {address}: {error.strerror}") from error


def check_directory(key: str, directory: Path, *users: int) -> None:
    """Find out early whether a directory can be made and written, and by no other user.

    :param users: who may own it beside root and this process's user.
    :raises ConfigError: it cannot; ``key`` is to blame.
    """
    try:
        existing = check_trusted(key, directory, *users)
    except OSError as error:
        raise ConfigError(f"{key}: {error.filename} is not a directory that can be written") from error
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{key}: {existing} is not a directory that can be written")


def check_trusted(key: str, directory: Path, *users: int) -> Path:
    """Find out early whether another user could change a directory; returns the part of it that exists.

    :param users: who may own it beside root and this process's user.
    :raises ConfigError: another user could; ``key`` is to blame.
    :raises OSError: it cannot be found out.
    """
    try:
        existing, _ = check_way(directory.absolute(), trusted(*users))
    except UntrustedPath as error:
        raise ConfigError(f"{key}: {error}") from error
    return existing
