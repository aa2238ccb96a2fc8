"""The JSON document about toolchains that a scheduler's API gives and that a command prints: its keys, as types.

It does not know where they come from. Bytes are whole numbers, times are seconds since 1970.
"""

from typing import TypedDict


class ToolchainUpload(TypedDict):
    """A build server to which a client is bringing a toolchain, and the bytes that are there."""

    server: str
    bytes: int


class ToolchainRow(TypedDict):
    """A toolchain, by its archive id. ``compiler`` is the file name that jobs with it ran most often, if known.

    ``machine`` is the one that it needs; null if it needs no certain one, or that is not known.
    """

    toolchain: str
    compiler: str | None
    machine: str | None
    size: int | None
    held_by: list[str]
    uploads: list[ToolchainUpload]
    jobs: int
    last_use: float | None


class ToolchainsDocument(TypedDict):
    """``GET /api/v1/farm/toolchains``."""

    v: int
    since: float
    toolchains: list[ToolchainRow]
