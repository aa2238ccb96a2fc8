"""The HTML file of a build: it says what happened, and no name in it does anything."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest

from sccachedist.cli import main as cli
from sccachedist.cli.farm import command, report
from sccachedist.cli.farm.screen import Screen
from sccachedist.client import asking
from sccachedist.records.documents import JobRow
from sccachedist.records.report import report_of
from tests.cli.farm.documents import HOSTILE
from tests.records.rows import job_row, refused_row

VOID = {"meta", "br"}
#: What a name may try: to end an element, to begin one, to turn the text around, to be long.
NAMES = [
    "<script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "&lt;b&gt;",
    "exe.\u202efdp",
    "\x1b[2J\x00\r\n",
    "ש" * 30,
    "n" * 4096,
    "\ud800",
    HOSTILE,
]


@attrs.define
class Elements(HTMLParser):
    """The elements of a page and its text; each end has to be that of the latest beginning."""

    names: list[str] = attrs.field(factory=list)
    attributes: list[tuple[str, str | None]] = attrs.field(factory=list)
    text: str = ""
    _open: list[str] = attrs.field(factory=list)

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @classmethod
    def of(cls, page: str) -> "Elements":
        found = cls()
        found.feed(page)
        found.close()
        assert found._open == []
        return found


def rendered(rows: list[JobRow], **changed: Any) -> str:
    given: dict[str, Any] = {"about": "--since 1h", "cut": False} | changed
    return report.render(report_of(rows), Screen(now=2000.0, source="http://farm.example.org:10600"), **given)


HOME = job_row(id="7", outcome="sent_local", reason="sandbox", output="bad.o", detail="no namespaces", asked=1002.0)


def test_what_it_says() -> None:
    """Totals, the slowest, and what went home with what that means and what mends it."""
    page = rendered([job_row(), HOME, refused_row(), job_row(outcome="compile_error"), job_row(outcome="untold")])
    text = Elements.of(page).text
    for said in (
        "http://farm.example.org:10600; --since 1h; 00:16:40 to 00:17:40, 60 s. Written 00:33:20.",
        "5: compiled 1, ",
        "compiled on the farm50.0 %",
        "2 of 4 requests.",
        "sent_local: sandbox, 1",
        "The build server could not make the sandbox, or it broke.",
        "Mend: Run sccachedist doctor --config server.conf on the build server.",
        "Once: no namespaces",
        "Files: bad.o",
        "Build servers: 10.0.0.2:10501 (1)",
        "refused: queue_timeout, 1",
        "No slot came free within queue.max_wait_secs.",
        "the compiler runs",
        "obj/x.o",
    ):
        assert said in text
    assert "earlier" not in text


def test_bars_are_told_apart_without_colour() -> None:
    """What went home is hatched, errors are hollow, the rest is dashed; each bar says what it is."""
    page = rendered([job_row(), HOME, job_row(outcome="compile_error"), job_row(outcome="of a newer version")])
    for kind, words in (
        ("ok", "compiled"), ("ho", "sent_local: sandbox"), ("er", "compile_error"), ("ot", "of a newer version")
    ):  # fmt: skip
        assert re.search(rf'<rect class="{kind}" [^>]*><title>[^<]*{words}', page)
    assert "fill:url(#hatch)" in page


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names(name: str) -> None:
    """Whatever a file, a client, a word or a build server is called, there are the same elements, and no others."""
    keys = ("output", "client", "server", "compiler", "detail", "id", "kind", "reason")
    tame, strange = (
        [job_row(**dict.fromkeys(keys, text), outcome=outcome) for outcome in ("compiled", "sent_local", text)]
        for text in ("tame", name)
    )
    expected, found = Elements.of(rendered(tame)), Elements.of(rendered(strange, about=name))
    assert found.names == expected.names
    assert [key for key, _ in found.attributes] == [key for key, _ in expected.attributes]
    page = rendered(strange, about=name)
    assert page.isascii()
    shown = found.text + "".join(value or "" for _, value in found.attributes)
    assert {each for each in shown if not each.isprintable()} <= {"\n", "\u2068", "\u2069"}
    assert len(page) < 60_000


def test_it_needs_nothing_and_runs_nothing() -> None:
    """No script, no other host, no inline style; the policy says so to the browser."""
    page = rendered([job_row(), HOME])
    elements = Elements.of(page)
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(elements.names)
    assert not {"src", "href", "style"} & {key for key, _ in elements.attributes}
    assert not [key for key, _ in elements.attributes if key.startswith("on")]
    (policy,) = (value for _, value in elements.attributes if value and "default-src" in value)
    assert re.fullmatch(r"default-src 'none'; style-src 'sha256-[\w+/=]+'; base-uri 'none'; form-action 'none'", policy)


def test_a_large_build() -> None:
    """Five thousand jobs are a file of a megabyte or so; a farm of a thousand slots has more lanes than are drawn."""
    rows = [
        job_row(
            asked=1000.0 + place,
            ended=1600.0 + place,
            output=f"src/lib/module/part/file{place}.o",
            server=f"s{place % 50}",
        )
        for place in range(5000)
    ]
    page = rendered(rows, cut=True)
    assert len(page) < 1_500_000
    assert "Left out: 200 lanes." in page
    assert "There were more requests: these are the latest." in page


def test_nothing() -> None:
    """A time without requests, without jobs, without anything that went home, and a year that no clock has."""
    assert "There were no requests." in Elements.of(rendered([])).text
    assert "00:16:40 to 00:17:40" in Elements.of(rendered([refused_row()])).text
    assert "Nothing." in Elements.of(rendered([job_row()], about="")).text
    assert "svg" not in Elements.of(rendered([refused_row(phases={})])).names[:20]
    Elements.of(rendered([job_row(asked=1e18, ended=1e19), job_row(asked=-1e19, phases={"compile": -5.0})]))


def test_to_the_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Without a file it is printed, as a trace is."""
    (tmp_path / "jobs.jsonl").write_text("")
    cli.main(("report", "--file", str(tmp_path / "jobs.jsonl")))
    assert "There were no requests." in Elements.of(capsys.readouterr().out).text


def test_from_a_scheduler(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All pages are asked for, with what the user chose; one that repeats itself is not asked for ever."""
    pages = [([job_row(output=f"{place}.o")], f"{place}.0~1") for place in range(3)]
    pages.append(([], "again"))
    asked: list[dict[str, str]] = []

    def measured(_: object, path: str, query: dict[str, str], *__: object) -> tuple[dict[str, Any], int]:
        rows, following = pages[len(asked)]
        asked.append(query)
        assert path == "jobs"
        return {"v": 1, "since": 0.0, "jobs": rows, "running": [], "next": following}, 1000

    monkeypatch.setattr(asking, "measured", measured)
    file = tmp_path / "report.html"
    place = ("--scheduler", "http://127.0.0.1:1")
    cli.main(("report", "--since", "10m", "--client", "ann", *place, "--output", str(file)))
    assert capsys.readouterr().out == f"{file}: 3 requests; any browser opens it\n"
    text = Elements.of(file.read_text()).text
    assert "http://127.0.0.1:1; --since 10m --client ann; " in text
    assert all(f"{place}.o" in text for place in range(3))
    chosen = {"client": "ann", "since": "600", "limit": "1000"}
    assert asked == [chosen, *({**chosen, "before": f"{place}.0~1"} for place in range(3))]


def test_at_most_so_many(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The latest are told, and that there were more."""
    monkeypatch.setattr(command, "_MOST_JOBS", 2)
    rows = [job_row(output=f"{place}.o", ended=1001.0 + place) for place in range(3)]
    (tmp_path / "jobs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    cli.main(("report", "--file", str(tmp_path / "jobs.jsonl")))
    text = Elements.of(capsys.readouterr().out).text
    assert "There were more requests: these are the latest." in text
    assert ["0.o" in text, "1.o" in text, "2.o" in text] == [False, True, True]


def test_who_led() -> None:
    """Of several schedulers, those that led are named, as text."""
    made = rendered([job_row(scheduler="<b>", term=7)] * 2)
    assert re.search(r"led by .*&lt;b&gt;.*, number 7", made)
    assert "<b>" not in made
