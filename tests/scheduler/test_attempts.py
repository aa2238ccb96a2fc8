"""How often one may try to sign in."""

from sccachedist.scheduler.attempts import ATTEMPTS_SECS, MOST_ATTEMPTS, MOST_NETWORKS, Attempts


def test_so_many_a_minute() -> None:
    """Then one has to wait; others do not."""
    attempts = Attempts()
    assert [attempts.begin("192.0.2.1", 5.0 + number) for number in range(MOST_ATTEMPTS)] == [0.0] * MOST_ATTEMPTS
    assert attempts.begin("192.0.2.1", 20.0) == ATTEMPTS_SECS - 15.0
    assert attempts.begin("192.0.2.2", 20.0) == 0.0
    assert attempts.begin("192.0.2.1", 5.0 + ATTEMPTS_SECS) == 0.0


def test_several_schedulers() -> None:
    """All together let so many through, and each one at least."""
    for schedulers, most in ((2, MOST_ATTEMPTS // 2), (3 * MOST_ATTEMPTS, 1)):
        attempts = Attempts(schedulers)
        assert [attempts.begin("192.0.2.1", 5.0) > 0 for _ in range(most + 1)] == [False] * most + [True]


def test_what_was_no_guess() -> None:
    """One that succeeds is not counted."""
    attempts = Attempts()
    for _ in range(3 * MOST_ATTEMPTS):
        assert attempts.begin("192.0.2.1", 5.0) == 0.0
        attempts.forget("192.0.2.1")
    for _ in range(MOST_ATTEMPTS):
        attempts.begin("192.0.2.1", 5.0)
    attempts.forget("192.0.2.1")
    assert [attempts.begin("192.0.2.1", 5.0) > 0 for _ in range(2)] == [False, True]
    attempts.forget("192.0.2.3")


def test_many_networks() -> None:
    """They take a bounded memory."""
    attempts = Attempts()
    for number in range(2 * MOST_NETWORKS):
        attempts.begin(f"network {number}", float(number))
    assert len(attempts._counts) == MOST_NETWORKS
