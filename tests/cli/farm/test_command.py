"""The commands that show a farm, against a scheduler that answers what the test says."""

import gzip
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest

from sccachedist.cli import main as cli
from tests.cli.farm import documents as made
from tests.records.rows import job_row, refused_row


@attrs.define
class Answering:
    """A scheduler that gives one answer, and remembers what it was asked."""

    url: str
    answer: tuple[int, bytes]
    asked: list[tuple[str, str | None]] = attrs.field(factory=list)

    def gives(self, document: Any) -> None:
        self.answer = (200, json.dumps(document).encode())


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Answering]:
    """It is named in the configuration of sccache, and in nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answering.asked.append((self.path, self.headers["Authorization"]))
            status, body = answering.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """It writes nothing to the terminal."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        answering = Answering(f"http://127.0.0.1:{server.server_port}", (404, b""))
        config = tmp_path / "sccache.conf"
        config.write_text(
            f'[dist]\nscheduler_url = "{answering.url}"\n[dist.auth]\ntype = "token"\ntoken = "hunter2"\n'
        )
        for name in ("SCCACHEDIST_SCHEDULER", "SCCACHEDIST_TOKEN_FILE", "NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("SCCACHE_CONF", str(config))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield answering
        server.shutdown()
        thread.join()


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(arguments)
    return capsys.readouterr().out


def ended(*arguments: str) -> Any:
    """The status, or the line, that a command ends with."""
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    return end.value.code


@pytest.mark.parametrize(
    ("arguments", "document", "path", "shown"),
    [
        (["servers"], made.SERVERS, "servers", "10.0.0.17:10501"),
        (["servers", "--state", "draining,unfit"], made.SERVERS, "servers", "[2001:db8::40]:10501"),
        (["jobs"], made.JOBS, "jobs?limit=50", "PassBuilder.o"),
        (
            ["jobs", "--client", "a&b", "--server=10.0.0.2", "--outcome=sent_local", "--reason=disk", "--since=10m"],
            made.JOBS,
            "jobs?client=a%26b&server=10.0.0.2&outcome=sent_local&reason=disk&limit=50&since=600",
            "PassBuilder.o",
        ),
        (["jobs", "--output", "x.o", "--limit", "7"], made.JOBS, "jobs?output=x.o&limit=7", "PassBuilder.o"),
        (["job", "…4567"], made.JOB, "jobs/4567", "no_memory"),
        (["job", "1801..4567"], made.JOB, "jobs/4567", "no_memory"),
        (["why", "PassBuilder.o"], made.WHY, "why?name=PassBuilder.o", "Mend: Run sccachedist doctor"),
        (["why", "größe.o", "--since", "2h"], made.WHY, "why?name=gr%C3%B6%C3%9Fe.o&since=7200", "sandbox"),
        (["clients"], made.CLIENTS, "clients", "10.1.4.99"),
        (["toolchains"], made.TOOLCHAINS, "toolchains", "4be81f20aa1c"),
        (["usage"], made.USAGE, "usage?by=client", "10.1.4.23"),
        (["usage", "--by", "server", "--csv"], made.USAGE, "usage?by=server", "name,jobs,compiled"),
    ],
)
def test_commands(
    capsys: pytest.CaptureFixture[str],
    scheduler: Answering,
    arguments: list[str],
    document: Any,
    path: str,
    shown: str,
) -> None:
    """Each asks one question, with the token of sccache, and shows the answer; with --json it is the very document."""
    scheduler.gives(document)
    assert shown in printed(capsys, *arguments)
    assert scheduler.asked == [(f"/api/v1/farm/{path}", "Bearer hunter2")]
    if not {"--state", "--csv"} & set(arguments):
        assert json.loads(printed(capsys, *arguments, "--json")) == document


def test_status(capsys: pytest.CaptureFixture[str], scheduler: Answering) -> None:
    """What is critical makes it end with status 1, for cron and Nagios; the text is the same."""
    scheduler.gives(made.STATUS)
    assert ended("status") == 1
    assert f"scheduler  {scheduler.url}  version 0.2.0" in capsys.readouterr().out
    scheduler.gives({**made.STATUS, "attention": made.STATUS["attention"][1:]})
    assert "attention  10.1.4.22" in printed(capsys, "status")


def test_json_moves_no_cursor(capsys: pytest.CaptureFixture[str], scheduler: Answering) -> None:
    """Strangers' names are escaped there, too, and a program reads them as they are."""
    hostile = {**made.JOB, "job": job_row(output=made.HOSTILE)}
    scheduler.gives(hostile)
    text = printed(capsys, "job", "7", "--json")
    assert text.strip().isprintable()
    assert json.loads(text) == hostile


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, b""), "does not take dist.auth of "),
        ((403, b""), "does not show that to the holder of dist.auth of "),
        ((404, b""), "has no farm API: it is the published scheduler, or an older one of sccachedist"),
        ((406, b""), "has no farm API"),
        ((404, b'{"description": "no job ends in 7", "cause": null}'), "says: no job ends in 7"),
        (
            (400, b'{"description": "since: expected\\u001b[2J"}'),
            "answered 400: since: expected\\x1b[2J",
        ),
        ((500, b"["), "answered 500"),
        ((500, b"[]"), "answered 500"),
        ((200, b"<html>"), "answered what is no JSON"),
        ((200, b"[" * 100_000), "answered what is no JSON"),
        ((200, b"[]"), "answered what this version does not understand (not an object)"),
        ((200, b'{"v": 1}'), "answered what this version does not understand (job is missing)"),
    ],
)
def test_no_document(scheduler: Answering, answer: tuple[int, bytes], said: str) -> None:
    """One clear line, and status 1."""
    scheduler.answer = answer
    line = ended("job", "7")
    assert said in line
    assert line.partition(": ")[2].startswith(f"the scheduler at {scheduler.url} ")
    assert line.isprintable()
    assert "hunter2" not in line


def test_no_token(scheduler: Answering, tmp_path: Path) -> None:
    """It says what to do. The token of sccache is shown to its own scheduler alone."""
    scheduler.answer = (401, b"")
    other = scheduler.url.replace("127.0.0.1", "localhost")
    assert "wants a token: name the file that has it with --token-file" in ended("status", "--scheduler", other)
    assert scheduler.asked == [("/api/v1/farm/status", None)]
    token = tmp_path / "token"
    token.write_text("a token\n")
    assert f"does not take the token in {token}" in ended("status", "--token-file", str(token))
    assert scheduler.asked[-1] == ("/api/v1/farm/status", "Bearer a token")


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it was looked for; or why it does not answer."""
    for name in ("SCCACHEDIST_SCHEDULER", "SCCACHEDIST_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SCCACHE_CONF", str(tmp_path / "none"))
    line = ended("status")
    assert "no scheduler found: neither --scheduler, SCCACHEDIST_SCHEDULER nor --config is given" in line
    assert f"there is no dist.scheduler_url in {tmp_path / 'none'}" in line
    assert "the scheduler at http://127.0.0.1:1 does not answer: " in ended(
        "servers", "--scheduler", "http://127.0.0.1:1"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "--since", "yesterday"),
        ("jobs", "--since", ""),
        ("jobs", "--limit", "0"),
        ("jobs", "--limit", "many"),
        ("jobs", "--outcome", "lost"),
        ("jobs", "--reason", "bad luck"),
        ("servers", "--state", "open,tired"),
        ("job", "x12"),
        ("job", ""),
        ("job", "1" * 21),
        ("job",),
        ("why",),
        ("why", ""),
        ("usage", "--by", "colour"),
        ("status", "--watch", "soon"),
        ("status", "--watch", "0"),
        ("status", "--scheduler", "farm.example"),
        ("clients", "--file", "jobs.jsonl"),
        ("trace", "--json"),
    ],
)
def test_usage_errors(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    """Status 2, and a line that says what is expected."""
    assert ended(*arguments) == 2
    assert ": error: " in capsys.readouterr().err.splitlines()[-1]


def test_watch(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, scheduler: Answering) -> None:
    """It looks again and again; a scheduler that is away for a while does not end it."""
    answers = [(200, json.dumps(made.STATUS).encode()), (503, b""), (200, json.dumps(made.STATUS).encode())]
    slept = []

    def sleep(secs: float) -> None:
        slept.append(secs)
        if not answers:
            raise KeyboardInterrupt
        scheduler.answer = answers.pop(0)

    monkeypatch.setattr(time, "sleep", sleep)
    assert ended("status", "--watch", "0.5") == 130
    assert slept == [0.5] * 4
    out = capsys.readouterr().out
    assert out.count("version 0.2.0, up ") == 2
    assert "answered 503" in out


def test_watch_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, scheduler: Answering
) -> None:
    """The new text is written over the old one, no longer than the terminal."""
    scheduler.gives(made.SERVERS)

    def sleep(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("LINES", "3")
    assert ended("servers", "--watch", "--no-color") == 130
    out = capsys.readouterr().out
    assert out.startswith("\x1b[HNAME ")
    assert out.endswith("\x1b[K\n\x1b[J")
    assert out.count("\n") == 2


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A file of records, with a line that is none."""
    rows = [job_row(), job_row(id="5", output="y.o", outcome="sent_local", reason="disk"), refused_row()]
    file = tmp_path / "jobs.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + '{"v": 1, "id\n')
    return file


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("jobs",), "y.o"),
        (("jobs", "--reason", "disk"), "sent_local: disk"),
        (("job", "5"), "job 5: sent_local: disk"),
        (("why", "y.o"), "Also 1 request of this client"),
        (("usage", "--by", "compiler"), "gcc"),
        (("trace",), '"displayTimeUnit":"ms"'),
        (("trace", "--client", "nobody"), '"name":"queue"'),
    ],
)
def test_files(capsys: pytest.CaptureFixture[str], records: Path, arguments: tuple[str, ...], shown: str) -> None:
    """The same commands read files, packed or not, without a scheduler; lines that are no records are counted."""
    packed = records.with_suffix(".gz")
    packed.write_bytes(gzip.compress(records.read_bytes()))
    for file in (records, packed):
        cli.main((*arguments, "--file", str(file)))
        told = capsys.readouterr()
        assert shown in told.out
        assert told.err == f"{file}: 1 lines are no records\n"


def test_since_in_files(capsys: pytest.CaptureFixture[str], records: Path) -> None:
    """Records of long ago are not of the last hour."""
    assert printed(capsys, "jobs", "--since", "1h", "--file", str(records)).count("\n") == 1
    assert ended("why", "y.o", "--since", "1h", "--file", str(records)) == 1


def test_trace_file(capsys: pytest.CaptureFixture[str], scheduler: Answering, tmp_path: Path) -> None:
    """What a scheduler tells is written as it is."""
    trace = {"traceEvents": [{"ph": "X", "name": "x.o"}, {"ph": "M"}], "displayTimeUnit": "ms"}
    scheduler.gives(trace)
    file = tmp_path / "farm.json"
    assert printed(capsys, "trace", "--since", "10m", "--server", "10.0.0.2", "--output", str(file)).startswith(
        f"{file}: 1 span;"
    )
    assert json.loads(file.read_text()) == trace
    assert scheduler.asked[0][0] == "/api/v1/farm/trace?server=10.0.0.2&since=600"
    assert "Is a directory" in ended("trace", "--output", str(tmp_path))


def test_colour(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, scheduler: Answering) -> None:
    """On a terminal, unless the user wants none."""
    scheduler.gives(made.SERVERS)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    assert "\x1b[" not in printed(capsys, "servers")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "\x1b[31mavoided" in printed(capsys, "servers")
    assert "\x1b[" not in printed(capsys, "servers", "--no-color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in printed(capsys, "servers")
