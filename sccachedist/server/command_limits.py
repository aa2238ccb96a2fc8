"""Checks the limits of a job's command while it arrives: number and length of arguments, variables and paths.

Pure: it measures the encoded texts and decodes none. What the command means is not known here.
"""

import struct
from collections.abc import Generator

from sccachedist.config import ServerLimits
from sccachedist.errors import DecodeError, LimitExceeded

_LENGTH = 8
_length_at = struct.Struct("<Q").unpack_from


class CommandCheck:
    """Walks through an encoded ``RunJobRequest`` from text to text, as far as it has arrived.

    :ivar texts: how many arguments, and names and values of variables, are announced so far.

    The cost of each :meth:`look` is that of the new bytes only. Whether the texts are UTF-8, the sandbox worker checks.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._octets = bytearray()
        self._at = 0
        self._walk = self._through()
        self._has_ended = False
        self.texts = 0

    def look(self, octets: bytearray, size: int) -> None:
        """Check what has arrived.

        :param octets: the command's bytes so far, from the first one.
        :param size: how many bytes the command will have.
        :raises LimitExceeded: a number or a length is above its limit.
        :raises DecodeError: it is no command.
        """
        self._octets = octets
        if not self._has_ended:
            self._has_ended = next(self._walk, True)
        if self._at > size or (len(octets) >= size and not self._has_ended):
            raise DecodeError("a command that ends within a text")

    def _through(self) -> Generator[bool]:
        """Walk through the command; yields whenever it needs more bytes."""
        limits = self._limits
        yield from self._paths(1)  # the executable
        arguments = yield from self._count("arguments", limits.arguments)
        self.texts = arguments
        yield from self._texts(arguments, "arguments_bytes", limits.arguments_bytes)
        variables = yield from self._count("variables", limits.variables)
        self.texts += 2 * variables
        yield from self._texts(2 * variables, "variables_bytes", limits.variables_bytes)
        yield from self._paths(1)  # the working directory
        outputs = yield from self._count("outputs", limits.outputs)
        yield from self._paths(outputs)

    def _number(self) -> Generator[bool, None, int]:
        while self._at + _LENGTH > len(self._octets):
            yield False
        (number,) = _length_at(self._octets, self._at)
        self._at += _LENGTH
        return int(number)

    def _count(self, key: str, most: int) -> Generator[bool, None, int]:
        count = yield from self._number()
        _check(key, most, count)
        return count

    def _paths(self, count: int) -> Generator[bool]:
        for _ in range(count):
            yield from self._texts(1, "path_bytes", self._limits.path_bytes)

    def _texts(self, count: int, key: str, most: int) -> Generator[bool]:
        """Walk over ``count`` texts, which may have ``most`` bytes together."""
        at = self._at
        least_end = at + count * _LENGTH  # if all were empty
        while count:
            octets = self._octets
            last = len(octets) - _LENGTH
            while count and at <= last:
                at += _LENGTH + _length_at(octets, at)[0]
                count -= 1
            self._at = at
            _check(key, most, at + count * _LENGTH - least_end)
            if count:
                yield False


def _check(key: str, most: int, found: int) -> None:
    if found > most:
        raise LimitExceeded(key, f"a job's command with {found} where {most} is the most")
