"""Documents of the API against their types: all keys are there and no other, and each value is of its kind."""

import json
import types
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

from farmkit.memory_http import Answer


def document(answer: Answer, shape: Any) -> Any:
    """The document of an answer, which has to be of this type."""
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    answer.body.decode("ascii")
    found = json.loads(answer.body)
    check(found, shape, shape.__name__)
    return found


def check(value: object, kind: Any, where: str) -> None:
    """Fail unless a value is of a type."""
    origin, inner = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        assert isinstance(value, dict), where
        assert value.keys() == get_type_hints(kind).keys(), where
        for key, each in get_type_hints(kind).items():
            check(value[key], each, f"{where}.{key}")
    elif origin is list:
        assert isinstance(value, list), where
        for item in value:
            check(item, inner[0], where)
    elif origin is dict:
        assert isinstance(value, dict), where
        for item in value.values():
            check(item, inner[1], where)
    elif origin is types.UnionType:
        if value is not None:
            (one,) = (each for each in inner if each is not types.NoneType)
            check(value, one, where)
    elif origin is Literal:
        assert value in inner, where
    elif kind is not Any:
        assert type(value) is kind or (kind is float and type(value) is int), (where, value)
