"""The schema in the form that the documentation prints: sections of keys with type, default and purpose.

It writes no markup: ``doc/_ext/config_reference.py`` does.
"""

import enum
import json
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from sccachedist.config.changes import effects
from sccachedist.config.schema import Choice, Effect, Key, Table, TableOf, keys_of, summary
from sccachedist.config.values import BYTES, CACHE_BYTES

_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


@frozen
class KeyRow:
    """A key, ready to print; ``default`` is empty if there is none to print."""

    name: str
    expected: str
    required: bool
    default: str
    about: str


@frozen
class Section:
    """Keys that stand together in a file.

    :param heading: the line that opens them in TOML; empty for the keys at the top of the file.
    """

    heading: str
    about: str
    rows: tuple[KeyRow, ...]


@frozen
class Reloaded:
    """What a reload does with the keys of a table.

    :param table: its name; empty for the keys at the top of the file.
    :param at_once: the dotted keys that have their effect at once; ``restart``: those that need a restart. The table
        itself stands for the choice of another type, and for beginning or ending what it is about.
    """

    table: str
    at_once: tuple[str, ...]
    restart: tuple[str, ...]


def reloaded(settings: type) -> Iterator[Reloaded]:
    """What a reload does with the keys of one file, from its class of settings, table by table."""
    names = keys_of(settings)
    tables: dict[str, dict[str, Effect]] = {}
    for key, effect in effects(settings).items():
        name = key.partition(".")[0]
        is_table = isinstance(names[name].shape, Table | Choice)
        tables.setdefault(name if is_table else "", {})[key] = effect
    for table, keys in tables.items():
        at_once, restart = (tuple(key for key, its in keys.items() if its is effect) for effect in Effect)
        yield Reloaded(table, at_once, restart)


def sections(settings: type) -> Iterator[Section]:
    """The reference of one file, from its class of settings: the keys at the top, then table by table."""
    yield _section("", settings)
    for name, declared in keys_of(settings).items():
        match declared.shape:
            case Table(settings=inner):
                yield _section(f"[{name}]", inner)
                for part, of_part in keys_of(inner).items():
                    if isinstance(of_part.shape, TableOf):
                        yield _section(f"[{name}.{part}.NAME]", of_part.shape.settings)
            case Choice(kinds=kinds):
                for kind, chosen in kinds.items():
                    yield _section(f'[{name}] type = "{kind}"', chosen)


def _section(heading: str, settings: type) -> Section:
    keys = keys_of(settings)
    rows = (_row(name, declared) for name, declared in keys.items() if not isinstance(declared.shape, Table | TableOf))
    return Section(heading, summary(settings), tuple(rows))


def _row(name: str, declared: Key) -> KeyRow:
    return KeyRow(name, declared.shape.expected, declared.required, _default(declared), declared.about)


def _default(declared: Key) -> str:
    """A default as it would be in a file, with a size also in larger units."""
    match declared.default:
        case bool(is_so):
            return str(is_so).lower()
        case int(number):
            return f"{number}{_in_units(number)}" if declared.shape in (BYTES, CACHE_BYTES) else str(number)
        case enum.Enum(value=text) | (str() | Path() as text):
            return json.dumps(str(text))
        case tuple(items):
            return json.dumps(items)
    return ""


def _in_units(number: int) -> str:
    return next((f" ({number // size} {unit})" for size, unit in _UNITS if number % size == 0), "")
