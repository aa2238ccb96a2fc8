"""The unpacked toolchains of a build directory, from the side of a sandbox worker: synchronous.

One is unpacked beside its place and renamed when it is whole, and renamed away before it is removed: under
its name there is always the whole of it or nothing.
"""

import contextlib
import os
import shutil
from pathlib import Path

from sccachedist.builders.confine import Root
from sccachedist.builders.inflate import gunzip
from sccachedist.builders.overlay.job import TOOLCHAINS
from sccachedist.builders.overlay.requests import UnpackToolchain
from sccachedist.builders.unpack import EntryLimit, unpack
from sccachedist.errors import DecodeError, ToolchainError

MARKER = ".made-by-sccachedist"


def unpack_toolchain(request: UnpackToolchain) -> None:
    """Unpack an archive under its name.

    :raises ToolchainError: it is no archive that may be unpacked.
    :raises LimitExceeded: it is too large.
    """
    place = Path(TOOLCHAINS, request.toolchain)
    part = place.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        _unpack_into(part, request)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    part.rename(place)


def _unpack_into(directory: Path, request: UnpackToolchain) -> None:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(request.archive, "rb") as packed:
            stream = gunzip(packed, "toolchain_unpacked_bytes", request.toolchain_unpacked_bytes)
            unpack(stream, Root(descriptor), EntryLimit("toolchain_entries", request.toolchain_entries))
    except DecodeError as error:
        raise ToolchainError(f"toolchain {request.toolchain} cannot be unpacked: {error}") from error
    finally:
        os.close(descriptor)


def remove_toolchain(name: str) -> None:
    """Remove what was unpacked under a name, if anything was."""
    place = Path(TOOLCHAINS, name)
    gone = place.with_suffix(".gone")
    shutil.rmtree(gone, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        place.rename(gone)
        shutil.rmtree(gone)


def remove_all() -> None:
    """Remove every toolchain, whole or not; the directory and its marker stay."""
    for entry in Path(TOOLCHAINS).iterdir():
        if entry.name != MARKER:
            shutil.rmtree(entry)
