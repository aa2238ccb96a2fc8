"""The board of the only scheduler: a file of its own for the next start, replaced as a whole in a thread.

What is out of service is in another file (:mod:`sccachedist.scheduler.state_file`), whose lock is good for this one.
"""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from sccachedist.cluster.board import MOST_BYTES, MOST_SERVERS, BoardChanges, Posted
from sccachedist.cluster.store import StoreError
from sccachedist.daemon.logs import Logger
from sccachedist.errors import DecodeError, SccachedistError
from sccachedist.scheduler.kept_file import InThread, read_json, replace_file, why_not

log = Logger()

#: The most bytes of the file that is read: the bytes of each build server take a third more in base64.
_MOST_FILE_BYTES = MOST_SERVERS * MOST_BYTES * 3 // 2


class BoardFile:
    """A :class:`~sccachedist.cluster.board.Board` in a file.

    :param in_thread: runs a function that blocks.
    :param unix_time: the time in seconds since 1970, by the host's clock: the next start has only that one in common.
    """

    def __init__(self, path: Path, in_thread: InThread, unix_time: Callable[[], float]) -> None:
        self._path, self._in_thread, self._unix_time = path, in_thread, unix_time
        self._servers: dict[str, bytes] = {}

    async def time(self) -> float:
        """As :meth:`sccachedist.cluster.board.Board.time`."""
        return self._unix_time()

    async def read(self) -> Posted:
        """As :meth:`sccachedist.cluster.board.Board.read`. If the file cannot be used, there is nothing."""
        servers: dict[str, bytes] = {}
        try:
            servers = await self._in_thread(_read, self._path)
        except FileNotFoundError:
            pass
        except (OSError, SccachedistError) as error:
            log.warn("{file} is not recalled: {why}", file=str(self._path), why=why_not(error))
        return Posted(self._unix_time(), servers)

    async def write(self, changes: BoardChanges) -> bool:
        """As :meth:`sccachedist.cluster.board.Board.write`."""
        if changes.replaces_all:
            self._servers.clear()
        for address, octets in changes.servers.items():
            if octets is None:
                self._servers.pop(address, None)
            else:
                self._servers[address] = octets
        if changes.replaces_all or changes.servers:
            try:
                await self._in_thread(_write, self._path, dict(self._servers))
            except OSError as error:
                raise StoreError(f"{self._path}: {why_not(error)}") from error
        return True

    def close(self) -> None:
        """There is no connection."""


def _read(path: Path) -> dict[str, bytes]:
    """What is kept of each build server, by its address; blocks.

    :raises OSError: the file cannot be read.
    :raises SccachedistError: it is not ours.
    """
    match read_json(path, _MOST_FILE_BYTES):
        case {"v": 1, "servers": dict(servers)} if len(servers) <= MOST_SERVERS:
            return {address: _octets(text) for address, text in servers.items()}
    raise DecodeError("it has no build servers, or is of a later release")


def _octets(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DecodeError("it is not base64") from error


def _write(path: Path, servers: Mapping[str, bytes]) -> None:
    texts = {address: base64.b64encode(octets).decode() for address, octets in servers.items()}
    replace_file(path, json.dumps({"v": 1, "servers": texts}).encode())
