"""The query of a request, for routes that take one: what stands behind the ``?`` of the path.

What its keys mean is not known here.
"""

from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl

from sccachedist.errors import DecodeError
from sccachedist.printable import excerpt
from sccachedist.web.bodies import Body
from sccachedist.web.request_head import Head


class Query(Body[Mapping[str, str]]):
    """Stands in for the body of a request that needs none: the route gets the query's values by their keys.

    :param keys: those that the route knows.
    """

    def __init__(self, head: Head, keys: Collection[str]) -> None:
        self._text, self._keys = head.query, keys

    def write(self, chunk: bytes) -> None:
        """Ignore a body that comes."""

    def complete(self) -> Mapping[str, str]:
        """The values.

        :raises DecodeError: it is no query, or has a key that is not known, or one twice.
        """
        return values_of(self._text, self._keys)

    def abort(self, error: BaseException | None = None) -> None:
        """There is nothing to undo."""


def values_of(text: str, keys: Collection[str], what: str = "query") -> Mapping[str, str]:
    """The values of a query, or of a form, by their keys.

    :param keys: those that are known.
    :param what: what it is called in the error.
    :raises DecodeError: it is none, or has a key that is not known, or one twice.
    """
    try:
        pairs = parse_qsl(text, True, True, errors="strict") if text else []
    except ValueError as error:
        raise DecodeError(f"the {what} is not of the form key=value&key=value, in UTF-8") from error
    values = dict(pairs)
    for key in values.keys() - set(keys):
        known = ", ".join(keys) or "nothing"
        raise DecodeError(f"the {what} has {excerpt(key)!r}, and this route knows {known}")
    if len(values) < len(pairs):
        raise DecodeError(f"the {what} has a key twice")
    return values
