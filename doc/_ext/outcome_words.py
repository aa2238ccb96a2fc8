"""``.. outcome-words:: SentLocal``: a table of the words of a class of :mod:`sccachedist.outcomes`.

Each word is a target, such as ``sentlocal-limit``, for links of alerts and of commands. What the table says is what the
daemons and commands say, so that it cannot be out of date.
"""

from collections.abc import Iterator
from typing import ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from sccachedist import outcomes
from sccachedist.outcomes import TimedPhase, Word


class OutcomeWords(SphinxDirective):
    """A row for each word: what it means, and what mends it."""

    required_arguments = 1
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """The nodes in the directive's place."""
        self.env.note_dependency(str(outcomes.__file__))
        container = nodes.container()
        self.state.nested_parse(StringList([*_table(self.arguments[0])]), self.content_offset, container)
        return list(container.children)


def _table(name: str) -> Iterator[str]:
    kind: type[Word] = getattr(outcomes, name)
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 18 41 41", "")
    mends, nothing = ("makes it shorter", "") if kind is TimedPhase else ("mends it", "Nothing is wrong.")
    yield from ("   * - Word", "     - What it means", f"     - What {mends}")
    for word in kind:
        yield from (f"   * - .. _{name.lower()}-{word.word}:", "", f"       ``{word.word}``")
        yield from (f"     - {word.means}", f"     - {word.mend or nothing}")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("outcome-words", OutcomeWords)
    return {"parallel_read_safe": True}
