"""The arguments of the commands that ask a scheduler, or read its files. What they do is in ``command``."""

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar, get_args

from sccachedist.cli.farm.times import EXPECTED, secs_back
from sccachedist.errors import DecodeError
from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.records.documents import SERVER_STATES
from sccachedist.records.usage import By

T = TypeVar("T")

#: How many lines ``jobs`` prints, and the seconds between two looks of ``--watch``.
_LINES, _WATCH_SECS = 50, 2.0
#: Those that make a file.
_WRITING = ("trace", "report")

_ABOUT = {
    "status": "the farm at a glance; status 1 if something critical needs attention",
    "servers": "the build servers, and why one takes no jobs",
    "jobs": "what became of the latest requests, and what runs",
    "job": "all about one job",
    "why": "why a file was compiled locally",
    "clients": "who compiles and who waits",
    "toolchains": "which compilers are on which build servers",
    "usage": "who used how much",
    "top": "the farm on the whole terminal, to look at and to act on",
    "trace": "what ran when, as a Chrome trace, for ui.perfetto.dev",
    "report": "how a build went, as one HTML file: what ran when, what was slow, what went home and why",
}


def add_farm_commands(
    add: Callable[[str, str], argparse.ArgumentParser],
    url: Callable[[str], str],
    add_authorities: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Declare them all.

    :param add: makes a command with a name, of which it is told what it is about.
    :param url: reads a scheduler's URL.
    :param add_authorities: declares ``--ca``.
    """
    commands = {name: add(name, about) for name, about in _ABOUT.items()}
    _choosing(commands)
    for name, command in commands.items():
        command.set_defaults(view=name)
        _finding(command, url, reads_files=name in ("jobs", "job", "why", "usage", *_WRITING))
        add_authorities(command)
        if name == "top":
            _colouring(command)
            command.set_defaults(json=False, watch=_WATCH_SECS)
        elif name not in _WRITING:
            _showing(command)


def argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    """One of our parsers as argparse wants it: the user sees the parser's error, without the text that was given."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except DecodeError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def _choosing(commands: dict[str, argparse.ArgumentParser]) -> None:
    """What is particular to each."""
    commands["servers"].add_argument(
        "--state",
        type=argument(_states),
        default=(),
        metavar="STATE[,STATE]",
        help=f"those alone that are {' or '.join(SERVER_STATES)}",
    )
    reasons = [word.word for word in (*Refusal, *SentLocal)]
    jobs = commands["jobs"]
    for name in ("jobs", *_WRITING):
        commands[name].add_argument("--client", metavar="CLIENT", help="of this client alone")
        commands[name].add_argument("--server", metavar="SERVER", help="at this build server, by address or host name")
    jobs.add_argument("--outcome", choices=[word.word for word in Outcome], metavar="OUTCOME", help="that ended so")
    jobs.add_argument("--reason", choices=sorted(set(reasons)), metavar="REASON", help="that were sent home for this")
    jobs.add_argument("--output", metavar="NAME", help="whose output has a name that ends so")
    jobs.add_argument(
        "--limit", type=argument(_count), default=_LINES, metavar="N", help=f"this many (default: {_LINES})"
    )
    commands["job"].add_argument("id", type=argument(job_number), metavar="ID", help="its number, or how that ends")
    commands["why"].add_argument("name", type=argument(_file), metavar="FILE", help="the object, or how its path ends")
    for name in ("jobs", "why", "usage", *_WRITING):
        commands[name].add_argument(
            "--since", type=argument(_since), metavar="TIME", help="not before that: 90s, 10m, 2h, 7d, 14:05, a date"
        )
    usage = commands["usage"]
    usage.add_argument("--by", choices=get_args(By), default="client", help="what is added up (default: client)")
    usage.add_argument("--csv", action="store_true", help="for a spreadsheet")
    for name in _WRITING:
        commands[name].add_argument("--output", type=Path, metavar="FILE", help="where to, if not to the terminal")


def _finding(command: argparse.ArgumentParser, url: Callable[[str], str], *, reads_files: bool) -> None:
    """Where the documents come from."""
    command.add_argument("--scheduler", type=argument(url), metavar="URL", help="where the scheduler is")
    command.add_argument("--config", type=Path, metavar="PATH", help="the scheduler's configuration, if it is here")
    command.add_argument("--token-file", type=Path, metavar="FILE", help="the token to show, in a file of its own")
    if reads_files:
        command.add_argument("--file", type=Path, metavar="FILE", help="a file of records, instead of a scheduler")


def _showing(command: argparse.ArgumentParser) -> None:
    """How they are shown."""
    command.add_argument("--json", action="store_true", help="print the scheduler's own document")
    command.add_argument(
        "--watch",
        type=argument(_interval),
        nargs="?",
        const=_WATCH_SECS,
        metavar="SECS",
        help=f"look again and again, by default every {_WATCH_SECS:g} seconds",
    )
    _colouring(command)


def _colouring(command: argparse.ArgumentParser) -> None:
    command.add_argument("--no-color", action="store_true", help="no colours, as with NO_COLOR in the environment")


def _states(text: str) -> tuple[str, ...]:
    states = tuple(text.split(","))
    if not set(states) <= set(SERVER_STATES):
        raise DecodeError(f"expected some of {', '.join(SERVER_STATES)}, with commas between them")
    return states


def job_number(text: str) -> str:
    """The end of a job's number; what is left out before it may be shown by dots."""
    digits = text.rpartition("…")[2].rpartition("..")[2]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise DecodeError("expected the number of a job, or its last digits")
    return digits


def _file(text: str) -> str:
    """How the path of a file ends; any would end with nothing."""
    if not text:
        raise DecodeError("expected the name of a file")
    return text


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:10]) > 0 and len(text) < 10):
        raise DecodeError("expected a whole number, 1 or more")
    return int(text)


def _interval(text: str) -> float:
    try:
        secs = float(text)
    except ValueError:
        secs = 0.0
    if not 0.1 <= secs <= 86400:
        raise DecodeError("expected a number of seconds, 0.1 to 86400")
    return secs


def _since(text: str) -> str:
    """The text itself: with --watch, it means another moment each time."""
    if not text:
        raise DecodeError(EXPECTED)
    secs_back(text, datetime.now().astimezone())
    return text
