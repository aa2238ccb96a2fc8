"""Which places a worker keeps open at its gateways: one budget of slots, whichever gateway has a job first.

A *place* is one request for a job. With each gateway, as many are open as slots are free; so a job never waits for one
gateway while another has none. When a job comes, the other gateways' places are too many, and are withdrawn. If two
jobs come for the last slot, the second is declined.

A slot is free again when its job has run. Answers on their way take none, up to as many as there are slots: so the next
job comes meanwhile, and answers that no gateway takes do not pile up.

Pure. What a place is to a gateway, and how it is asked, :mod:`sccachedist.worker.session` knows.
"""

import enum
from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs

G = TypeVar("G", bound=Hashable)


class PlaceState(enum.Enum):
    """How a place stands."""

    OPEN = "open"
    WITHDRAWN = "withdrawn"
    RUNNING = "running"
    ANSWERING = "answering"
    DECLINED = "declined"


@attrs.frozen
class GatewayPlace(Generic[G]):
    """One request for a job.

    :param number: no two of a gateway have the same.
    """

    gateway: G
    number: int


@attrs.define
class SlotBudget(Generic[G]):
    """The slots.

    :param most: how many jobs run at a time; ``spare``: how many for now, if these are fewer.
    :param closed: why no job is wanted; empty if jobs are.
    """

    most: int
    closed: str = ""
    spare: int | None = None
    _gateways: dict[G, int] = attrs.field(factory=dict, init=False)
    _places: dict[GatewayPlace[G], PlaceState] = attrs.field(factory=dict, init=False)

    @property
    def most_for_now(self) -> int:
        """How many jobs run at a time for now."""
        return self.most if self.spare is None else min(self.most, self.spare)

    @property
    def offered(self) -> int:
        """How many jobs at a time are wanted."""
        return 0 if self.closed else self.most_for_now

    @property
    def counts(self) -> Counter[PlaceState]:
        """How many places there are in each state."""
        return Counter(self._places.values())

    @property
    def free(self) -> int:
        """How many more jobs are wanted now."""
        counts = self.counts
        late = max(0, counts[PlaceState.ANSWERING] - self.most)
        return max(0, self.offered - counts[PlaceState.RUNNING] - late)

    @property
    def is_asking(self) -> bool:
        """Whether a place is open."""
        return PlaceState.OPEN in self._places.values()

    @property
    def is_idle(self) -> bool:
        """Whether no job is here."""
        return not {PlaceState.RUNNING, PlaceState.ANSWERING, PlaceState.DECLINED} & set(self._places.values())

    def is_open(self, place: GatewayPlace[G]) -> bool:
        """Whether a place waits for a job, and is not withdrawn."""
        return self._places.get(place) is PlaceState.OPEN

    def join(self, gateway: G) -> None:
        """Ask a gateway, too."""
        self._gateways[gateway] = 0

    def leave(self, gateway: G) -> None:
        """Ask it no more; its places are gone. No error if it was not asked."""
        self._gateways.pop(gateway, None)
        self._places = {place: state for place, state in self._places.items() if place.gateway != gateway}

    def numbers(self, gateway: G) -> tuple[int, ...]:
        """The numbers of all places of a gateway that have not ended."""
        return tuple(place.number for place in self._places if place.gateway == gateway)

    def last_number(self, gateway: G) -> int:
        """The highest number that a place of a gateway has had; 0 if there was none."""
        return self._gateways[gateway]

    def to_open(self) -> tuple[GatewayPlace[G], ...]:
        """The places that are to be opened now; they count as open from now on."""
        opened = (self._opened(gateway) for gateway in self._gateways for _ in range(self._wanted(gateway)))
        return tuple(opened)

    def to_open_at(self, gateway: G) -> GatewayPlace[G] | None:
        """One place at a gateway, if there is one that is to be opened now; it counts as open from now on."""
        return self._opened(gateway) if self._wanted(gateway) else None

    def _wanted(self, gateway: G) -> int:
        """How many more places a gateway is to have."""
        states = Counter(state for place, state in self._places.items() if place.gateway == gateway)
        asked = states[PlaceState.OPEN]
        room = self.most - asked - states[PlaceState.WITHDRAWN]  # a gateway lets no more be open
        return max(0, min(self.free - asked, room))

    def _opened(self, gateway: G) -> GatewayPlace[G]:
        self._gateways[gateway] += 1
        place = GatewayPlace(gateway, self._gateways[gateway])
        self._places[place] = PlaceState.OPEN
        return place

    def to_withdraw(self) -> tuple[GatewayPlace[G], ...]:
        """The places that are too many now, those that were opened last; they count as withdrawn from now on."""
        surplus = []
        for gateway in self._gateways:
            places = (place for place, state in self._places.items() if state is PlaceState.OPEN)
            surplus += [place for place in places if place.gateway == gateway][self.free :]
        self._places |= dict.fromkeys(surplus, PlaceState.WITHDRAWN)
        return tuple(surplus)

    def take(self, place: GatewayPlace[G]) -> bool:
        """Note that a job has come at a place, also at a withdrawn one; returns whether it has a slot."""
        is_good = self.free > 0
        self._places[place] = PlaceState.RUNNING if is_good else PlaceState.DECLINED
        return is_good

    def ran(self, place: GatewayPlace[G]) -> None:
        """Note that the job of a place has run, and its answer is on its way."""
        self._places[place] = PlaceState.ANSWERING

    def end(self, place: GatewayPlace[G]) -> None:
        """Forget a place. No error if its gateway has left."""
        self._places.pop(place, None)
