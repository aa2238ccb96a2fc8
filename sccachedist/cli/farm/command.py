"""The shell around the commands that ask a scheduler: from parsed arguments to what is printed, and the exit status.

What a document looks like as a text is not known here.
"""

import argparse
import codecs
import heapq
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any

import attrs

from sccachedist.cli.farm import clients, job, jobs, record_files, report, servers, status, toolchains, usage, why
from sccachedist.cli.farm.record_files import RecordFile
from sccachedist.cli.farm.screen import Screen
from sccachedist.cli.farm.times import secs_back
from sccachedist.client.farm import Farm
from sccachedist.errors import ConfigError, PeerError
from sccachedist.printable import printable, some
from sccachedist.records.documents import JobDocument, JobRow, JobsDocument, UsageDocument, WhyDocument
from sccachedist.records.report import report_of
from sccachedist.records.selection import Selection
from sccachedist.records.trace import chrome_trace
from sccachedist.records.usage import usage_of

#: The options that choose records.
_CHOICE = ("client", "server", "outcome", "reason", "output")
#: How many requests a report is about at most.
_MOST_JOBS = 10_000

_AGAIN, _TO_THE_END = "\x1b[H", "\x1b[J"


@attrs.frozen
class View:
    """A document, and how it is shown.

    :param is_fine: whether the command ends with status 0.
    """

    document: Any
    render: Callable[[Screen], str]
    is_fine: bool = True


def run_farm_command(parsed: argparse.Namespace) -> None:
    """Show one document, or one after the other until the user has seen enough.

    :raises ConfigError: there is no scheduler to ask, or a file cannot be read.
    :raises PeerError: the scheduler gives no document.
    """
    source = _Source.of(parsed)
    if parsed.view in _WRITING:
        _WRITING[parsed.view](parsed, source)
        source.tell_passed_over()
    elif parsed.view == "top":
        _top(parsed, source)
    elif parsed.watch is None:
        view = source.view(parsed)
        print(_shown(view, parsed, source))
        source.tell_passed_over()
        if not view.is_fine:
            raise SystemExit(1)
    else:
        _watch(parsed, source)


@attrs.define
class _Source:
    """A scheduler, or a file of records."""

    farm: Farm | None
    file: RecordFile | None

    @classmethod
    def of(cls, parsed: argparse.Namespace) -> "_Source":
        path = getattr(parsed, "file", None)
        if path is not None:
            return cls(None, RecordFile(path))
        return cls(
            Farm.find(parsed.scheduler, config=parsed.config, token_file=parsed.token_file, authorities=parsed.ca),
            None,
        )

    @property
    def name(self) -> str:
        return str(self.file.path) if self.file else self.farm.place.url if self.farm else ""

    def view(self, parsed: argparse.Namespace) -> View:
        """What there is to be seen now."""
        if self.file is not None:
            return _FROM_FILE[parsed.view](parsed, self.file)
        return _FROM_SCHEDULER[parsed.view](parsed, self.known_farm)

    @property
    def known_farm(self) -> Farm:
        """The farm, for what reads no file."""
        assert self.farm is not None
        return self.farm

    def tell_passed_over(self) -> None:
        """Say how many lines of the file are no records."""
        if self.file is not None and self.file.passed_over:
            print(printable(f"{self.file.path}: {self.file.passed_over} lines are no records"), file=sys.stderr)


def _top(parsed: argparse.Namespace, source: _Source) -> None:
    """Show it on the whole terminal, if what that needs is installed. It takes long to load, so only this loads it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("top needs a terminal; sccachedist status --watch does not")
    if parsed.no_color:
        os.environ["NO_COLOR"] = "1"
    try:
        from sccachedist.cli.top.app import TopApp
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        print("top needs textual: pip install 'sccachedist[top]'. Until then, this is status --watch.", file=sys.stderr)
        parsed.view = "status"
        _watch(parsed, source)
    else:
        from sccachedist.cli.top.orders import act

        farm, screen = source.known_farm, standard_output(source.name, may_colour=not parsed.no_color)
        TopApp(farm.ask, partial(act, farm), screen).run()


def _shown(view: View, parsed: argparse.Namespace, source: _Source) -> str:
    return (
        json.dumps(view.document)
        if parsed.json
        else view.render(standard_output(source.name, may_colour=not parsed.no_color))
    )


def _watch(parsed: argparse.Namespace, source: _Source) -> None:
    """Look again and again. A scheduler that is restarted is waited for."""
    on_terminal = sys.stdout.isatty() and not parsed.json
    while True:
        try:
            text = _shown(source.view(parsed), parsed, source)
        except PeerError as error:
            text = printable(str(error))
        if on_terminal:
            lines = text.split("\n")[: shutil.get_terminal_size().lines - 1]
            text = _AGAIN + "".join(f"{line}\x1b[K\n" for line in lines) + _TO_THE_END
        print(text, end="" if on_terminal else "\n", flush=True)
        time.sleep(parsed.watch)


def standard_output(source: str, *, may_colour: bool = True) -> Screen:
    """What standard output can show."""
    has_colour = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return Screen(
        width=shutil.get_terminal_size((0, 0)).columns or None,
        colour=has_colour and may_colour,
        unicode=codecs.lookup(sys.stdout.encoding).name == "utf-8",
        source=source,
    )


def _secs_back(parsed: argparse.Namespace) -> float | None:
    return None if parsed.since is None else secs_back(parsed.since, datetime.now().astimezone())


def _status(_: argparse.Namespace, farm: Farm) -> View:
    document = farm.status()
    return View(document, partial(status.render, document), status.is_fine(document))


def _servers(parsed: argparse.Namespace, farm: Farm) -> View:
    document = servers.in_states(farm.servers(), parsed.state)
    return View(document, partial(servers.render, document))


def _clients(_: argparse.Namespace, farm: Farm) -> View:
    document = farm.clients()
    return View(document, partial(clients.render, document))


def _toolchains(_: argparse.Namespace, farm: Farm) -> View:
    document = farm.toolchains()
    return View(document, partial(toolchains.render, document))


def _jobs(parsed: argparse.Namespace, farm: Farm) -> View:
    chosen = {name: getattr(parsed, name) for name in _CHOICE}
    return _jobs_view(farm.jobs(since=_secs_back(parsed), limit=parsed.limit, **chosen))


def _jobs_view(document: JobsDocument) -> View:
    return View(document, partial(jobs.render, document))


def _job(parsed: argparse.Namespace, farm: Farm) -> View:
    return _job_view(farm.job(parsed.id))


def _job_view(document: JobDocument) -> View:
    return View(document, partial(job.render, document), job.is_known(document))


def _why(parsed: argparse.Namespace, farm: Farm) -> View:
    return _why_view(farm.why(parsed.name, since=_secs_back(parsed)), parsed.name)


def _why_view(document: WhyDocument, name: str) -> View:
    return View(document, partial(why.render, document, name=name), why.is_known(document))


def _usage(parsed: argparse.Namespace, farm: Farm) -> View:
    return _usage_view(parsed, farm.usage(parsed.by, since=_secs_back(parsed)))


def _usage_view(parsed: argparse.Namespace, document: UsageDocument) -> View:
    if parsed.csv:
        return View(document, lambda _: usage.as_csv(document))
    return View(document, partial(usage.render, document))


def _rows(parsed: argparse.Namespace, file: RecordFile, *names: str) -> Iterable[JobRow]:
    """The records of a file that are wanted."""
    wanted = Selection(since=_since(parsed), **{name: getattr(parsed, name) for name in names})
    return filter(wanted.wants, file.rows())


def _since(parsed: argparse.Namespace) -> float:
    secs = _secs_back(parsed)
    return 0.0 if secs is None else time.time() - secs


def _usage_of_file(parsed: argparse.Namespace, file: RecordFile) -> View:
    used = usage_of(_rows(parsed, file), parsed.by)
    return _usage_view(parsed, UsageDocument(v=1, since=_since(parsed), by=parsed.by, usage=used))


_FROM_SCHEDULER: dict[str, Callable[[argparse.Namespace, Farm], View]] = {
    "status": _status,
    "servers": _servers,
    "jobs": _jobs,
    "job": _job,
    "why": _why,
    "clients": _clients,
    "toolchains": _toolchains,
    "usage": _usage,
}
_FROM_FILE: dict[str, Callable[[argparse.Namespace, RecordFile], View]] = {
    "jobs": lambda parsed, file: _jobs_view(record_files.jobs_of(_rows(parsed, file, *_CHOICE), parsed.limit)),
    "job": lambda parsed, file: _job_view(record_files.job_of(file.rows(), parsed.id, file.path)),
    "why": lambda parsed, file: _why_view(record_files.why_of(file.rows, _since(parsed), parsed.name), parsed.name),
    "usage": _usage_of_file,
}


def _write_trace(parsed: argparse.Namespace, source: _Source) -> None:
    if source.file is not None:
        trace = chrome_trace(_rows(parsed, source.file, "client", "server"))
    else:
        trace = source.known_farm.trace(since=_secs_back(parsed), client=parsed.client, server=parsed.server)
    spans = sum(event.get("ph") == "X" for event in trace["traceEvents"])
    text = json.dumps(trace, separators=(",", ":")) + "\n"
    _write(parsed, text, f"{some(spans, 'span')}; ui.perfetto.dev and chrome://tracing open it")


def _write_report(parsed: argparse.Namespace, source: _Source) -> None:
    if source.file is not None:
        rows = heapq.nlargest(_MOST_JOBS + 1, _rows(parsed, source.file, "client", "server"), key=itemgetter("ended"))
    else:
        ended = source.known_farm.records(since=_secs_back(parsed), client=parsed.client, server=parsed.server)
        rows = list(islice(ended, _MOST_JOBS + 1))
    chosen = {f"--{name}": getattr(parsed, name) for name in ("since", "client", "server")}
    about = " ".join(f"{name} {value}" for name, value in chosen.items() if value is not None)
    screen = Screen(source=source.name)
    text = report.render(report_of(rows[:_MOST_JOBS]), screen, about, cut=len(rows) > _MOST_JOBS)
    _write(parsed, text, f"{some(len(rows[:_MOST_JOBS]), 'request')}; any browser opens it")


def _write(parsed: argparse.Namespace, text: str, said: str) -> None:
    """Write what a command makes, which is ASCII, to where the user wants it."""
    if parsed.output is None:
        print(text, end="")
    else:
        parsed.output.write_text(text)
        print(printable(f"{parsed.output}: {said}"))


_WRITING: dict[str, Callable[[argparse.Namespace, _Source], None]] = {"trace": _write_trace, "report": _write_report}
