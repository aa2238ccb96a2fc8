"""``.. series-reference:: scheduler`` (or ``server``, ``servers``, ``worker``): every series of that exposition, from the table.

The registry makes the series from the same table, so that the page cannot be out of date.
"""

import inspect
from collections.abc import Iterator

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from sccachedist.metrics import series
from sccachedist.metrics.series import SCHEDULER, SERVERS, Series
from sccachedist.metrics.server_series import SERVER
from sccachedist.metrics.worker_series import WORKER

_BOTH = {row.name for row in SCHEDULER} & {row.name for row in SERVER}
EXPOSITIONS = {
    "both": tuple(row for row in SCHEDULER if row.name in _BOTH),
    "scheduler": tuple(row for row in SCHEDULER if row.name not in _BOTH),
    "server": tuple(row for row in SERVER if row.name not in _BOTH),
    "servers": SERVERS,
    "worker": tuple(row for row in WORKER if row.name not in _BOTH),
}
#: The most values of a label that the page lists.
_MOST_VALUES = 20


class SeriesReference(SphinxDirective):
    """A table with a line for each series."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes in the directive's place."""
        self.env.note_dependency(inspect.getfile(series))
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 40 10 50", ""]
        lines += _row("Series", "Kind", "Meaning")
        for row in EXPOSITIONS[self.arguments[0]]:
            lines += _row(f"``{row.name}``", row.kind.value, f"{row.about} {_labels(row)}".strip())
        container = nodes.container()
        self.state.nested_parse(StringList(lines), self.content_offset, container)
        return list(container.children)


def _labels(row: Series) -> str:
    """The labels, with the values that are known beforehand."""
    return " ".join(
        f"By ``{label}``: {', '.join(f'``{value}``' for value in values)}."
        if 0 < len(values) <= _MOST_VALUES
        else f"By ``{label}``."
        for label, values in row.labels.items()
    )


def _row(*cells: str) -> Iterator[str]:
    for number, cell in enumerate(cells):
        yield f"   {' ' if number else '*'} - {cell}"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("series-reference", SeriesReference)
    return {"parallel_read_safe": True}
