"""Which build servers a job may go to, by machines and labels, and why it goes to none."""

from collections.abc import Iterable

import attrs
import pytest

from sccachedist.errors import NoCapacity
from sccachedist.outcomes import Refusal
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.scheduler.kinds import ANYWHERE, PLAIN, Need, ServerKind, kind_of
from sccachedist.scheduler.scouts import SCOUT_SECS
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, Health, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.machines import ANY, UNKNOWN
from tests.scheduler.farms import CLANG, FIRST_JOB, GCC, A, B, C, heartbeat

X86, I686, ARM = 62, 3, 183
ON_X86, ON_ARM = Abilities(machines=(X86, I686)), Abilities(machines=(ARM,))
RUSTC = "0b" * 32
FAST, SAFE = frozenset({"fast"}), frozenset({"safe"})


class Farm:
    """Build servers of ours at a scheduler, each with two CPUs, and so with three slots."""

    def __init__(self, **servers: Abilities | None) -> None:
        self.core = SchedulerCore(FIRST_JOB)
        self._numbers = {A: 0, B: 0, C: 0}
        for name, abilities in servers.items():
            self.beat({"a": A, "b": B, "c": C}[name], abilities)

    def beat(
        self,
        server: ServerId,
        abilities: Abilities | None,
        toolchains: Iterable[tuple[str, int]] = (),
        availability: Availability = Availability.OPEN,
    ) -> None:
        """A heartbeat that tells all toolchains with their machines."""
        self._numbers[server] += 1
        held = dict(toolchains)
        able = None if abilities is None else attrs.evolve(abilities, built_for=tuple(held.values()))
        report = ServerReport(
            self._numbers[server], 5, availability, (), tuple(held), health=Health(), host=HostFacts(), abilities=able
        )
        self.core.heartbeat(server, heartbeat(2), 0.0, report)

    def placed(self, toolchain: str, labels: frozenset[str] = frozenset()) -> ServerId:
        """Where the next job goes."""
        return self.core.reserve(0.0, toolchain=toolchain, labels=labels).server_id

    def refusal(self, toolchain: str, labels: frozenset[str] = frozenset()) -> tuple[Refusal, str]:
        """Why the next job goes nowhere."""
        with pytest.raises(NoCapacity) as caught:
            self.core.reserve(0.0, toolchain=toolchain, labels=labels)
        return caught.value.refusal, str(caught.value)


@pytest.mark.parametrize(
    ("need", "suits"),
    [
        (ANYWHERE, True),
        (Need(X86), True),
        (Need(I686), True),
        (Need(ARM), False),
        (Need(ANY), True),
        (Need(X86, FAST), True),
        (Need(X86, FAST | SAFE), False),
        (Need(labels=SAFE), False),
    ],
)
def test_kinds(need: Need, suits: bool) -> None:
    """A server suits a job if it runs its toolchain's programs and has all labels of its client."""
    assert ServerKind(frozenset((X86, I686)), frozenset(("fast", "gpu"))).suits(need) is suits
    assert PLAIN.suits(need) is not bool(need.labels)


def test_what_servers_tell() -> None:
    """An earlier release tells its host's machine, a published server nothing: so it may be of any."""
    report = ServerReport(1, 5, Availability.OPEN, (), ())
    assert kind_of(None) == kind_of(report) == kind_of(attrs.evolve(report, host=HostFacts())) == PLAIN
    assert kind_of(attrs.evolve(report, host=HostFacts(machine=X86))) == ServerKind(frozenset((X86, I686)))
    able = Abilities(machines=(ARM, X86), labels=("fast", "fast"))
    assert kind_of(attrs.evolve(report, host=HostFacts(machine=X86), abilities=able)) == ServerKind(
        frozenset((X86, ARM)), FAST
    )


def test_each_to_its_machine() -> None:
    """Jobs of a toolchain go to servers of its machine alone, as many as have room there."""
    farm = Farm(a=ON_X86, b=ON_ARM)
    farm.beat(A, ON_X86, [(GCC, X86)])
    farm.beat(B, ON_ARM, [(CLANG, ARM)])
    assert [farm.placed(CLANG) for _ in range(3)] == [B] * 3
    assert farm.refusal(CLANG)[0] is Refusal.NO_SLOT
    assert [farm.placed(GCC) for _ in range(3)] == [A] * 3
    assert farm.refusal(GCC)[0] is Refusal.NO_SLOT


def test_learned_where_it_does_not_run() -> None:
    """A server that has a toolchain of another machine says so: the next job goes to one that runs it."""
    farm = Farm(a=ON_X86, b=ON_ARM, c=ON_X86)
    assert farm.placed(CLANG) != B
    farm.beat(A, ON_X86, [(CLANG, ARM)])
    assert farm.placed(CLANG) == B


def test_nowhere() -> None:
    """A request for a machine or a label that no server has is refused at once, with a word of its own."""
    farm = Farm(a=attrs.evolve(ON_X86, labels=("fast",)), b=attrs.evolve(ON_X86, labels=("safe",)))
    farm.beat(A, attrs.evolve(ON_X86, labels=("fast",)), [(CLANG, ARM), (GCC, X86)])
    assert farm.refusal(CLANG) == (Refusal.NO_MACHINE, "no build server of machine aarch64 takes jobs")
    both = (Refusal.NO_LABEL, "no build server with label fast and safe takes jobs")
    assert farm.refusal(GCC, FAST | SAFE) == farm.refusal(CLANG, FAST | SAFE) == both
    assert farm.refusal(CLANG, FAST) == (
        Refusal.NO_MACHINE,
        "no build server of machine aarch64 with label fast takes jobs",
    )
    assert farm.placed(GCC, SAFE) == B
    farm.beat(B, ON_X86, availability=Availability.DRAINING)
    farm.beat(A, ON_X86, availability=Availability.DRAINING)
    assert farm.refusal(RUSTC)[0] is Refusal.NO_SERVERS


def test_the_only_one_drains() -> None:
    """One that takes no jobs is none of its machine; when another comes, it has the jobs."""
    farm = Farm(a=ON_X86, b=ON_ARM)
    farm.beat(B, ON_ARM, [(CLANG, ARM)], Availability.DRAINING)
    assert farm.refusal(CLANG)[0] is Refusal.NO_MACHINE
    assert not farm.core.placement.has_room(Need(ARM))
    farm.beat(C, ON_ARM)
    assert farm.placed(CLANG) == C


def test_labels_of_clients() -> None:
    """Jobs of a client with labels go to servers that have all of them; other clients' jobs go anywhere."""
    farm = Farm(a=Abilities(labels=("fast",)), b=Abilities(labels=("fast", "safe")))
    assert [farm.placed(GCC, FAST | SAFE) for _ in range(3)] == [B] * 3
    assert farm.refusal(GCC, SAFE)[0] is Refusal.NO_SLOT
    assert farm.placed(GCC, FAST) == A
    assert farm.placed(GCC) == A


def test_not_looked_at() -> None:
    """A toolchain that no server has looked at goes where most servers are, as long as one of those is idle."""
    farm = Farm(a=ON_ARM, b=ON_X86, c=ON_X86)
    assert {farm.placed(GCC) for _ in range(4)} == {B, C}
    assert farm.placed(GCC) == A


def test_a_scout() -> None:
    """The first job of a toolchain finds out which machine it needs, where there are several."""
    farm = Farm(a=ON_X86, b=ON_X86)
    farm.placed(GCC)
    assert not farm.core.placement.is_looked_at(GCC, 0.0)
    farm.beat(C, ON_ARM)
    farm.placed(CLANG)
    placement = farm.core.placement
    assert (placement.is_looked_at(CLANG, 0.0), placement.next_looked_at(0.0)) == (True, SCOUT_SECS)
    farm.beat(A, ON_X86, [(CLANG, ARM)])
    assert not placement.is_looked_at(CLANG, 0.0)
    assert farm.placed(CLANG) == C


def test_looked_at_in_vain() -> None:
    """A toolchain that needs no certain machine goes anywhere."""
    farm = Farm(a=ON_ARM, b=ON_X86, c=ON_X86)
    farm.beat(C, ON_X86, [(GCC, ANY)])
    assert {farm.placed(GCC) for _ in range(6)} == {A, B, C}


def test_they_do_not_agree() -> None:
    """If a server says another machine of the same toolchain than others do, none of them is believed."""
    farm = Farm(a=ON_X86, b=ON_ARM)
    farm.beat(A, ON_X86, [(GCC, X86)])
    assert farm.core.placement.need(GCC) == Need(X86)
    farm.beat(B, ON_ARM, [(GCC, UNKNOWN)])
    assert farm.core.placement.need(GCC) == Need(X86)
    farm.beat(B, ON_ARM, [(GCC, ARM)])
    assert farm.core.placement.need(GCC) == Need(ANY)
    farm.beat(A, ON_X86)
    farm.beat(B, ON_ARM)
    assert farm.core.placement.need(GCC) is ANYWHERE
    farm.beat(A, ON_X86, [(GCC, X86)])
    assert farm.core.placement.need(GCC) == Need(X86)


def test_one_that_claims_all_machines() -> None:
    """It gets jobs of each, as an emulator may run them, and the others of their own beside it."""
    farm = Farm(a=Abilities(machines=(X86, ARM)), b=ON_X86)
    farm.beat(A, Abilities(machines=(X86, ARM)), [(CLANG, ARM), (GCC, X86)])
    assert [farm.placed(CLANG) for _ in range(3)] == [A] * 3
    assert farm.placed(GCC) == B


def test_published_ones() -> None:
    """One that does not tell its machine gets jobs of each."""
    farm = Farm(a=None, b=ON_X86)
    farm.beat(B, ON_X86, [(CLANG, ARM)])
    assert farm.placed(CLANG) == A
    assert not farm.core.placement.has_servers(Need(labels=FAST))


def test_backed_off() -> None:
    """A server of the right machine that is backed off gets the job only if no other of that machine accepts jobs."""
    farm = Farm(a=ON_X86, b=ON_ARM, c=ON_ARM)
    farm.beat(B, ON_ARM, [(CLANG, ARM)])
    for server in (B, C):
        reserved = next(
            each for each in (farm.core.reserve(0.0, toolchain=CLANG) for _ in range(6)) if each.server_id == server
        )
        farm.core.release(reserved, 0.0, failed=True)
    need = Need(ARM)
    assert not farm.core.placement.has_better_than((), need)
    assert farm.core.placement.has_better_than((), Need(X86))
    assert farm.core.placement.has_room(need)
    assert farm.core.placement.has_room(Need(X86))
    assert farm.placed(CLANG) in (B, C)


def test_another_configuration() -> None:
    """A server that tells other machines or labels than before is one of the other kind from then on."""
    farm = Farm(a=ON_X86)
    assert not farm.core.placement.has_servers(Need(ARM))
    farm.beat(A, Abilities(machines=(ARM,), labels=("fast",)))
    assert farm.core.placement.has_servers(Need(ARM, FAST))
    assert not farm.core.placement.has_servers(Need(X86))


def test_a_holder_that_does_not_run_it() -> None:
    """Having a toolchain is no reason to get its jobs for a server that does not run it."""
    farm = Farm(a=ON_X86, b=ON_ARM, c=ON_ARM)
    farm.beat(A, ON_X86, [(CLANG, ARM)])
    farm.beat(C, ON_ARM, [(CLANG, ARM)])
    assert farm.placed(CLANG) == C
