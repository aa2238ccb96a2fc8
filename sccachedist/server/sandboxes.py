"""What a configuration says of sandboxes: of which kind they are, whose processes, and where they keep their files.

How jobs come to them is not known here.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sccachedist.builders.cgroups import LEAST_WEIGHT
from sccachedist.builders.disk_room import room_for
from sccachedist.builders.docker import docker_builder
from sccachedist.builders.interface import Builder
from sccachedist.builders.overlay import HOME, OverlayBuilder
from sccachedist.builders.pot import pot_builder
from sccachedist.builders.worker_builder import WorkerBuilder
from sccachedist.builders.worker_protocol import Priority, Size
from sccachedist.config import (
    DockerBuilderSettings,
    HostSettings,
    OverlayBuilderSettings,
    PotBuilderSettings,
    RemoteBuilderSettings,
    ServerSettings,
)
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.privileges import JOBS_OF_ROOT, Account
from sccachedist.daemon.startup import check_directory, check_trusted
from sccachedist.errors import BuildError, ConfigError
from sccachedist.policy import OnFailure
from sccachedist.server.cache_lock import CACHE_DIRECTORIES, IDENTITY, CacheLock
from sccachedist.server.self_description import job_slots

log = Logger()


def directories_of(settings: HostSettings) -> dict[str, Path]:
    """Return the directories whose disks fill up, by their names in the configuration without ``_dir``."""
    build = settings.builder.build_dir if isinstance(settings.builder, OverlayBuilderSettings) else None
    return {"cache": settings.cache_dir} | ({"build": build} if build else {})


def account_of(settings: HostSettings) -> Account | None:
    """Return the user that this process has to become, if any; early, so that a wrong one is a configuration error.

    :raises ConfigError: it cannot become that user.
    """
    if settings.sandbox.user is None:
        if os.geteuid() == 0 and isinstance(settings.builder, OverlayBuilderSettings):
            log.warn("sandbox.user is not set, and this daemon is root: {why}", why=JOBS_OF_ROOT)
        return None
    if isinstance(settings.builder, PotBuilderSettings):
        raise ConfigError("sandbox.user: the pot builder needs root")
    return Account.named(settings.sandbox.user, "sandbox.user")


def check_directories(settings: HostSettings, account: Account | None) -> None:
    """Check early that this process can use its directories, and that no other user could change them.

    :raises ConfigError: it cannot, or another user could.
    """
    users = [account.uid] if account else []
    check_directory("cache_dir", settings.cache_dir, *users)
    for name in CACHE_DIRECTORIES:
        check_directory("cache_dir", settings.cache_dir / name, *users)
    if isinstance(settings.builder, OverlayBuilderSettings):
        with suppress(OSError):  # if the disk is missing, the builder tries again
            check_trusted("builder.build_dir", settings.builder.build_dir / HOME, *users)


def take_up(account: Account | None, settings: HostSettings, builder: Builder, lock: CacheLock) -> None:
    """Become the user that the configuration names, if it names one, and hold the cache: before all else on the disk.

    :raises ConfigError: that fails.
    """
    if account is not None:
        _become(account, settings, builder, lock)
    lock.hold()


def _become(account: Account, settings: HostSettings, builder: Builder, lock: CacheLock) -> None:
    """Give this build server's files to the user that the configuration names, and become that user.

    :raises ConfigError: that fails.
    """
    if not account.has_way(settings.cache_dir / IDENTITY):
        lock.hold()  # never give away files of another build server
    account.own(settings.cache_dir, *CACHE_DIRECTORIES)
    try:
        if isinstance(builder, OverlayBuilder):
            builder.give_to(account)
    except BuildError as error:
        raise ConfigError(f"builder.build_dir: {error}") from error
    account.become()


def make_builder(settings: HostSettings, reactor: Any) -> WorkerBuilder:
    """Return the builder that the configuration names, if it runs compiles on this host.

    :raises ConfigError: it does not.
    """
    # A worker's jobs bring their gateway's policy.
    on_failure = settings.policy.on_failure if isinstance(settings, ServerSettings) else OnFailure.VERIFY
    limits, cache = settings.limits, settings.toolchain_cache_size
    bounds = limits, settings.sandbox.scratch_bytes, job_slots(settings)
    capacity = settings.capacity
    match settings.builder:
        case OverlayBuilderSettings(build_dir=build_dir, bwrap_path=bwrap_path):
            room = _room_at("build_dir", settings, build_dir.absolute())
            priority = Priority(capacity.nice, capacity.idle_only)
            weight = capacity.cpu_weight or (LEAST_WEIGHT if capacity.idle_only else None)
            return OverlayBuilder(reactor, build_dir, bwrap_path, *bounds, on_failure, room, priority, weight)
        case DockerBuilderSettings():
            room = room_for(limits, cache, None)
            return docker_builder(reactor, settings.docker.image, *bounds, os.environ, on_failure, room)
        case PotBuilderSettings() as pot:
            room = _room_at("pot_fs_root", settings, pot.pot_fs_root)
            return pot_builder(reactor, pot, *bounds, os.environ, on_failure, room)
        case RemoteBuilderSettings():
            raise ConfigError("builder.type: a gateway runs no compiles itself")


def _room_at(key: str, settings: HostSettings, place: Path) -> Size:
    """The room for unpacked toolchains at a place that a key of ``[builder]`` names.

    :raises ConfigError: its disk does not say how much it has.
    """
    try:
        return room_for(settings.limits, settings.toolchain_cache_size, place)
    except OSError as error:
        raise ConfigError(f"builder.{key}: {place}: {error.strerror}") from error
