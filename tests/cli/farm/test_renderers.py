"""What the commands show of documents: golden texts, and names that strangers chose."""

import copy
import csv
import re
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from sccachedist.cli.farm import clients, job, jobs, servers, status, toolchains, usage, why
from sccachedist.cli.farm.screen import Screen, width_of
from sccachedist.outcomes import Outcome, Refusal, SentLocal, Suspicion
from sccachedist.printable import printable
from sccachedist.records.documents import JobDocument, ServersDocument
from sccachedist.records.usage import usage_of
from tests.cli.farm import documents as made
from tests.cli.farm.golden import FOLDER, RENDERERS, SCREENS, shown
from tests.records.rows import job_row, refused_row

#: What a program may write to colour a text, and no stranger may.
COLOUR = re.compile(r"\x1b\[[0-9]+m")

each_screen = pytest.mark.parametrize("name", SCREENS)


@each_screen
def test_golden(name: str) -> None:
    """Nothing of what is printed changes unseen: ``python -m tests.cli.farm.golden`` writes it again."""
    assert shown(SCREENS[name]) == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


@each_screen
def test_nothing_is_wider_than_the_terminal(name: str) -> None:
    """Lines are cut, and blanks at their end are left out."""
    screen = SCREENS[name]
    lines = COLOUR.sub("", shown(screen)).splitlines()
    if screen.width:
        assert [line for line in lines if width_of(line) > screen.width] == []
    assert [line for line in lines if line != line.rstrip()] == []
    assert screen.unicode or shown(screen).isascii()
    assert screen.colour is bool(COLOUR.search(shown(screen)))


@pytest.mark.parametrize("width", range(14, 60, 7))
def test_a_narrow_terminal(width: int) -> None:
    """However narrow it is."""
    for render in RENDERERS.values():
        for line in render(Screen(width, now=made.NOW)).splitlines():
            assert width_of(line) <= width


def changed(document: Any, **keys: Any) -> Any:
    """A document with other values."""
    return {**copy.deepcopy(document), **keys}


def test_only_what_a_farm_has() -> None:
    """Where no gateway has workers and no build server is a published one, neither is named."""
    text = status.render(changed(made.STATUS, workers=0, published=0), SCREENS["pipe"])
    assert "of gateways" not in text
    assert "published program" not in text


def test_one_of_a_thing() -> None:
    """One worker is not many workers, nor one CPU many CPUs; of none there are many."""
    text = status.render(changed(made.STATUS, workers=1, cpus=1), SCREENS["pipe"])
    assert "1 worker of gateways" in text
    assert "on 1 CPU\n" in text
    for live, said in ((0, "(0 workers)"), (1, "(1 worker)"), (2, "(2 workers)")):
        rows = [changed(row, workers={"live": live, "cpus": 1}) for row in made.SERVERS["servers"]]
        assert said in servers.render(changed(made.SERVERS, servers=rows), SCREENS["pipe"])


def hostile(value: Any) -> Any:
    """A document in which each name is a stranger's."""
    if isinstance(value, dict):
        return {key: each if key in ("outcome", "reason") else hostile(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hostile(each) for each in value]
    return made.HOSTILE if isinstance(value, str) else value


@pytest.mark.parametrize("screen", SCREENS.values(), ids=SCREENS)
@pytest.mark.parametrize(
    ("render", "document"),
    [
        (status.render, made.STATUS),
        (servers.render, made.SERVERS),
        (jobs.render, made.JOBS),
        (job.render, made.JOB),
        (lambda document, screen: why.render(document, screen, made.HOSTILE), made.WHY),
        (clients.render, made.CLIENTS),
        (toolchains.render, made.TOOLCHAINS),
        (usage.render, made.USAGE),
        (lambda document, _: usage.as_csv(document), made.USAGE),
    ],
)
def test_hostile_names(render: Callable[[Any, Screen], str], document: Any, screen: Screen) -> None:
    """No name moves the cursor, turns the direction of writing, begins a line of its own, or fills the terminal."""
    bad, good = hostile(copy.deepcopy(document)), render(document, screen)
    text = COLOUR.sub("", render(bad, screen))
    assert [line for line in text.split("\n") if not line.isprintable()] == []
    assert all(len(line) < 5000 for line in text.split("\n"))
    if screen.width is None and render in (servers.render, jobs.render, toolchains.render):
        assert text.count("\n") == good.count("\n")


def test_each_word_has_its_sentence() -> None:
    """A job and ``why`` say what has happened and what mends it, in the words of the vocabulary."""
    screen = Screen(None, now=made.NOW)

    def told(**changed: Any) -> str:
        return job.render(JobDocument(v=1, job=job_row(**changed), running=None), screen).replace("\n  ", " ")

    for outcome in Outcome:
        assert outcome.means in told(outcome=outcome.word)
    for reason in SentLocal:
        text = told(outcome="sent_local", reason=reason.word)
        assert reason.means in text
        assert reason.mend in text
    for kind in Suspicion:
        text = told(outcome="sent_local", reason="suspicious", kind=kind.word)
        assert kind.means in text
        assert kind.mend in text
    for refusal in Refusal:
        shown = why.render(
            {"v": 1, "since": 0.0, "jobs": [], "refusals": [{**made.WHY["refusals"][0], "reason": refusal.word}]},
            screen,
            "x.o",
        ).replace("\n  ", " ")
        assert refusal.means in shown
        assert refusal.mend in shown
        assert refusal.means in told(outcome="refused", reason=refusal.word)


def test_words_of_a_newer_scheduler() -> None:
    """They are shown, without a sentence."""
    row = job_row(outcome="sent_local", reason="moonlight")
    text = job.render(JobDocument(v=1, job=row, running=None), Screen(now=made.NOW))
    assert "sent_local: moonlight" in text
    assert "This version does not know this word" in text
    rest = {"v": 1, "since": 0.0, "jobs": [], "refusals": [{**made.WHY["refusals"][0], "reason": "fog"}]}
    assert "This version does not know this word" in why.render(rest, Screen(), "x.o")  # type: ignore[arg-type]
    newer = copy.deepcopy(made.STATUS)
    newer["servers"]["asleep"] = 2
    assert "2 asleep" in status.render(newer, Screen())


def test_jobs_that_run_or_are_not_known() -> None:
    """A job that is not over has a phase; one that is not there is not fine."""
    running = JobDocument(v=1, job=None, running=made.JOBS["running"][0])
    assert job.render(running, Screen()) == (
        "job 18012345678900000001: started for 2.5 s, client 10.1.4.22, server 10.0.0.16:10501"
    )
    assert job.is_known(running)
    nothing = JobDocument(v=1, job=None, running=None)
    assert (job.render(nothing, Screen()), job.is_known(nothing)) == ("No such job.", False)
    without = JobDocument(v=1, job=job_row(phases={}), running=None)
    assert "phases" not in job.render(without, Screen())


def test_a_paused_farm() -> None:
    """Who paused it, when and why: the first question of a user who wonders why nothing is compiled there."""
    pause = {"by": "ann", "reason": "the network\x1b[2J moves", "since": made.NOW - 60}
    shown = status.render(changed(made.STATUS, paused=pause), Screen(200, now=made.NOW))
    assert r"by ann: the network\x1b[2J moves" in shown


def test_an_empty_farm() -> None:
    """It has been asked nothing yet."""
    idle = changed(
        made.STATUS, servers={}, recent=made.QUIET, oldest_wait_secs=None, waiting=0, attention=[], published=0
    )
    text = status.render(idle, Screen(now=made.NOW))
    assert "no compiles in 5 min" in text
    assert "sent home  none" in text
    assert status.is_fine(idle)
    assert not status.is_fine(made.STATUS)
    assert servers.render(ServersDocument(v=1, servers=[]), Screen()).startswith("NAME")
    empty = changed(made.WHY, jobs=[], refusals=[])
    assert "Nothing is known of a compile whose output ends in x.o, since 13:10:00." in why.render(
        empty, Screen(now=made.NOW), "x.o"
    )
    assert not why.is_known(empty)
    one = changed(made.WHY, refusals=[changed(made.WHY["refusals"][0], count=1, detail=None)])
    assert "Also 1 request of this client, 14:05:00, got no slot" in why.render(one, Screen(now=made.NOW), "x")


def test_what_went_home_is_counted_once() -> None:
    """The reasons make up the number, with those that builders and scheduler share, and with lost build servers."""
    shown = status.render(made.STATUS, Screen(200, now=made.NOW))
    assert "sent home  171: suspicious 92, sandbox 44, queue_timeout 22, shutdown 9, server_lost 4" in shown
    assert "98.6 % on the farm" in shown
    assert "171 (1.4 %)" in clients.render(made.CLIENTS, Screen(200, now=made.NOW))
    lost = usage_of([job_row(), job_row(outcome="server_lost")], "client")
    assert "1 (50.0 %)" in usage.render(changed(made.USAGE, usage=lost), Screen(200))


def test_states() -> None:
    """Those alone that one asks for."""
    assert [row["state"] for row in servers.in_states(made.SERVERS, ("avoided", "draining"))["servers"]] == [
        "avoided",
        "draining",
    ]
    assert servers.in_states(made.SERVERS, ()) == made.SERVERS


def test_csv() -> None:
    """A row for each name, in seconds."""
    rows = list(csv.DictReader(usage.as_csv(made.USAGE).splitlines()))
    assert [row["name"] for row in rows] == ["10.0.0.1", "10.1.4.23", "10.1.4.22"]
    assert rows[2]["wait_secs"] == "60.0"
    assert rows[0]["sent_home"] == "1"


@pytest.mark.parametrize("name", ["=cmd|' /c calc'!A1", "+1", "-1", "@SUM(A1)", "\x1b[2J", "usual"])
def test_csv_of_strangers(name: str) -> None:
    """A spreadsheet computes nothing that a stranger has named, and a terminal shows it."""
    document = changed(made.USAGE, usage=[{**made.USAGE["usage"][0], "name": name}])
    (row,) = csv.DictReader(usage.as_csv(document).splitlines())
    assert row["name"].isprintable()
    assert row["name"].removeprefix("'") == printable(name)
    assert row["name"].startswith("'") is (name[0] in "=+-@")


def test_a_file_has_no_beginning() -> None:
    """What comes from a whole file of records is since no time in particular."""
    whole = changed(made.USAGE, since=0.0)
    assert "since" not in usage.render(whole, Screen())
    answer = changed(made.WHY, since=0.0, jobs=[refused_row()], refusals=[])
    assert "since" not in why.render(answer, attrs.evolve(Screen(), now=made.NOW), "x.o")
