"""``.. command-reference::``: every command of ``sccachedist``, with its arguments and options, from its parser."""

from collections.abc import Iterator

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from scripts.command_reference import CommandEntry, commands


class CommandReference(SphinxDirective):
    """A rubric, a line and a list of options for each command."""

    def run(self) -> list[nodes.Node]:
        """The nodes in the directive's place."""
        container = nodes.container()
        lines = [line for command in commands() for line in _described(command)]
        self.state.nested_parse(StringList(lines), self.content_offset, container)
        return list(container.children)


def _described(command: CommandEntry) -> Iterator[str]:
    yield from (f".. rubric:: ``{command.name}``", "", command.about, "", f".. program:: {command.name}", "")
    for option in command.options:
        yield from (f".. option:: {option.usage}", "   :no-contents-entry:", "", f"   {option.about}", "")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True}
