"""What is the pot builder's own: what it tells pot, in which order, and what it does when pot refuses.

There is no FreeBSD here: ``pot`` and ``jexec`` are :mod:`tests.support.fake_pot`, which refuses what the real one does.
"""

import re
import shutil
from collections.abc import AsyncIterator, Sequence

import attrs
import pytest

from sccachedist.builders import worker_builder
from sccachedist.builders.pot import pot_builder
from sccachedist.errors import BuildError
from tests.builders.farms import (
    LIMITS,
    SCRATCH_BYTES,
    TOOLCHAIN,
    Farm,
    async_fixture,
    in_reactor,
    make_pot_farm,
    the_reactor,
    until,
)
from tests.support.pots import PotHost

pytestmark = pytest.mark.functional

IMAGE = f"sccache-image-{TOOLCHAIN}-RUN"
CLONE_IMAGE = f"clone -p {IMAGE} -P sccache-template -i lo0|127.0.0.2"
NEW_TOOLCHAIN = [CLONE_IMAGE, f"snapshot -p {IMAGE}"]
NEW_SANDBOX = [f"clone -p BUILDER -P {IMAGE} -i lo0|127.0.0.2", "snapshot -p BUILDER", "start -p BUILDER"]
AFTER_A_JOB = ["stop -p BUILDER", "revert -p BUILDER", "start -p BUILDER"]


@async_fixture()
async def farm() -> AsyncIterator[Farm]:
    made = make_pot_farm(the_reactor())
    await made.builder.start()
    PotHost(made.place).commands()
    yield made
    await made.builder.stop()
    assert made.remains() == []
    shutil.rmtree(made.place)


def told(farm: Farm) -> list[str]:
    """What pot was told since the last time, but for what sweeps look at in the background.

    The names of clones are random, and so is what those of a run end with.
    """
    return [anonymous(line) for line in PotHost(farm.place).commands() if line != "ls -q"]


def anonymous(text: str) -> str:
    text = re.sub(r"(sccache-image-[0-9a-f]{64})-[0-9a-f]{12}", r"\1-RUN", text)
    return re.sub(r"sccache-builder-[0-9a-f-]{49}", "BUILDER", text)


@in_reactor
async def test_the_order_of_commands(farm: Farm) -> None:
    """A pot for each toolchain, a clone for each job at a time, which goes back to its snapshot after a job."""
    await farm.compile("true")
    assert told(farm) == [*NEW_TOOLCHAIN, *NEW_SANDBOX, *AFTER_A_JOB]
    await farm.compile("exit 1")
    assert told(farm) == AFTER_A_JOB
    await farm.builder.discard(TOOLCHAIN)
    assert told(farm) == ["destroy -F -p BUILDER", f"destroy -F -p {IMAGE}"]


@in_reactor
async def test_a_job_without_a_result(farm: Farm) -> None:
    """Nobody knows what it has done to its clone: that goes."""
    with pytest.raises(BuildError):
        await farm.compile("kill -9 $$")
    assert told(farm) == [*NEW_TOOLCHAIN, *NEW_SANDBOX, "stop -p BUILDER", "destroy -F -p BUILDER"]


@in_reactor
async def test_leftovers_are_removed_and_strangers_are_not(farm: Farm) -> None:
    """At the start pots with our names go, also those of the published build server; clones before their images."""
    host = PotHost(farm.place)
    await farm.compile("true")
    strangers = host.fs_root / "jails" / "a-stranger"
    shutil.copytree(host.fs_root / "jails" / "sccache-template", strangers)
    told(farm)
    await farm.builder.start()
    await until(lambda: farm.remains() == ["a-stranger"])
    destroyed = [line for line in told(farm) if line.startswith("destroy")]
    assert destroyed[:2] == ["destroy -F -p BUILDER", f"destroy -F -p {IMAGE}"]
    shutil.rmtree(strangers)


REFUSED: dict[str, tuple[Sequence[str], list[str]]] = {
    # what fails, and what is told until then
    "clone": (("clone",), [CLONE_IMAGE]),
    "snapshot": (("snapshot",), [*NEW_TOOLCHAIN, f"destroy -F -p {IMAGE}"]),
    "start": (("start",), [*NEW_TOOLCHAIN, *NEW_SANDBOX, "destroy -F -p BUILDER"]),
    "stop": (("stop",), [*NEW_TOOLCHAIN, *NEW_SANDBOX, "stop -p BUILDER", "destroy -F -p BUILDER"]),
    "stop and destroy": (
        ("stop", "destroy"),
        [*NEW_TOOLCHAIN, *NEW_SANDBOX, "stop -p BUILDER", "destroy -F -p BUILDER"],
    ),
}


@pytest.mark.parametrize("what", REFUSED)
@in_reactor
async def test_a_command_that_fails(farm: Farm, what: str) -> None:
    """It costs the job, whatever can be is removed, and later jobs are as good as ever."""
    verbs, expected = REFUSED[what]
    PotHost(farm.place).break_(*verbs)
    with pytest.raises(BuildError, match=f"pot {verbs[0]} failed: .*is broken"):
        await farm.compile("true")
    assert told(farm) == expected
    PotHost(farm.place).break_()
    assert (await farm.compile("true")).output.code == 0


@in_reactor
async def test_a_clone_that_cannot_be_removed(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is removed as soon as it can be; a removal that fails once more is no end."""
    monkeypatch.setattr(worker_builder, "RETRY_SECS", 0.1)
    PotHost(farm.place).break_("stop", "destroy")
    with pytest.raises(BuildError):
        await farm.compile("true")
    assert "BUILDER" in map(anonymous, farm.remains())
    told(farm)
    await until(lambda: "destroy -F -p BUILDER" in told(farm))
    PotHost(farm.place).break_()
    await until(lambda: "BUILDER" not in map(anonymous, farm.remains()))
    assert (await farm.compile("true")).output.code == 0


@in_reactor
async def test_a_clone_that_cannot_be_cleaned(farm: Farm) -> None:
    """The result is as good as any; the next job gets another clone."""
    PotHost(farm.place).break_("revert")
    assert (await farm.compile("true")).output.code == 0
    assert told(farm)[-2:] == ["revert -p BUILDER", "destroy -F -p BUILDER"]
    PotHost(farm.place).break_()
    assert (await farm.compile("true")).output.code == 0
    assert told(farm) == [*NEW_SANDBOX, *AFTER_A_JOB]


@in_reactor
async def test_a_pot_that_says_nothing(farm: Farm) -> None:
    """A builder that cannot tell what is there does not start, and says why."""
    PotHost(farm.place).break_("ls")
    with pytest.raises(BuildError, match=r"the sandbox does not work: pot ls failed: .*is broken"):
        await farm.builder.start()
    PotHost(farm.place).break_()


@in_reactor
async def test_leftovers_that_stay(farm: Farm) -> None:
    """They are in no job's way, and go at the next start that can remove them."""
    await farm.compile("true")
    left = set(farm.remains())
    PotHost(farm.place).break_("destroy")
    await farm.builder.start()
    assert (await farm.compile("true")).output.code == 0
    assert left < set(farm.remains())
    PotHost(farm.place).break_()
    await farm.builder.start()
    await until(lambda: farm.remains() == [])


@in_reactor
async def test_a_pot_that_somebody_stops(farm: Farm) -> None:
    """That there is no jail is not a compile error."""
    host = PotHost(farm.place)
    await farm.compile("true")
    (name,) = (name for name in farm.remains() if anonymous(name) != IMAGE)
    conf = host.fs_root / "jails" / name / "conf"
    conf.write_text(conf.read_text().replace("yes", "no"))
    with pytest.raises(BuildError, match=f'jexec: jail "{name}" not found'):
        await farm.compile("true")
    assert (await farm.compile("true")).output.code == 0


@in_reactor
async def test_what_is_missing_is_named(farm: Farm) -> None:
    """No pot, no jexec, no template: the self-test says what would mend it."""
    host = PotHost(farm.place)
    (farm.place / "half").mkdir()
    shutil.copy(farm.place / "bin" / "pot", farm.place / "half")
    only_pot = {"PATH": f"{farm.place}/half"}
    cases = [
        (host.settings, {"PATH": "/nowhere"}, "there is no pot: install pot, or correct builder.pot_cmd"),
        (host.settings, only_pot, "there is no jexec: this builder needs FreeBSD"),
        (attrs.evolve(host.settings, clone_from="x"), host.environment, "pot clone failed: ###>  x is not a pot"),
    ]
    for settings, environment, complaint in cases:
        builder = pot_builder(the_reactor(), settings, LIMITS, SCRATCH_BYTES, 3, environment)
        with pytest.raises(BuildError, match=complaint):
            await builder.start()
        await builder.stop()
