"""All that servers tell and clients ask: a job goes where it suits, exactly if a server that suits has room."""

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sccachedist.errors import NoCapacity
from sccachedist.outcomes import Refusal
from sccachedist.scheduler.core import Reservation
from sccachedist.scheduler.kinds import ANYWHERE, ServerKind
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability
from sccachedist.wire.machines import ANY, UNKNOWN
from tests.scheduler.farms import CLANG, GCC, A, B, C
from tests.scheduler.test_placement import RUSTC, Farm

MACHINES, LABELS, TOOLCHAINS = (62, 183), ("fast", "safe"), (GCC, CLANG, RUSTC)
SLOTS = 3

some_labels = st.frozensets(st.sampled_from(LABELS))
abilities = st.none() | st.builds(
    Abilities,
    machines=st.frozensets(st.sampled_from(MACHINES)).map(tuple),
    labels=some_labels.map(tuple),
)
held = st.dictionaries(st.sampled_from(TOOLCHAINS), st.sampled_from((*MACHINES, UNKNOWN, ANY)))


@attrs.define
class Known:
    """What a server has told last, and how many of its slots are taken."""

    kind: ServerKind
    is_open: bool
    taken: int = 0


class Placing(RuleBasedStateMachine):
    """A farm of up to three build servers."""

    def __init__(self) -> None:
        super().__init__()
        self.farm = Farm()
        self.servers: dict[ServerId, Known] = {}
        self.jobs: list[Reservation] = []

    @rule(server=st.sampled_from((A, B, C)), able=abilities, toolchains=held, is_open=st.booleans() | st.just(True))
    def beat(self, server: ServerId, able: Abilities | None, toolchains: dict[str, int], is_open: bool) -> None:
        """A server tells another kind, other toolchains, or that it drains."""
        availability = Availability.OPEN if is_open else Availability.DRAINING
        self.farm.beat(server, able, toolchains.items(), availability)
        told = able or Abilities()
        known = self.servers.setdefault(server, Known(ServerKind(), True))
        known.kind, known.is_open = ServerKind(frozenset(told.machines), frozenset(told.labels)), is_open

    @rule(toolchain=st.sampled_from(TOOLCHAINS), labels=some_labels)
    def ask(self, toolchain: str, labels: frozenset[str]) -> None:
        """A client asks for a slot."""
        placement = self.farm.core.placement
        need = placement.need(toolchain, labels)
        suiting = [known for known in self.servers.values() if known.kind.suits(need) and known.is_open]
        has_room = any(known.taken < SLOTS for known in suiting)
        assert placement.has_servers(need) is bool(suiting)
        assert placement.has_room(need) is has_room
        if not has_room:
            with pytest.raises(NoCapacity) as caught:
                self.farm.core.reserve(0.0, toolchain=toolchain, labels=labels)
            assert (caught.value.refusal is Refusal.NO_SLOT) is bool(suiting)
            return
        reserved = self.farm.core.reserve(0.0, toolchain=toolchain, labels=labels)
        chosen = self.servers[reserved.server_id]
        assert chosen in suiting
        assert chosen.taken < SLOTS
        chosen.taken += 1
        self.jobs.append(reserved)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A job is over."""
        reserved = self.jobs.pop(data.draw(st.integers(0, len(self.jobs) - 1)))
        self.servers[reserved.server_id].taken -= 1
        self.farm.core.release(reserved, 0.0, failed=False)

    @invariant()
    def machines_are_those_that_were_told(self) -> None:
        """A toolchain that no server has needs no machine."""
        held_somewhere = {view.archive_id for view in self.farm.core.views.toolchains()}
        for toolchain in TOOLCHAINS:
            assert toolchain in held_somewhere or self.farm.core.placement.need(toolchain) is ANYWHERE


TestPlacing = Placing.TestCase
TestPlacing.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
