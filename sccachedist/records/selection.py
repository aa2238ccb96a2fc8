"""Which records are wanted: what a query of the API and the options of a command choose by.

Pure. It reads records as the API gives them and as a file of records has them.
"""

import attrs

from sccachedist.records.documents import JobRow


@attrs.frozen
class Selection:
    """What a record has to have. None takes any.

    :param since: the time that it ended at, or later, in seconds since 1970.
    :param client: and ``outcome``, ``reason``: the very word.
    :param server: the address of the build server, with or without its port.
    :param also: addresses of build servers that will do, too: ``server`` is the name of their host.
    :param output: how the name of its first output ends.
    """

    since: float = 0.0
    client: str | None = None
    server: str | None = None
    outcome: str | None = None
    reason: str | None = None
    output: str | None = None
    also: frozenset[str] = frozenset()

    def is_at(self, server: str | None) -> bool:
        """Whether a build server, by its address, is one that is wanted."""
        return self.server is None or self.server in _names(server) or server in self.also

    def wants(self, row: JobRow) -> bool:
        """Whether a record is one of those that are wanted."""
        return (
            row["ended"] >= self.since
            and self.client in (None, row["client"])
            and self.outcome in (None, row["outcome"])
            and self.reason in (None, row["reason"])
            and self.is_at(row["server"])
            and (self.output is None or (row["output"] or "").endswith(self.output))
        )


def _names(server: str | None) -> tuple[str, ...]:
    return () if server is None else (server, server.rpartition(":")[0])
