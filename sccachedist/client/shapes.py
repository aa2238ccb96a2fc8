"""Whether a document from elsewhere has the shape that :mod:`sccachedist.records.documents` says. Pure.

What a document has beyond that is passed over: a newer scheduler may tell more.
"""

import types
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints, is_typeddict

from sccachedist.errors import DecodeError

D = TypeVar("D")

#: The largest number that our daemons send: a larger one is no time and no size, and breaks arithmetic with fractions.
_MOST = 1 << 64

_Check = Callable[[object], bool]


def checked(document: object, shape: type[D]) -> D:
    """The document itself.

    :param shape: one of the typed dictionaries.
    :raises DecodeError: it has another shape; the text names the first key that is wrong.
    """
    if not _check(cast("Any", shape))(document):
        raise DecodeError("not an object")
    return cast("D", document)


@cache
def _check(kind: Any) -> _Check:
    origin, inner = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        return _keys({key: _check(each) for key, each in get_type_hints(kind).items()})
    if origin is list:
        each = _check(inner[0])
        return lambda value: type(value) is list and all(map(each, value))
    if origin is dict:
        each = _check(inner[1])
        return lambda value: type(value) is dict and all(map(each, value.values()))
    if origin is types.UnionType:
        plain, *_ = (_check(one) for one in inner if one is not types.NoneType)
        return lambda value: value is None or plain(value)
    if origin is Literal:
        return lambda value: type(value) is str
    if kind in (int, float):
        allowed = (int,) if kind is int else (int, float)
        return lambda value: type(value) in allowed and -_MOST <= cast("float", value) <= _MOST
    return (lambda value: True) if kind is Any else (lambda value: type(value) is kind)


def _keys(checks: dict[str, _Check]) -> _Check:
    def check(value: object) -> bool:
        if type(value) is not dict:
            return False
        for key, is_right in checks.items():
            if key not in value:
                raise DecodeError(f"{key} is missing")
            if not is_right(value[key]):
                raise DecodeError(f"{key} is not what it should be")
        return True

    return check
