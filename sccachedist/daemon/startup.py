"""What the roles' plugins share: their options, and the way from a configuration to a role or to one clear error line.

It does not know what a role does.
"""

import gc
import os
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import ILogObserver
from twisted.python import usage

from sccachedist import __version__
from sccachedist.config import WorkerSettings, exposed_secrets
from sccachedist.daemon.clocks import let_time_only_grow
from sccachedist.daemon.fd_limit import affordable
from sccachedist.daemon.log_levels import LEVEL_NAMES, LOG_VARIABLE
from sccachedist.daemon.log_output import LogOutput, log_output
from sccachedist.daemon.logs import Logger, bound_lines, choose_levels
from sccachedist.daemon.reload import Commit, PreparedPart, Reload, S
from sccachedist.daemon.sd_notify import ServiceNotifier
from sccachedist.daemon.signals import OnSignal, survive_and_tell
from sccachedist.daemon.threads import let_threads_be_left
from sccachedist.directories import check_way, trusted
from sccachedist.errors import ConfigError, UntrustedPath
from sccachedist.wire.addresses import ServerId

log = Logger()

T = TypeVar("T")


class RoleOptions(usage.Options):
    """The options of ``twistd sccache-scheduler``, ``twistd sccache-server`` and ``twistd sccache-worker``."""

    optParameters = (("config", "c", None, "The configuration file, TOML or (ending in .json) JSON."),)

    def postOptions(self) -> None:
        """Require a configuration, and a current directory: relative names of files would mean nothing.

        :raises SystemExit: there is none.
        """
        try:
            os.getcwd()
        except OSError as error:
            raise SystemExit(f"sccachedist: the current directory cannot be used: {error.strerror}") from error
        if self["config"] is None:
            raise usage.UsageError("--config is needed")

    @property
    def config(self) -> Path:
        """The path of the configuration file."""
        return Path(self["config"]).absolute()


class RoleService(MultiService):
    """All that a role runs.

    :param status: says in a few words how the role is doing.
    """

    def __init__(self, status: Callable[[], str]) -> None:
        super().__init__()
        self.status = status


class AtStart(Service):
    """Runs ``work`` when its role starts; the role does not wait for it."""

    def __init__(self, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        self._work = work

    def startService(self) -> None:
        """Begin the work."""
        super().startService()
        Deferred.fromCoroutine(self._work()).addErrback(lambda failure: log.failure("at start", failure))


class AtStop(Service):
    """Runs ``work`` when its role stops."""

    def __init__(self, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        self._work = work

    def stopService(self) -> Deferred[None]:
        """Run the work; the Deferred fires when it is done."""
        super().stopService()
        return Deferred.fromCoroutine(self._work())


def make_role(
    name: str,
    options: RoleOptions,
    load: Callable[[Path], S],
    build: Callable[[S, Any, None, Reload[S]], RoleService],
) -> IService:
    """Make a role from its configuration file; a wrong file ends the process with one line, before it detaches.

    :param name: what the role is called in the log.
    :param build: makes the role with the settings in force, and tells the reload of its parts; None: at real ports.
    """
    from twisted.internet import reactor  # noqa: TID251

    survive_and_tell(reactor)
    let_time_only_grow(reactor)
    let_threads_be_left(reactor)
    misunderstood = choose_levels(os.environ.get(LOG_VARIABLE, ""))
    bound_lines()
    try:
        settings = load(options.config)
        log.info(
            "sccachedist {version}: {role} at {address}, configured by {file}",
            version=__version__,
            role=name,
            address=_place(settings),
            file=str(options.config),
        )
        for directive in misunderstood:
            form = "{variable}: {given!r} is not understood, expected [MODULE=]LEVEL of {expected}"
            log.error(form, variable=LOG_VARIABLE, given=directive, expected=", ".join(LEVEL_NAMES))
        for file, mode in exposed_secrets(options.config):
            log.warn("{file} holds a secret, and others may read or change it: mode {mode}", file=str(file), mode=mode)
    except ConfigError as error:
        raise SystemExit(f"sccachedist: {error}") from error
    reload = Reload(settings, partial(load, options.config), cast(Any, reactor).seconds, _fitted)
    try:
        role = build(reload.settings, reactor, None, reload)
    except ConfigError as error:
        raise SystemExit(f"sccachedist: {options.config}: {error}") from error
    try:
        output = log_output(options.parent, settings.log.format, name) if options.parent else None
    except ConfigError as error:
        raise SystemExit(f"sccachedist: {error}") from error
    manager = ServiceNotifier(os.environ, partial(_status, role, reload), cast(Any, reactor))
    service = _Role(options.config, output, manager)
    role.setServiceParent(service)
    if output is not None:
        OnSignal("SIGHUP", output.reopen, cast(Any, reactor)).setServiceParent(service)
        reload.add(PreparedPart(("log.format",), partial(_remade, output, options, name)))
    OnSignal("SIGHUP", manager.reloading()(reload.at_signal), cast(Any, reactor)).setServiceParent(service)
    gc.collect()
    gc.freeze()  # what exists now stays: to search it at each collection would make every pause half as long again
    return service


def _status(role: RoleService, reload: Reload[S]) -> str:
    wrong = "; the configuration was wrong when it was read again: see the log" if reload.failed else ""
    return f"{role.status()}{wrong}"


def _remade(output: LogOutput, options: RoleOptions, role: str, settings: S) -> Commit:
    """The log in the form that other settings ask for.

    :raises ConfigError: it cannot be opened.
    """
    other = log_output(options.parent or {}, settings.log.format, role)
    return partial(output.become, other) if other is not None else lambda: None


def _place(settings: S) -> str:
    """Where a role is reached, or which gateways it is for."""
    return ", ".join(settings.gateway.urls) if isinstance(settings, WorkerSettings) else str(settings.public_addr)


def _fitted(settings: S) -> S:
    """Settings whose connections this process can have."""
    if isinstance(settings, WorkerSettings):  # nobody connects to it
        return settings
    return attrs.evolve(settings, limits=affordable(settings.limits))


class _Role(MultiService):
    """A role that ends the process with one line if it cannot start, and whose application logs to ``output``."""

    def __init__(self, config: Path, output: LogOutput | None, manager: ServiceNotifier) -> None:
        super().__init__()
        self._config, self._output, self._manager = config, output, manager

    def setServiceParent(self, parent: Any) -> None:  # noqa: N802
        """Become the application's service, before it begins to log."""
        super().setServiceParent(parent)
        if self._output is not None:
            parent.setComponent(ILogObserver, self._output)

    def startService(self) -> None:
        """Start the role, which listens then. A build server's scheduler may be away: that is no failed start."""
        try:
            super().startService()
        except ConfigError as error:
            raise SystemExit(f"sccachedist: {self._config}: {error}") from error
        self._manager.startService()

    def stopService(self) -> Deferred[None]:
        """Stop the role; the service manager hears how it is doing until the end."""
        self._manager.stopping()
        return maybeDeferred(super().stopService).addBoth(self._ended)

    def _ended(self, result: T) -> T:
        self._manager.stopService()
        return result


def check_address(key: str, address: ServerId) -> None:
    """Check early whether this process can listen on an address.

    :raises ConfigError: it cannot; ``key`` is to blame.
    """
    family = socket.AF_INET if address.host.version == 4 else socket.AF_INET6
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(address.host), address.port))
        except OSError as error:
            raise ConfigError(f"{key}: cannot listen on {address}: {error.strerror}") from error


def check_directory(key: str, directory: Path, *users: int) -> None:
    """Check early whether this process can make and write a directory, and no other user can write it.

    :param users: users who may own it besides root and this process's user.
    :raises ConfigError: the directory does not fit; ``key`` is to blame.
    """
    try:
        existing = check_trusted(key, directory, *users)
    except OSError as error:
        raise ConfigError(f"{key}: {error.filename} is not a directory that can be written") from error
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{key}: {existing} is not a directory that can be written")


def check_trusted(key: str, directory: Path, *users: int) -> Path:
    """Check early whether another user could change a directory; returns the part of it that exists.

    :param users: users who may own it besides root and this process's user.
    :raises ConfigError: another user could; ``key`` is to blame.
    :raises OSError: it cannot be found out.
    """
    try:
        existing, _ = check_way(directory.absolute(), trusted(*users))
    except UntrustedPath as error:
        raise ConfigError(f"{key}: {error}") from error
    return existing
