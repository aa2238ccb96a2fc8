"""Makes the record of each request for a slot that is over, of the scheduler's events: an observer.

It keeps the latest ones, and counts all. Where else records go, and what is shown of them, is not known here.
"""

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain

import attrs

from sccachedist.auth.clients import address_of, name_of
from sccachedist.budgets import Party
from sccachedist.config import RecordSettings
from sccachedist.errors import DecodeError
from sccachedist.job_phases import JobPhase
from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.printable import excerpt
from sccachedist.records.ring import ENDED, Entry, Ring, entry_of
from sccachedist.scheduler.events import Event, JobAdopted, JobEnd, JobEnded, LateSummary, RequestRefused
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.job_summary import MOST_BYTES, MOST_TEXT, ending, packed, unpacked
from sccachedist.wire.messages import JobId

#: Senders without a good token may make so many records a second, and so many are kept of them: else they could push
#: out all others. They are counted all the same.
STRANGERS_PER_SEC, MOST_STRANGERS = 10, 1000

#: How many records of clients and of strangers there were at some time.
Mark = tuple[int, int]
NOTHING: Mark = (0, 0)

#: Seconds for which a job that a heartbeat no longer names may still be told of: the end of a short one is sent again
#: when it did not arrive, and a heartbeat may be quicker.
LATE_SECS = 5.0

_NOT_COMPLETE = {
    JobEnd.LOST: Outcome.SERVER_LOST,
    JobEnd.SERVER_LEFT: Outcome.SERVER_LOST,
    JobEnd.EXPIRED: Outcome.UNCLAIMED,
}
#: What a build server may say of a job.
_OF_SERVER = {Outcome.COMPILED, Outcome.COMPILE_ERROR, Outcome.SENT_LOCAL, Outcome.UNCLAIMED}


def outcome_of(ended: JobEnded) -> tuple[Outcome, SentLocal | None]:
    """What became of a job, and why its client compiled locally, if it did."""
    if ended.how is not JobEnd.COMPLETE:
        lost = ended.how is JobEnd.EXPIRED and JobPhase.STARTED in ended.began
        return Outcome.SERVER_LOST if lost else _NOT_COMPLETE[ended.how], None
    try:
        outcome, reason = ending(ended.summary)
    except DecodeError:  # there is none, or it has a word of a later release
        return Outcome.UNTOLD, None
    if outcome not in _OF_SERVER:
        return Outcome.UNTOLD, None
    return outcome, reason if outcome is Outcome.SENT_LOCAL else None


def is_of_a_job(ended: JobEnded) -> bool:
    """Whether it is no reservation that came to nothing: its request goes on, or is refused."""
    return ended.began.keys() != {JobPhase.RESERVED}


class JobRecords:
    """The records of the latest requests.

    :param began: seconds since 1970 when the clock of the events was 0.
    :param now: that clock.
    :param takers: called with each entry.
    :param led_by: says which of several schedulers leads, as records have it.

    ``counts`` has how many requests ended in each way since the start, by outcome and reason.
    """

    def __init__(
        self,
        settings: RecordSettings,
        began: float,
        now: Callable[[], float],
        takers: Sequence[Callable[[Entry], None]] = (),
        led_by: Callable[[], tuple[str, int] | None] = lambda: None,
    ) -> None:
        self._led_by = led_by
        self.settings, self._began, self._now, self._takers = settings, began, now, takers
        self.counts: Counter[tuple[Outcome, Refusal | SentLocal | None]] = Counter()
        self._ring = Ring(settings.keep, self.now())
        self._strangers = Ring(min(settings.keep, MOST_STRANGERS), self.now())
        self._lost: dict[JobId, JobEnded] = {}
        self._returned: dict[JobId, JobEnded] = {}
        self._second, self._left = 0, 0
        self._key = secrets.token_bytes(16)

    def take_settings(self, settings: RecordSettings) -> None:
        """Keep as many records as these say, and make those that come as they say."""
        self.settings = settings
        self._ring.hold(settings.keep)
        self._strangers.hold(min(settings.keep, MOST_STRANGERS))

    def now(self) -> float:
        """Seconds since 1970, by the clock of the records."""
        return self._began + self._now()

    @property
    def since(self) -> float:
        """From when on all requests are remembered, but for those of strangers."""
        return self._ring.since

    def __call__(self, event: Event) -> None:
        """Make a record if an event ends a request."""
        if self._lost:
            self._give_up(event.at)
        match event:
            case JobEnded() if is_of_a_job(event):
                event = self._whole(event)
                if event.how is JobEnd.LOST:
                    self._lost[event.job_id] = event
                else:
                    self._ended(event)
            case JobAdopted(job_id=job_id, server_id=server_id) if self._is_lost(job_id, server_id):
                self._returned[job_id] = self._lost.pop(job_id)
            case LateSummary(job_id=job_id, server_id=server_id, summary=summary) if self._is_lost(job_id, server_id):
                if len(summary) <= MOST_BYTES:
                    lost = self._lost.pop(job_id)
                    self._ended(attrs.evolve(lost, at=event.at, how=JobEnd.COMPLETE, summary=summary))
            case RequestRefused():
                self._refused(event)

    def latest_first(self) -> list[Entry]:
        """All entries."""
        self._give_up(self._now())
        entries, strangers = self._ring.latest_first(), self._strangers.latest_first()
        return sorted(entries + strangers, key=lambda entry: -entry[ENDED]) if strangers else entries

    def added_since(self, mark: Mark) -> tuple[list[Entry], Mark]:
        """The entries since an earlier call, as far as they are kept, the oldest first; and what to call with next.

        :param mark: at first :data:`NOTHING`.
        """
        self._give_up(self._now())
        rings = self._ring, self._strangers
        found = [ring.latest(ring.added - before) for ring, before in zip(rings, mark, strict=True)]
        return sorted(chain(*found), key=lambda entry: entry[ENDED]), (self._ring.added, self._strangers.added)

    def ending_with(self, digits: str) -> list[Entry]:
        """The entries of jobs whose numbers end so; a whole number is one job's."""
        whole = self._ring.get(int(digits))
        return [whole] if whole else self._ring.ending_with(digits)

    def name_of(self, client: Party | None) -> str | None:
        """A client as records name it: its name or address, or a word for the latter that is good until a restart."""
        if client is None:
            return None
        if name := name_of(client):
            return name
        address = address_of(client)
        if self.settings.addresses:
            return address
        return f"client-{hmac.digest(self._key, address.encode(), hashlib.sha256).hex()[:8]}"

    def _is_lost(self, job_id: JobId, server_id: ServerId) -> bool:
        """Whether a job was taken for lost, and was this build server's."""
        lost = self._lost.get(job_id)
        return lost is not None and lost.server_id == server_id

    def _give_up(self, now: float) -> None:
        """Make the records of lost jobs of which nothing was told in time."""
        while self._lost and now - (first := next(iter(self._lost.values()))).at > LATE_SECS:
            del self._lost[first.job_id]
            self._ended(attrs.evolve(first, at=now))  # entries are in the order of their ends

    def _whole(self, event: JobEnded) -> JobEnded:
        """The end of a job that was taken for lost, and then named again, with what is known from before."""
        before = self._returned.pop(event.job_id, None)
        if before is None:
            return event
        began = {**before.began, **{phase: at for phase, at in event.began.items() if phase not in before.began}}
        return attrs.evolve(event, client=before.client, toolchain=before.toolchain, asked=before.asked, began=began)

    def _ended(self, event: JobEnded) -> None:
        outcome, reason = outcome_of(event)
        self.counts[outcome, reason] += 1
        began = iter(event.began.values())
        reserved = next(began)
        assigned = next(began, reserved)
        if event.client is None:  # it was adopted: these times are an earlier scheduler's
            reserved = assigned = event.asked
        self._add(
            entry_of(
                event.job_id,
                self._began + event.asked,
                self._began + event.at,
                self.name_of(event.client),
                str(event.server_id),
                event.toolchain,
                outcome,
                reason,
                wait_secs=reserved - event.asked,
                assign_secs=assigned - reserved,
                summary=event.summary if self.settings.names else _without_name(event.summary),
                led_by=self._led_by(),
            ),
            self._ring,
        )

    def _refused(self, event: RequestRefused) -> None:
        self.counts[Outcome.REFUSED, event.refusal] += 1
        is_stranger = "@" not in event.client
        if is_stranger and not self._may_note_stranger(int(event.at)):
            return
        self._add(
            entry_of(
                None,
                self._began + event.asked,
                self._began + event.at,
                self.name_of(event.client),
                None,
                event.toolchain,
                Outcome.REFUSED,
                event.refusal,
                detail=excerpt(event.detail, MOST_TEXT[-1]),
                wait_secs=event.at - event.asked,
                led_by=self._led_by(),
            ),
            self._strangers if is_stranger else self._ring,
        )

    def _may_note_stranger(self, second: int) -> bool:
        if second != self._second:
            self._second, self._left = second, STRANGERS_PER_SEC
        self._left -= 1
        return self._left >= 0

    def _add(self, entry: Entry, ring: Ring) -> None:
        ring.add(entry)
        for take in self._takers:
            take(entry)


def _without_name(summary: bytes) -> bytes:
    """A summary without the name of the output."""
    try:
        return summary and packed(attrs.evolve(unpacked(summary), output=""))
    except DecodeError:
        return b""
