"""Since when a scheduler has led or followed, and how often it has begun to lead. Pure: an observer of its election."""

from collections.abc import Callable

from sccachedist.cluster.leadership import Election, Leadership, Leading


class Tenure:
    """How one scheduler stands.

    :param url: by which the others know it; None if there are no others.
    :param now: the time, in seconds by a clock that only grows.

    ``terms`` says how often it has begun to lead.
    """

    def __init__(self, election: Election, url: str | None, now: Callable[[], float]) -> None:
        self._url, self._now = url, now
        self._last = election.current
        self._since = now()
        self.terms = int(self.leads)
        election.observe(self._changed)

    @property
    def leads(self) -> bool:
        """Whether it leads."""
        return isinstance(self._last, Leading)

    @property
    def number(self) -> int | None:
        """The number of its term; None if it does not lead."""
        return self._last.number if isinstance(self._last, Leading) else None

    @property
    def secs(self) -> float:
        """For how long it has led by this number, or not led."""
        return self._now() - self._since

    @property
    def led_by(self) -> tuple[str, int] | None:
        """Its URL and the number of its term; None if it does not lead, or is the only one."""
        number = self.number
        return None if self._url is None or number is None else (self._url, number)

    def _changed(self, leadership: Leadership) -> None:
        last, self._last = self._last, leadership
        if isinstance(leadership, Leading):
            if leadership != last:
                self.terms += 1
                self._since = self._now()
        elif isinstance(last, Leading):
            self._since = self._now()
