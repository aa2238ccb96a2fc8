"""How many slots a client may hold without using them, and for how long.

A slot is held for a client from the allocation until the job begins. Most clients come within a moment; a client that
does not come keeps others waiting. So its slot is held for a short while, and then lent to others
(:mod:`sccachedist.scheduler.slots`). The client may still come: its job then takes a slot again, like any that runs.

A client that has come for its jobs so far may hold any number of slots. A client that is new, or that lately let a slot
be lent, has to share: it holds only so many that some stay free for others (:class:`sccachedist.budgets.Budget`).

A client that lately did not come at all is absent: its slots are not held, but lent at once to the next client that
waits, which may be itself. So no one waits for it, and its jobs run all the same if it comes. All absent clients
together get such slots at a pace, for each costs CPU that others wait for. Two programs may be one client here, one
that comes and one that does not: what the one does never makes up for the other.

Pure: the time is an argument. Which slots there are, and what a job is, is not known here.
"""

import math
from collections import OrderedDict

import attrs

from sccachedist.budgets import Budget, Hold, Party

#: Seconds for which a slot is held.
HOLD_SECS = 0.6
#: Seconds for which a client has to share, and is absent, after one of its slots was lent; if its toolchain was
#: arriving, it only has to share, for the second number.
PROBATION_SECS, UPLOAD_PROBATION_SECS = 10.0, 2.0
#: Seconds between two slots that are not held, if there are at most 20 slots. Where there are more, each of them is
#: given once in the second number of seconds. What was not given in that time may be given at once.
UNHELD_SECS, UNHELD_SLOT_SECS = 0.01, 0.2
#: The part of all slots that may be lent before all clients have to share; those that came so far then share among
#: themselves. Without this, one party that appears as many clients could let most slots be lent.
MOST_LENT = 0.5
#: How many clients are remembered.
MOST_REMEMBERED = 1 << 14


@attrs.define
class _Record:
    """What is known of a client.

    :param comes: whether it has come for a job.
    :param shares_until: until when it has to share, because it did not come for another job.
    :param absent_until: until when its slots are not held.
    """

    comes: bool = False
    shares_until: float = -math.inf
    absent_until: float = -math.inf


class Shares:
    """The slots that clients hold without using them."""

    def __init__(self) -> None:
        self._of_known, self._of_new = Budget("unclaimed_jobs", 0), Budget("unclaimed_jobs", 0)
        self._records: OrderedDict[Party, _Record] = OrderedDict()
        self._all_share = False
        self._unheld_secs, self._unheld_at = UNHELD_SECS, -math.inf

    def resize(self, slots: int, lent: int) -> None:
        """Set how many slots there are, and how many of them are lent."""
        self._of_known.total = self._of_new.total = slots
        self._all_share = lent > MOST_LENT * slots
        self._unheld_secs = min(UNHELD_SECS, UNHELD_SLOT_SECS / max(1, slots))

    def may_hold(self, client: Party, now: float) -> bool:
        """Whether a client may hold one more slot."""
        if self._is_absent(client, now) and now < self._unheld_at:
            return False
        budget = self._budget_of(client, now)
        return budget is None or budget.has_room_for(client)

    def next_unheld(self, now: float) -> float | None:
        """When an absent client may have a slot; None for at once."""
        return self._unheld_at if now < self._unheld_at else None

    def hold(self, client: Party, now: float) -> Hold | None:
        """Count a slot that a client holds, until the result is closed; None if it is not counted."""
        if self._is_absent(client, now):
            self._unheld_at = min(now, max(now - UNHELD_SLOT_SECS, self._unheld_at)) + self._unheld_secs
        budget = self._budget_of(client, now)
        return None if budget is None or not budget.has_room_for(client) else budget.open(client, 1)

    def hold_secs(self, client: Party | None, now: float) -> float:
        """The seconds for which a slot is held for a client."""
        return 0.0 if client is not None and self._is_absent(client, now) else HOLD_SECS

    def came(self, client: Party) -> None:
        """Note that a client has come for a job."""
        self._record(client).comes = True

    def missed(self, client: Party, now: float, *, is_heard: bool) -> None:
        """Note that a client has not come for a job, although its slot was held.

        :param is_heard: whether its toolchain has begun to arrive.
        """
        record = self._record(client)
        if is_heard:
            record.shares_until = max(record.shares_until, now + UPLOAD_PROBATION_SECS)
        else:
            record.shares_until = record.absent_until = now + PROBATION_SECS

    def _is_absent(self, client: Party, now: float) -> bool:
        record = self._records.get(client)
        return record is not None and now < record.absent_until

    def _budget_of(self, client: Party, now: float) -> Budget | None:
        record = self._records.get(client)
        if record is None or not record.comes or now < record.shares_until:
            return self._of_new
        return self._of_known if self._all_share else None

    def _record(self, client: Party) -> _Record:
        record = self._records.setdefault(client, _Record())
        self._records.move_to_end(client)
        if len(self._records) > MOST_REMEMBERED:
            self._records.popitem(last=False)
        return record
