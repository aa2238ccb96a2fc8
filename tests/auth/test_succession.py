"""Secrets that change while others still show the ones before them."""

import attrs
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.auth.succession import Secrets, keys, texts

GRACE = 60.0


@attrs.define
class Hands:
    """A clock."""

    now: float = 1000.0

    def seconds(self) -> float:
        return self.now


def secrets_at(clock: Hands, current: str) -> Secrets[str]:
    return Secrets(current, None, lambda _: None, clock.seconds)


def test_configured() -> None:
    """The one that is to be shown, and one before it if the configuration has it."""
    assert Secrets("new").others() == ()
    assert Secrets("new", "old").others() == ("old",)


def test_grace() -> None:
    """What the configuration had is good for a while after it has gone from there."""
    clock = Hands()
    secrets = secrets_at(clock, "first")
    secrets.replace("second", None, GRACE)
    assert (secrets.current, secrets.others()) == ("second", ("first",))
    clock.now += GRACE - 1
    secrets.replace("third", "second", GRACE)
    assert (secrets.current, secrets.others()) == ("third", ("second", "first", "second"))
    clock.now += 1
    assert secrets.others() == ("second", "second")
    clock.now += GRACE
    assert secrets.others() == ("second",)
    secrets.replace("third", None, GRACE)
    clock.now += GRACE
    assert secrets.others() == ()


def test_back_again() -> None:
    """One that comes back and goes again has its while again."""
    clock = Hands()
    secrets = secrets_at(clock, "a")
    secrets.replace("b", None, GRACE)
    secrets.replace("a", None, GRACE)
    clock.now += GRACE - 1
    secrets.replace("c", None, GRACE)
    clock.now += 2
    assert secrets.others() == ("a",)


NAMES = st.sampled_from("abcd")


@given(st.lists(st.tuples(NAMES, st.none() | NAMES, st.floats(0, 2 * GRACE)), max_size=12))
def test_any_order(steps: list[tuple[str, str | None, float]]) -> None:
    """However the configuration changes: good is what it has, and what it had less than the while ago; nothing else."""
    clock = Hands()
    secrets = secrets_at(clock, "start")
    had: dict[str, float] = {}
    configured = {"start"}
    for current, previous, pause in steps:
        had |= dict.fromkeys(configured, clock.now)
        secrets.replace(current, previous, GRACE)
        configured = {current} | ({previous} if previous is not None else set())
        clock.now += pause
        lately = {secret for secret, gone in had.items() if clock.now < gone + GRACE}
        assert {secrets.current, *secrets.others()} == configured | lately


def test_secret() -> None:
    """What is configured, or was, cannot get into a log."""
    secrets = Secrets("hunter2", "hunter1")
    secrets.replace("hunter3", "hunter2", GRACE)
    assert "hunter" not in repr(secrets)


def test_one_alone() -> None:
    """A secret without another one is written as it is."""
    assert texts("new") == Secrets("new")
    assert keys(b"new") == Secrets(b"new")
    both = Secrets("new", "old")
    assert texts(both) is both
    assert keys(keys(b"new")).others() == ()
