"""How the keys of a configuration file are declared: once, in the metadata of the attrs field that holds the value.

Reading, its errors and the reference in ``doc/`` are all derived from these declarations. This module knows
neither our keys nor where a document comes from. No error quotes a value: it may be a secret.
"""

import difflib
import enum
import json
import keyword
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeVar

import attrs

from sccachedist.errors import ConfigError, DecodeError, OtherRoleError

T = TypeVar("T")


class Shape(Protocol):
    """What a file may have as the value of a key."""

    @property
    def expected(self) -> str:
        """What an operator should have written, in a few words."""

    def read(self, value: object, where: str) -> object:
        """Turn ``value`` into the setting.

        :param where: the dotted key, for the error.
        :raises ConfigError: the value is not what is expected.
        """


@attrs.frozen
class Value:
    """A single value: the file has a type of ``given``; ``convert`` makes the setting from it, or raises ValueError."""

    given: type | tuple[type, ...]
    expected: str
    convert: Callable[[Any], object]

    def read(self, value: object, where: str) -> object:
        """The converted value."""
        try:
            given = self.given if isinstance(self.given, tuple) else (self.given,)
            if type(value) in given:  # not isinstance: to Python, true is an int
                return self.convert(value)
        except UnicodeEncodeError as error:
            if error.encoding != "utf-8":
                raise _wrong(where, f"not in {error.encoding}, the locale's encoding: set LC_ALL=C.UTF-8") from error
        except (ValueError, DecodeError):
            pass
        raise _wrong(where, f"expected {self.expected}")


@attrs.frozen
class ListOf:
    """A list of ``least`` or more items, and ``most`` at most, read as a tuple."""

    item: Shape
    least: int = 0
    most: int | None = None

    @property
    def expected(self) -> str:
        """What an operator should have written."""
        some = f" of {self.least} or more" if self.least else ""
        some = some if self.most is None else f" of {self.least} to {self.most}"
        return f"a list{some}, each item {self.item.expected}"

    def read(self, value: object, where: str) -> object:
        """Read every item by its shape; an error names the item by its index."""
        if not isinstance(value, list) or not self.least <= len(value) <= (self.most or len(value)):
            raise _wrong(where, f"expected {self.expected}")
        return tuple(self.item.read(item, f"{where}[{index}]") for index, item in enumerate(value))


@attrs.frozen
class Table:
    """A table whose keys are the fields of one class."""

    settings: type
    expected: str = attrs.field(default="a table", init=False)

    def read(self, value: object, where: str) -> object:
        """An instance of the class."""
        return read_settings(self.settings, value, where)


@attrs.frozen
class TableOf:
    """Tables of one class, each under a name that the operator chooses: a dict by these names.

    :param name: what is one.
    """

    settings: type
    name: Value
    expected: str = attrs.field(default="a table of tables", init=False)

    def read(self, value: object, where: str) -> object:
        """Read each table by its class; an error names the table by its name."""
        return {
            self.name.read(name, dotted(where, name)): read_settings(self.settings, item, dotted(where, name))
            for name, item in _table(value, where).items()
        }


@attrs.frozen
class Choice:
    """A table whose ``type`` selects the class for its other keys.

    :param gone: types that earlier published releases took, each with what to do instead.
    """

    kinds: Mapping[str, type]
    gone: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def expected(self) -> str:
        """What an operator should have written."""
        return f"a table with type = one of {', '.join(self.kinds)}"

    def read(self, value: object, where: str) -> object:
        """An instance of the chosen class.

        A class without keys ignores all keys beside ``type``, as the published programs do: a file may keep the keys of
        an earlier type.
        """
        others = dict(_table(value, where))
        kind = others.pop("type", None)
        if not isinstance(kind, str) or kind not in self.kinds:
            raise _wrong(f"{where}.type", self._refusal(kind))
        settings = self.kinds[kind]
        return read_settings(settings, others if keys_of(settings) else {}, where)

    def _refusal(self, kind: object) -> str:
        if isinstance(kind, str) and kind in self.gone:
            return f"{kind} is gone: {self.gone[kind]}"
        return f"expected one of {', '.join(self.kinds)}"


class Effect(enum.Enum):
    """When a changed value has an effect, once the file is read again."""

    AT_ONCE = "at once"
    RESTART = "after a restart"


@attrs.frozen
class Key:
    """A key of a file: the shape of its value, one line about its purpose, and what a reload does with it.

    :param effect: None for that of the table that it is in. The effect of a choice, or of a table that may be
        missing, is that of choosing otherwise, too.
    """

    shape: Shape
    about: str
    effect: Effect | None
    default: object

    @property
    def required(self) -> bool:
        """Whether a file must have the key."""
        return self.default is attrs.NOTHING


def key(shape: Shape, about: str, effect: Effect | None = None) -> dict[str, object]:
    """Metadata for the attrs field of a setting: ``field(metadata=key(...))``.

    :param effect: at once only if a part of the role applies the key, see :mod:`sccachedist.daemon.reload`; by default
        that of its table, and after a restart for a key of no table.
    """
    return {"shape": shape, "about": about, "effect": effect}


def table(settings: type, effect: Effect | None = None) -> dict[str, object]:
    """Metadata for a field that is a table of its own; the first line of its class describes it."""
    return key(Table(settings), summary(settings), effect)


def loaded(shape: TableOf) -> dict[str, object]:
    """Metadata for a field that no file has itself: what another file says that it names. A reload reads that, too."""
    return {"loaded": shape}


def summary(settings: type) -> str:
    """The first line of a class's docstring, which describes its keys."""
    return (settings.__doc__ or "").partition("\n")[0]


def keys_of(settings: type) -> dict[str, Key]:
    """The keys that a class of settings has, in their order; what no file can have is none."""
    return {
        _name_of(f.name): Key(**f.metadata, default=f.default) for f in attrs.fields(settings) if "shape" in f.metadata
    }


def rows_of(settings: type) -> dict[str, Key]:
    """The same, and what is read of other files."""
    read = {f.name: f for f in attrs.fields(settings) if "loaded" in f.metadata}
    others = {name: Key(f.metadata["loaded"], "", Effect.AT_ONCE, f.default) for name, f in read.items()}
    return keys_of(settings) | others


def _name_of(attribute: str) -> str:
    """A key's name: ``class_`` is ``class``, which no attribute of Python can be."""
    return attribute.rstrip("_")


def attribute_of(name: str) -> str:
    """The attribute that holds a key's value."""
    return name + "_" * keyword.iskeyword(name)


def read_settings(settings: type[T], value: object, where: str = "") -> T:
    """An instance of ``settings`` from a table of a file. A null, which only JSON has, counts as a missing key.

    :raises ConfigError: one line that begins with the dotted key.
    """
    keys = keys_of(settings)
    given = _given(value, where, keys)
    for name, declared in keys.items():
        if declared.required and name not in given:
            raise _wrong(dotted(where, name), f"missing, expected {declared.shape.expected}")
    read = {name: keys[name].shape.read(item, dotted(where, name)) for name, item in given.items()}
    return settings(**{attribute_of(name): item for name, item in read.items()})


def refuse_other(document: object, mine: type, theirs: type, whose: str) -> None:
    """Refuse the other role's file as a whole: it has keys that every such file must have, and none of this one's.

    :param theirs: the class of the other file's settings; ``whose`` is what the error calls that file.
    :raises OtherRoleError: one line that says whose file it is.
    """
    known, known_there = _required(mine), _required(theirs)
    if (
        isinstance(document, dict)
        and document.keys() & (known_there - known)
        and not document.keys() & (known - known_there)
    ):
        raise OtherRoleError(f"this is {whose} configuration")


def _required(settings: type) -> set[str]:
    return {name for name, declared in keys_of(settings).items() if declared.required}


def refuse_misplaced(document: object, mine: type, theirs: type, whose: str, where: str = "") -> None:
    """Refuse a key that belongs only in the other role's file: it would have no effect here.

    :param theirs: the class of the other file's settings; ``whose`` is what the error calls that file.
    :raises ConfigError: one line that begins with the dotted key and names the file where it belongs.
    """
    if not isinstance(document, dict):
        return  # read_settings reports that better
    known, known_there = keys_of(mine), keys_of(theirs)
    for name in (name for name in document if name in known_there):
        if name not in known:
            raise _wrong(dotted(where, name), f"it has no effect here, it belongs in {whose} file")
        match known[name].shape, known_there[name].shape:
            case Table(settings=inner), Table(settings=inner_there):
                refuse_misplaced(document[name], inner, inner_there, whose, dotted(where, name))


def _wrong(where: str, problem: str) -> ConfigError:
    """The error for a dotted key, or for the whole document if ``where`` is empty."""
    return ConfigError(f"{where}: {problem}" if where else problem)


def _table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _wrong(where, "expected a table")
    return value


def _given(value: object, where: str, known: Collection[str]) -> dict[str, object]:
    given = _table(value, where)
    for name in given:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {nearest[0]}?" if nearest else ""
            raise _wrong(dotted(where, name), f"unknown key{hint}")
    return {name: item for name, item in given.items() if item is not None}


def dotted(where: str, name: str) -> str:
    """The key as TOML writes it: a name with unusual characters is quoted, so that it stays on its line."""
    name = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
    return f"{where}.{name}" if where else name
