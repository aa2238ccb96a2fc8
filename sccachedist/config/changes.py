"""What differs between two configurations of one role, key by key, and which of it a reload brings into force.

Pure. A configuration is spread out as a table of dotted keys. A choice, a table that may be missing, and a table under
a name of the operator's have a row of their own for what they are; if that row differs, the rows below it say no more.
"""

import hmac
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs

from sccachedist.config.schema import Choice, Effect, Table, TableOf, attribute_of, dotted, rows_of

T = TypeVar("T", bound=attrs.AttrsInstance)

_MISSING = object()


@attrs.frozen
class ChangedKeys:
    """The dotted keys whose values differ, in the order of the declarations.

    :param at_once: those whose effect a reload brings; ``restart``: those that have theirs after a restart.
    """

    at_once: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.at_once or self.restart)

    def __str__(self) -> str:
        if not self:
            return "nothing has changed"
        said = ", ".join(self.at_once) + (" has" if len(self.at_once) == 1 else " have") + " changed"
        waits = ", ".join(self.restart) + (" needs" if len(self.restart) == 1 else " need") + " a restart"
        return "; ".join([said] * bool(self.at_once) + [waits] * bool(self.restart))


def effects(settings: type, where: str = "", of_table: Effect = Effect.RESTART) -> dict[str, Effect]:
    """What a reload does with each key that a role's file may have, by dotted key.

    :param where: the table that has them; ``of_table``: its effect, for keys that have none of their own.
    """
    found: dict[str, Effect] = {}
    for name, declared in rows_of(settings).items():
        at, effect = dotted(where, name), declared.effect or of_table
        match declared.shape:
            case Table(settings=inner):
                if declared.default is None:
                    found[at] = effect
                found |= effects(inner, at, effect)
            case Choice(kinds=kinds):
                found[at] = effect
                for kind in kinds.values():
                    found |= effects(kind, at, effect)
            case _:
                found[at] = effect
    return found


def spread(settings: Any, where: str = "") -> dict[str, object]:
    """The values of a configuration, by dotted key; so are those that it has of another file."""
    found: dict[str, object] = {}
    for name, declared in rows_of(type(settings)).items():
        at, value = dotted(where, name), getattr(settings, attribute_of(name))
        match declared.shape:
            case Table() | Choice():
                found[at] = None if value is None else type(value).__name__
                found |= {} if value is None else spread(value, at)
            case TableOf():
                for item, inner in value.items():
                    found[dotted(at, item)] = type(inner).__name__
                    found |= spread(inner, dotted(at, item))
            case _:
                found[at] = _plain(value)
    return found


def _plain(value: object) -> object:
    """A value whose representation hides nothing of it."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return attrs.astuple(value) if attrs.has(type(value)) else value  # type: ignore[arg-type]


def changes(old: T, new: T) -> ChangedKeys:
    """What differs between two configurations of one class."""
    return differing(spread(old), spread(new), type(new))


def digests(settings: Any, salt: bytes) -> dict[str, str]:
    """A digest of each value of a configuration, by dotted key: it tells whether two are equal, and no secret."""
    return {
        key: hmac.digest(salt, repr(value).encode(errors="backslashreplace"), "sha256").hex()
        for key, value in spread(settings).items()
    }


def differing(old: Mapping[str, object], new: Mapping[str, object], settings: type) -> ChangedKeys:
    """What differs between two of :func:`spread`, or between two tables of digests of these values.

    :param settings: the class that both are of.
    """
    declared = effects(settings)
    rows = {key: None for key in (*old, *new) if old.get(key, _MISSING) != new.get(key, _MISSING)}
    told = [(key, _effect(key, declared)) for key in rows if rows.keys().isdisjoint(_above(key))]
    at_once, restart = (tuple(key for key, its in told if its is effect) for effect in Effect)
    return ChangedKeys(at_once, restart)


def merged(old: T, new: T, of_table: Effect = Effect.RESTART) -> T:
    """The configuration that a reload brings into force: the new one, but for what needs a restart."""
    values: dict[str, object] = {}
    for name, declared in rows_of(type(old)).items():
        attribute, effect = attribute_of(name), declared.effect or of_table
        before, after = getattr(old, attribute), getattr(new, attribute)
        if isinstance(declared.shape, Table | Choice) and type(before) is type(after) and before is not None:
            values[attribute] = merged(before, after, effect)
        else:
            values[attribute] = after if effect is Effect.AT_ONCE else before
    return attrs.evolve(old, **values)  # type: ignore[misc]  # mypy knows no field of T


def _above(key: str) -> Iterator[str]:
    """The tables that a key is in. A quoted name may have dots; what lies before one of them is no row then."""
    for end, character in enumerate(key):
        if character == ".":
            yield key[:end]


def _effect(key: str, declared: Mapping[str, Effect]) -> Effect:
    """A key's effect, or that of the table of tables that it is in. What no declaration knows needs a restart."""
    known = (declared[name] for name in (key, *reversed(list(_above(key)))) if name in declared)
    return next(known, Effect.RESTART)
