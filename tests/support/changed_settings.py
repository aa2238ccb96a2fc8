"""Configurations that differ in one key: two for each key that a role's file may have."""

from collections.abc import Iterator
from typing import Any

import attrs

from sccachedist.config.schema import Choice, Shape, Table, TableOf, attribute_of, dotted, keys_of, rows_of
from sccachedist.errors import ConfigError

#: Values as a file may have them. Each kind of value takes two of them at least.
_GIVEN: list[object] = [
    *(11, 12, 1 << 30, 1 << 31, 2.5, True, False),
    *("127.0.0.1:10601", "127.0.0.1:10602", "127.0.0.1", "127.0.0.2", "10.1.0.0/16"),
    *("http://one.example.org", "http://two.example.org", "a" * 64, "b" * 64, "A" * 43, "Q" * 42 + "A"),
    *("redis://10.1.0.1", "redis://10.1.0.2", "s3://one", "s3://two"),
    *("-mone", "-mtwo", "one", "two", "RS256", "ES256"),
    *("text", "json", "report", "suspicious", "clients", "anyone", "viewers", "interactive", "batch"),
    *("least_loaded", "fastest"),
    *("x86_64", "aarch64"),
]


#: Names of tables, without a dot: each kind of name takes one of them.
_NAMES = ("ann", "fd00::/8")


def values(shape: Shape) -> list[Any]:
    """Different values of a shape, two or more."""
    found: list[Any] = []
    for given in [*_GIVEN, *([each] for each in _GIVEN)]:
        try:
            value = shape.read(given, "key")
        except ConfigError:
            continue
        if value not in found:
            found.append(value)
    assert len(found) > 1, shape.expected
    return found


def is_one(shape: Shape, given: object) -> bool:
    """Whether a shape takes a value."""
    try:
        return shape.read(given, "key") == given
    except ConfigError:
        return False


def made(settings: type) -> Any:
    """One of a class, with what it needs."""
    needed = {name: each for name, each in keys_of(settings).items() if each.required}
    return settings(
        **{
            attribute_of(name): _made_of(each.shape) if isinstance(each.shape, Choice) else values(each.shape)[0]
            for name, each in needed.items()
        }
    )


def _made_of(choice: Choice) -> Any:
    return made(list(choice.kinds.values())[-1])


def variants(base: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """For each key: its dotted name, and two configurations that differ in it alone."""
    for name, declared in rows_of(type(base)).items():
        at, attribute = dotted(where, name), attribute_of(name)
        for key, one, other in _variants(declared.shape, getattr(base, attribute), at, declared.default is None):
            yield key, attrs.evolve(base, **{attribute: one}), attrs.evolve(base, **{attribute: other})


def _variants(shape: Shape, value: Any, at: str, may_miss: bool) -> Iterator[tuple[str, Any, Any]]:
    match shape:
        case Table(settings=inner):
            if may_miss:
                yield at, None, made(inner)
            yield from variants(value or made(inner), at)
        case Choice(kinds=kinds):
            each = [made(kind) for kind in kinds.values()]
            yield at, each[0], each[-1]
            for kind in each:
                yield from variants(kind, at)
        case TableOf(settings=inner, name=of_table):
            [name] = [each for each in _NAMES if is_one(of_table, each)]
            yield dotted(at, name), {}, {name: made(inner)}
        case _:
            one, other, *_ = values(shape)
            yield at, one, other
