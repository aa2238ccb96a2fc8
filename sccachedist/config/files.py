"""From a file to settings: TOML 1.1, or JSON if the name ends in ``.json``, as in the published programs.

The standard library's ``tomllib`` reads TOML 1.0 only, so ``tomli`` is used.
Every error is one line that begins with the file's name. This module does not know the keys.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE
from typing import TypeVar

import attrs
import tomli

from sccachedist.config.clients import with_clients
from sccachedist.config.cluster import hosts_of, with_address
from sccachedist.config.schema import read_settings, refuse_misplaced, refuse_other
from sccachedist.config.secrets import exposed, with_secrets
from sccachedist.config.settings import SchedulerSettings, ServerSettings, check_capacity
from sccachedist.config.toolchains import check_key
from sccachedist.config.worker import WorkerSettings
from sccachedist.directories import trusted
from sccachedist.errors import ConfigError
from sccachedist.given_files import read_given

T = TypeVar("T")

#: A table that only the file of sccache itself has.
_OF_CLIENTS = "dist"
#: Each role's settings, and whose file has them.
_FILES: dict[type, str] = {
    ServerSettings: "a build server's",
    SchedulerSettings: "a scheduler's",
    WorkerSettings: "a worker's",
}


def load_scheduler_settings(path: Path) -> SchedulerSettings:
    """Read a scheduler's configuration file.

    :raises ConfigError: one line with the file, the key if one is to blame, and what was expected.
    """
    settings = _load(SchedulerSettings, path)
    settings = attrs.evolve(settings, clients=with_clients(settings.clients, path.parent))
    if settings.cluster is None:
        return settings
    with _named(path):
        cluster = with_address(settings.cluster, settings.public_addr, has_tls=settings.tls is not None)
    believed = (*settings.network.trusted_proxies, *hosts_of(cluster))
    network = attrs.evolve(settings.network, trusted_proxies=believed)
    return attrs.evolve(settings, cluster=cluster, network=network)


def clients_file(path: Path) -> Path | None:
    """Where a scheduler's clients' file is, or would be; None if its configuration names none.

    :raises ConfigError: as :func:`load_scheduler_settings`, but for what the clients' file says.
    """
    file = _load(SchedulerSettings, path).clients.file
    return None if file is None else path.parent / file


def load_server_settings(path: Path) -> ServerSettings:
    """Read a build server's configuration file.

    :raises ConfigError: one line with the file, the key if one is to blame, and what was expected.
    """
    settings = _load(ServerSettings, path)
    with _named(path):
        check_key(settings.toolchains)
        check_capacity(settings.capacity, settings.builder)
    return settings


def load_worker_settings(path: Path) -> WorkerSettings:
    """Read a worker's configuration file.

    :raises ConfigError: one line with the file, the key if one is to blame, and what was expected.
    """
    settings = _load(WorkerSettings, path)
    with _named(path):
        check_capacity(settings.capacity, settings.builder)
    return settings


def exposed_secrets(path: Path) -> list[tuple[Path, str]]:
    """The files with a configuration's secrets that other users may read or change, each with its mode and owner.

    :param path: a configuration file that has just been read.
    """
    files = exposed(_parse(_text(path), path.suffix), path)
    return [(file, _described(file.stat())) for file in files]


def _described(file: os.stat_result) -> str:
    mode = f"{S_IMODE(file.st_mode):04o}"
    return mode if file.st_uid in trusted() else f"{mode}, of uid {file.st_uid}"


def _load(settings: type[T], path: Path) -> T:
    others = [(theirs, whose) for theirs, whose in _FILES.items() if theirs is not settings]
    with _named(path):
        document = _parse(_text(path), path.suffix)
        for theirs, whose in others:
            refuse_other(document, settings, theirs, whose)
        if isinstance(document, dict) and _OF_CLIENTS in document:
            raise ConfigError("this is a client's configuration")
        document = with_secrets(document, path.parent)
        for theirs, whose in others:
            refuse_misplaced(document, settings, theirs, whose)
        return read_settings(settings, document)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in what is wrong with it."""
    try:
        yield
    except ConfigError as error:
        raise type(error)(f"{path}: {error}") from None


def _text(path: Path) -> str:
    try:
        return read_given(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"line {line}: not UTF-8") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}") from None


def _parse(text: str, suffix: str) -> object:
    """The parsed document. The parsers' own errors hold a line number and no value."""
    try:
        if suffix == ".json":
            return json.loads(text, object_pairs_hook=_object)
        return tomli.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if suffix == ".json" else "TOML"
        raise ConfigError(f"not {kind}: {error}") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object, under TOML's rule for tables: a key that comes twice is an error; the last one does not win."""
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            raise ConfigError(f"key given twice: {json.dumps(name)}")
    return dict(pairs)
