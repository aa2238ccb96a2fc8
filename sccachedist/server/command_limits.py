"""What a job's command may be at most.

Pure: the command is looked at as it comes, without making values of it, and is not run.
"""

import struct
from collections.abc import Generator

from sccachedist.config import ServerLimits
from sccachedist.errors import DecodeError, LimitExceeded

_LENGTH = 8
_length_at = struct.Struct("<Q").unpack_from


class CommandCheck:
    """Walks through an encoded ``RunJobRequest`` from text to text, as far as it has come.

    Each look costs what has come since the last one. Whether the texts are UTF-8 is found out where they are needed.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._octets = bytearray()
        self._at = 0
        self._walk = self._through()
        self._has_ended = False

    def look(self, octets: bytearray, size: int) -> None:
        """See that neither a system nor a log has to bear more than was configured.

        :param octets: the command from its beginning to what has come of it.
        :param size: how many bytes it will have.
        :raises LimitExceeded: there is too much of something.
        :raises DecodeError: it is no command.
        """
        self._octets = octets
        if not self._has_ended:
            self._has_ended = next(self._walk, True)
        if self._at > size or (len(octets) >= size and not self._has_ended):
            raise DecodeError("a command that ends within a text")

    def _through(self) -> Generator[bool]:
        """One step for each look that has to wait for more."""
        limits = self._limits
        yield from self._paths(1)  # the executable
        arguments = yield from self._count("arguments", limits.arguments)
        yield from self._texts(arguments, "arguments_bytes", limits.arguments_bytes)
        variables = yield from self._count("variables", limits.variables)
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
        """Pass over so many texts, which may have so many bytes together."""
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
