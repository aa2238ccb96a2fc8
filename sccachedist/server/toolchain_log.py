"""What a scheduler of ours has still to hear of the toolchains of this build server, in numbered changes.

A report tells some of the changes after the last one that the scheduler has heard of, so that none has to name every
toolchain. Only the last change of a toolchain counts. A scheduler that has been restarted has heard of change 0: it is
told all that there is, the most recently used first, in as many reports as that takes.

Pure: who sends the reports, and when, is not known here.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

import attrs

from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.extension import TOOLCHAIN_BYTES

#: Toolchains that are gone and of which a scheduler was not told; with more of them it is told everything again.
MOST_GONE = 10_000


@attrs.frozen
class ToolchainNews:
    """What one report tells, see :class:`sccachedist.wire.extension.ServerReport`."""

    held: tuple[ArchiveId, ...]
    gone: tuple[ArchiveId, ...]
    since: int
    until: int


class ToolchainLog:
    """The changes.

    :param recent: gives the toolchains that are here, most recently used first.
    """

    def __init__(self, recent: Callable[[], Iterable[ArchiveId]]) -> None:
        self._recent = recent
        self._last = self.told = 0
        # The last change that was forgotten although a report may have told of what was there before it.
        self._forgotten = 0
        # The number of a toolchain's last change, and whether it is here since; the numbers ascend.
        self._changes: OrderedDict[ArchiveId, tuple[int, bool]] = OrderedDict()
        self._gone: OrderedDict[ArchiveId, None] = OrderedDict()
        self._is_ordered = False

    @property
    def is_told(self) -> bool:
        """Whether the scheduler has heard of every change."""
        return self.told == self._last

    def came(self, toolchain: ArchiveId) -> None:
        """A toolchain is here."""
        self._gone.pop(toolchain, None)
        self._change(toolchain, held=True)

    def went(self, toolchain: ArchiveId) -> None:
        """A toolchain is here no more."""
        self._change(toolchain, held=False)
        self._gone.pop(toolchain, None)
        self._gone[toolchain] = None
        if len(self._gone) > MOST_GONE:
            self.heard(0)
        self._forget_gone()

    def heard(self, until: int) -> None:
        """The scheduler says up to which change it has heard; 0 where it knows nothing."""
        if (
            until < max(self.told, self._forgotten) or until > self._last
        ):  # what was forgotten here may be what it needs
            until, self._is_ordered = 0, False
        self.told = until
        self._forget_gone()

    def news(self, most_bytes: int) -> ToolchainNews:
        """The next changes that the scheduler has to hear of, as many as fit into so many bytes."""
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
        return ToolchainNews(tuple(held), tuple(gone), self.told, until)

    def _untold(self) -> Iterator[tuple[ArchiveId, int, bool]]:
        """What the scheduler has not heard of, oldest first."""
        if not self.told:
            return ((toolchain, *change) for toolchain, change in self._changes.items())
        untold = []
        for toolchain, (number, is_held) in reversed(self._changes.items()):
            if number <= self.told:
                break
            untold.append((toolchain, number, is_held))
        return reversed(untold)

    def _order(self) -> None:
        """Number the toolchains that are here in the order in which they are to be told."""
        self._changes.clear()
        for toolchain in self._recent():
            self._change(toolchain, held=True)
        self._is_ordered = True

    def _change(self, toolchain: ArchiveId, *, held: bool) -> None:
        self._last += 1
        self._changes.pop(toolchain, None)
        self._changes[toolchain] = self._last, held

    def _forget_gone(self) -> None:
        """A scheduler that knows nothing, or has heard it, need not be told what is gone."""
        while self._gone and (not self.told or self._changes[next(iter(self._gone))][0] <= self.told):
            toolchain = next(iter(self._gone))
            del self._gone[toolchain]
            number, _ = self._changes.pop(toolchain)
            if not self.told:
                self._forgotten = max(self._forgotten, number)
