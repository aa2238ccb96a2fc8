"""``.. config-reference:: scheduler`` (or ``server``): every key of that file, or of the tables that ``:only:`` names.

What it shows comes from the declarations that also read the file, so that it cannot be out of date.
"""

import inspect
from collections.abc import Iterator
from typing import ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from sccachedist.config import SchedulerSettings, ServerSettings
from sccachedist.config.reference import Section, sections

FILES: dict[str, type] = {"scheduler": SchedulerSettings, "server": ServerSettings}
TABLE = [".. list-table::", "   :header-rows: 1", "   :widths: 18 26 18 38", ""]


class ConfigReference(SphinxDirective):
    """The sections of one file, each a heading, a line of explanation and a table of its keys."""

    required_arguments = 1
    option_spec: ClassVar = {"only": str.split}

    def run(self) -> list[nodes.Node]:
        """The nodes in the directive's place."""
        settings = FILES[self.arguments[0]]
        self.env.note_dependency(inspect.getfile(settings))
        only = self.options.get("only")
        shown = [section for section in sections(settings) if only is None or section.heading.strip("[]") in only]
        markup = StringList([line for section in shown for line in _markup(section)])
        container = nodes.container()
        self.state.nested_parse(markup, self.content_offset, container)
        return list(container.children)


def _markup(section: Section) -> Iterator[str]:
    if section.heading:
        yield from (f".. rubric:: ``{section.heading}``", "")
    yield from (section.about, "")
    if section.rows:
        yield from TABLE
        yield from _row("Key", "Value", "Default", "Purpose")
    for row in section.rows:
        default = "*required*" if row.required else row.default and f"``{row.default}``"
        yield from _row(f"``{row.name}``", row.expected, default, row.about)
    yield ""


def _row(*cells: str) -> Iterator[str]:
    for number, cell in enumerate(cells):
        yield f"   {' ' if number else '*'} - {cell}"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("config-reference", ConfigReference)
    return {"parallel_read_safe": True}
