"""What a job needs of a build server, and which kind of server has it: machines and labels. Pure.

A server that does not tell its machines, such as a published one, is taken for one of every machine; a toolchain that
needs no certain machine, or of which that is not known yet, goes to any. A server needs to have all labels of a client,
and may have others.
"""

import attrs

from sccachedist.wire.extension import ServerReport
from sccachedist.wire.machines import ANY, UNKNOWN, name_of, run_by


@attrs.frozen
class Need:
    """What a job needs.

    :param machine: that of its toolchain, see :mod:`sccachedist.wire.machines`.
    :param labels: all that the server must have.
    """

    machine: int = UNKNOWN
    labels: frozenset[str] = frozenset()

    @property
    def any_machine(self) -> bool:
        """Whether each machine will do, as far as that is known."""
        return self.machine in (UNKNOWN, ANY)

    def __str__(self) -> str:
        machine, labels = name_of(self.machine), " and ".join(sorted(self.labels))
        of, with_ = f" of machine {machine}" if machine else "", f" with label {labels}" if labels else ""
        return f"build server{of}{with_}"


ANYWHERE = Need()


@attrs.frozen(cache_hash=True)
class ServerKind:
    """What some build servers have in common.

    :param machines: whose programs they run; empty if they do not tell.
    """

    machines: frozenset[int] = frozenset()
    labels: frozenset[str] = frozenset()

    def suits(self, need: Need) -> bool:
        """Whether jobs with this need may run there."""
        return need.labels <= self.labels and (need.any_machine or not self.machines or need.machine in self.machines)


PLAIN = ServerKind()


def kind_of(report: ServerReport | None) -> ServerKind:
    """The kind of a server, as its report says; one of an earlier release tells the machine of its host."""
    if report is None:
        return PLAIN
    able = report.abilities
    if able is None:
        return PLAIN if report.host is None else ServerKind(frozenset(run_by(report.host.machine)))
    return ServerKind(frozenset(able.machines), frozenset(able.labels))
