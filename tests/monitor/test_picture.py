"""Hosts and jobs, as monitors see them."""

from collections.abc import Callable
from functools import partial

import pytest

from sccachedist.monitor import picture as picture_module
from sccachedist.monitor.messages import MOST_NUMBER, JobDone
from sccachedist.monitor.picture import Picture
from tests.monitor.shown import Shown

A, B, ANN = "10.0.0.1:10501", "10.0.0.2:10501", "10.0.1.1"
GOOD, BAD = (partial(JobDone, exit_status=status) for status in (0, 1))
#: As hosts are called that have no other name.
A_NAME, B_NAME, ANN_NAME = "10-0-0-1:10501", "10-0-0-2:10501", "10-0-1-1"


@pytest.fixture
def picture() -> Picture:
    picture = Picture()
    picture.server_is(A, "10.0.0.1", 4, 250)
    return picture


@pytest.fixture
def shown() -> Shown:
    return Shown()


def begin(picture: Picture, key: int, client: str = ANN, server: str = A, name: str = "a.o") -> None:
    picture.job_begins(key, name, 0, client, client, server, 1000.5)


def test_a_job(picture: Picture, shown: Shown) -> None:
    """Its server and its client are told of before it, and its end after it."""
    begin(picture, 10**20)
    shown.take(picture.take())
    assert shown.names == {A_NAME, ANN_NAME}
    assert shown.running == {1: ("a.o", ANN_NAME, A_NAME)}
    picture.job_ends(10**20, GOOD)
    shown.take(picture.take())
    assert (shown.running, shown.ended) == ({}, [("a.o", ANN_NAME, A_NAME, 0)])


def test_hosts(picture: Picture, shown: Shown) -> None:
    """A build server has slots and a load, a client takes no jobs."""
    begin(picture, 1)
    shown.take(picture.take())
    assert shown.host(A_NAME) == {
        "Name": A_NAME, "IP": "10.0.0.1", "MaxJobs": "4", "NoRemote": "false", "Load": "250", "Platform": "farm",
        "Version": "37",
    }  # fmt: skip
    assert shown.host(ANN_NAME) == {
        "Name": ANN_NAME, "IP": ANN, "MaxJobs": "0", "NoRemote": "true", "Platform": "farm", "Version": "37"
    }  # fmt: skip


def test_a_server_that_tells_of_its_host(picture: Picture, shown: Shown) -> None:
    """It is shown with its name, and with its machine."""
    picture.server_is(A, "10.0.0.1", 4, 250, "build1:10501", "aarch64")
    shown.take(picture.take())
    assert shown.names == {"build1:10501"}
    assert shown.host("build1:10501")["Platform"] == "aarch64"


def test_only_changes_are_told(picture: Picture, shown: Shown) -> None:
    """A build server that is as it was is not told of again."""
    shown.take(picture.take())
    picture.server_is(A, "10.0.0.1", 4, 250)
    assert picture.take() == b""
    picture.server_is(A, "10.0.0.1", 4, 500)
    shown.take(picture.take())
    assert shown.host(A_NAME)["Load"] == "500"


def test_one_that_comes_late(picture: Picture, shown: Shown) -> None:
    """It is told of all hosts and of the jobs that run."""
    for key in range(3):
        begin(picture, key)
    picture.job_ends(0, GOOD)
    picture.take()
    shown.take(picture.whole())
    assert (shown.names, len(shown.running)) == ({A_NAME, ANN_NAME}, 2)
    picture.job_ends(1, BAD)
    shown.take(picture.take())
    assert shown.ended == [("a.o", ANN_NAME, A_NAME, 1)]


def test_a_server_that_has_gone(picture: Picture, shown: Shown) -> None:
    """Its jobs have ended, its number is the same when it comes back, and its jobs' late ends are nothing."""
    picture.server_is(B, "10.0.0.2", 2, 0)
    begin(picture, 1)
    begin(picture, 2, server=B)
    picture.server_gone(A)
    picture.job_ends(1, GOOD)
    shown.take(picture.take())
    assert (shown.names, [status for *_, status in shown.ended]) == ({B_NAME, ANN_NAME}, [1])
    begin(picture, 3)
    picture.server_gone(A)
    assert picture.take() == b""
    before = set(shown.hosts)
    picture.server_is(A, "10.0.0.1", 4, 0)
    shown.take(picture.take())
    assert set(shown.hosts) - before == {1}


def test_a_job_is_told_once(picture: Picture, shown: Shown) -> None:
    """Also if it is seen twice; one at a build server that is not known is not shown."""
    begin(picture, 1)
    begin(picture, 1)
    begin(picture, 2, server=B)
    shown.take(picture.take())
    assert len(shown.running) == 1
    picture.job_ends(2, GOOD)
    assert picture.take() == b""


def test_idle_clients(picture: Picture, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are still shown, and then the one that has been idle longest goes. A busy one stays."""
    monkeypatch.setattr(picture_module, "MOST_IDLE_CLIENTS", 2)
    begin(picture, 1, "busy")
    for key, client in enumerate(("a", "b", "a", "c"), 2):
        begin(picture, key, client)
        begin(picture, -key, client)
        picture.job_ends(-key, GOOD)
        picture.job_ends(key, GOOD)
    picture.local_job("d", "", "refused: no_slot", 1.0)
    picture.local_job("busy", "", "refused: no_slot", 1.0)
    shown.take(picture.take())
    assert shown.names == {A_NAME, "busy", "c", "d"}
    assert shown.local == [("d", "refused: no_slot"), ("busy", "refused: no_slot")]


def test_numbers_of_hosts(picture: Picture, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are remembered of some that have gone; and they stay apart."""
    monkeypatch.setattr(picture_module, "MOST_NUMBERS_KEPT", 1)
    for address in ("a", "b", "c"):
        picture.server_is(address, "", 1, 0)
        picture.server_gone(address)
    picture.server_is("c", "", 1, 0)
    picture.server_is("b", "", 1, 0)
    shown.take(picture.take())
    assert set(shown.hosts) == {1, 4, 5}


def test_numbers_fit_into_32_bits(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the largest comes the first again."""
    picture = Picture()
    picture._last_host = picture._last_job = MOST_NUMBER - 1
    picture.server_is(A, "10.0.0.1", 4, 0)
    for key in (1, 2):
        begin(picture, key)
    shown.take(picture.take())
    assert (set(shown.running), set(shown.hosts)) == ({MOST_NUMBER, 1}, {MOST_NUMBER, 1})


@pytest.mark.parametrize("draw", [lambda name: (name, ANN), lambda name: ("a.o", name)])
@pytest.mark.parametrize("name", ["a\nName:b", "a\0b", "\x1b[2J", "\u202egpj.exe", "<script>", "x" * 4096, "\udcff"])
def test_names_of_strangers(picture: Picture, shown: Shown, name: str, draw: Callable[[str], tuple[str, str]]) -> None:
    """No name makes a second line, ends a text early or moves a cursor."""
    file, client = draw(name)
    begin(picture, 1, client, name=file)
    shown.take(picture.take())
    ((told, whose, _),) = shown.running.values()
    assert (told + whose).isprintable()
    assert len(shown.hosts) == 2
