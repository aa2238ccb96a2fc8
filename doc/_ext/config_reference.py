"""``.. config-reference:: scheduler`` (or ``server``, ``worker``): every key of that file, each a ``confval`` that pages link to.

``.. reload-reference:: scheduler`` (or ``server``, ``worker``): what a reload does with each key, a row for each table.

With ``:only:``, the named tables alone, in short: a table whose keys link to their places in the whole reference. What
it shows comes from the declarations that also read the file, so that it cannot be out of date.

A key of several files is one target, in the first one's part, for its declaration is one; so is a key of several types of
one table.
"""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from sccachedist.config import SchedulerSettings, ServerSettings, WorkerSettings
from sccachedist.config.reference import KeyRow, Section, reloaded, sections

FILES: dict[str, type] = {"scheduler": SchedulerSettings, "server": ServerSettings, "worker": WorkerSettings}
RELOAD_TABLE = [".. list-table::", "   :header-rows: 1", "   :widths: 16 48 36", ""]
TABLE = [".. list-table::", "   :header-rows: 1", "   :widths: 18 26 18 38", ""]


class ConfigReference(SphinxDirective):
    """The sections of one file, each a heading, a line of explanation and its keys."""

    required_arguments = 1
    option_spec: ClassVar = {"only": str.split}

    def run(self) -> list[nodes.Node]:
        """The nodes in the directive's place."""
        settings = FILES[self.arguments[0]]
        self.env.note_dependency(inspect.getfile(settings))
        only = self.options.get("only")
        lines = list(_whole(self.arguments[0]) if only is None else _short(settings, only))
        container = nodes.container()
        self.state.nested_parse(StringList(lines), self.content_offset, container)
        return list(container.children)


class ReloadReference(SphinxDirective):
    """A table of the tables of one file."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes in the directive's place."""
        settings = FILES[self.arguments[0]]
        self.env.note_dependency(inspect.getfile(settings))
        lines = [*RELOAD_TABLE, *_row("Table", "At once", "After a restart")]
        for each in reloaded(settings):
            table = f"``[{each.table}]``" if each.table else ""
            lines += _row(table, _links(each.table, each.at_once), _links(each.table, each.restart))
        container = nodes.container()
        self.state.nested_parse(StringList(lines), self.content_offset, container)
        return list(container.children)


def _links(table: str, keys: tuple[str, ...]) -> str:
    """Keys by their names in the table, with links to their places; the table itself is what is chosen with it."""
    return ", ".join(_link(key.removeprefix(f"{table}."), key) if key != table else "the whole table" for key in keys)


def _link(name: str, key: str) -> str:
    return f":confval:`{name} <{key}>`" if key in _keys() else f"``{name}``"


def _whole(file: str) -> Iterator[str]:
    """Every key of a file; those that have been described before, here or in another file, are no targets again."""
    described: set[str] = set()
    for each, settings in FILES.items():
        for section in sections(settings):
            if each == file:
                yield from _opening(section)
            for row in section.rows:
                name = _name(section, row)
                if each == file:
                    yield from _described(name, row, is_target=name not in described)
                described.add(name)
        if each == file:
            return


def _described(name: str, row: KeyRow, *, is_target: bool) -> Iterator[str]:
    yield f".. confval:: {name}"
    if not is_target:
        yield "   :no-index:"
    yield f"   :type: {row.expected}"
    yield f"   :default: {_default(row)}"
    yield from ("   :no-contents-entry:", "", f"   {_linked(row.about)}", "")


def _short(settings: type, only: list[str]) -> Iterator[str]:
    for section in sections(settings):
        if section.heading.strip("[]") in only:
            yield from _opening(section)
            yield from TABLE
            yield from _row("Key", "Value", "Default", "Purpose")
            for row in section.rows:
                key = f":confval:`{row.name} <{_name(section, row)}>`"
                yield from _row(key, row.expected, _default(row), _linked(row.about))
            yield ""


def _opening(section: Section) -> Iterator[str]:
    if section.heading:
        yield from (f".. rubric:: ``{section.heading}``", "")
    yield from (_linked(section.about), "")


def _name(section: Section, row: KeyRow) -> str:
    """A key with its table, as other pages and the errors name it."""
    table = re.match(r"\[([\w.]+)\]", section.heading)
    return f"{table[1]}.{row.name}" if table else row.name


def _default(row: KeyRow) -> str:
    if row.required:
        return "none, it has to be there"
    return f"``{row.default}``" if row.default else "none"


def _linked(text: str) -> str:
    """A text with links in the place of the keys that it names."""
    return re.sub(r"``(\w+\.\w+)``", lambda key: f":confval:`{key[1]}`" if key[1] in _keys() else key[0], text)


@cache
def _keys() -> frozenset[str]:
    return frozenset(
        _name(section, row) for settings in FILES.values() for section in sections(settings) for row in section.rows
    )


def _row(*cells: str) -> Iterator[str]:
    for number, cell in enumerate(cells):
        yield f"   {' ' if number else '*'} - {cell}"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("config-reference", ConfigReference)
    app.add_directive("reload-reference", ReloadReference)
    return {"parallel_read_safe": True}
