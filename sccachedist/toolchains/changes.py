"""Which changes of toolchains our scheduler still has to hear of; changes are numbered.

A report has some of the changes after the last one that the scheduler has heard of, so it need not list every
toolchain. Only the last change of a toolchain counts. A restarted scheduler has heard of change 0: it gets the list of
all toolchains, the most recently used first, in as many reports as that takes.

Pure. It does not know how reports are sent, nor when: :mod:`sccachedist.server.heartbeat` does.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

import attrs

from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.extension import TOOLCHAIN_BYTES

#: How many removed toolchains are kept for the next report; beyond that the scheduler gets the whole list again.
MOST_GONE = 10_000


@attrs.frozen
class ToolchainNews:
    """The changes in one report, see :class:`sccachedist.wire.extension.ServerReport`.

    :param sizes: of what is held; ``built_for``: which machine that needs.
    """

    held: tuple[ArchiveId, ...]
    gone: tuple[ArchiveId, ...]
    since: int
    until: int
    sizes: tuple[int, ...] = ()
    built_for: tuple[int, ...] = ()


class ToolchainLog:
    """The changes.

    :param recent: returns the toolchains that are here, most recently used first.
    :param size_of: returns the bytes of one that is here; ``machine_of``, which machine it needs.
    """

    def __init__(
        self,
        recent: Callable[[], Iterable[ArchiveId]],
        size_of: Callable[[ArchiveId], int],
        machine_of: Callable[[ArchiveId], int],
    ) -> None:
        self._recent, self._size_of, self._machine_of = recent, size_of, machine_of
        self._last = self.told = 0
        # The last removal that was forgotten, though an earlier report may have listed that toolchain.
        self._forgotten = 0
        # The number of each toolchain's last change, and whether it is here since then; the numbers ascend.
        self._changes: OrderedDict[ArchiveId, tuple[int, bool]] = OrderedDict()
        self._gone: OrderedDict[ArchiveId, None] = OrderedDict()
        self._is_ordered = False

    @property
    def is_told(self) -> bool:
        """Whether the scheduler has heard of every change."""
        return self.told == self._last

    def came(self, toolchain: ArchiveId) -> None:
        """Note that a toolchain is here, or that more is known of it."""
        self._gone.pop(toolchain, None)
        self._change(toolchain, held=True)

    def went(self, toolchain: ArchiveId) -> None:
        """Note that a toolchain is no longer here."""
        self._change(toolchain, held=False)
        self._gone.pop(toolchain, None)
        self._gone[toolchain] = None
        if len(self._gone) > MOST_GONE:
            self.heard(0)
        self._forget_gone()

    def heard(self, until: int) -> None:
        """Note up to which change the scheduler has heard; 0 if it knows nothing."""
        if until < max(self.told, self._forgotten) or until > self._last:  # it may need a change that is forgotten here
            until, self._is_ordered = 0, False
        self.told = until
        self._forget_gone()

    def news(self, most_bytes: int) -> ToolchainNews:
        """Return the next changes that the scheduler has to hear of, as many as fit."""
        if not self.told and not self._is_ordered:
            self._order()
        held: list[ArchiveId] = []
        gone: list[ArchiveId] = []
        until = self.told
        for toolchain, number, is_held in self._untold():
            most_bytes -= len(toolchain) + TOOLCHAIN_BYTES
            if most_bytes < 0:
                break
            (held if is_held else gone).append(toolchain)
            until = number
        else:
            until = self._last
        sizes, machines = tuple(map(self._size_of, held)), tuple(map(self._machine_of, held))
        return ToolchainNews(tuple(held), tuple(gone), self.told, until, sizes, machines)

    def _untold(self) -> Iterator[tuple[ArchiveId, int, bool]]:
        """Yield the changes that the scheduler has not heard of, oldest first."""
        if not self.told:
            return ((toolchain, *change) for toolchain, change in self._changes.items())
        untold = []
        for toolchain, (number, is_held) in reversed(self._changes.items()):
            if number <= self.told:
                break
            untold.append((toolchain, number, is_held))
        return reversed(untold)

    def _order(self) -> None:
        """Number the toolchains that are here again, in the order of the list for the scheduler."""
        self._changes.clear()
        for toolchain in self._recent():
            self._change(toolchain, held=True)
        self._is_ordered = True

    def _change(self, toolchain: ArchiveId, *, held: bool) -> None:
        self._last += 1
        self._changes.pop(toolchain, None)
        self._changes[toolchain] = self._last, held

    def _forget_gone(self) -> None:
        """Forget removals that the scheduler has heard of, or all if it knows nothing."""
        while self._gone and (not self.told or self._changes[next(iter(self._gone))][0] <= self.told):
            toolchain = next(iter(self._gone))
            del self._gone[toolchain]
            number, _ = self._changes.pop(toolchain)
            if not self.told:
                self._forgotten = max(self._forgotten, number)
