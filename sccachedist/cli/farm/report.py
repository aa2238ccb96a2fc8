"""``report``: one HTML file that says how a build went, to be kept and sent. Pure."""

from collections import Counter
from collections.abc import Iterator
from html import escape

from sccachedist.cli.farm.gantt import gantt, load_chart, share_bar
from sccachedist.cli.farm.markup import Heading, page, paragraph, section, strange, table
from sccachedist.cli.farm.screen import Screen
from sccachedist.cli.farm.words import HOME, REMOTE, compiled_share, counted, home_with_share, sentences
from sccachedist.outcomes import TimedPhase
from sccachedist.printable import some
from sccachedist.records.documents import JobRow, UsageRow
from sccachedist.records.report import BuildReport, HomeGroup, Stretch, total_secs

#: How many names and how many words of compilers are shown of what went home for one reason.
_FILES, _DETAILS = 5, 3

_STYLE = """
:root{color-scheme:light dark;--ok:#2a78b8;--er:#b3261e;--ho:#9a5b00;--hg:#f3d9a8;--ot:#6b6b6b;--rule:#bbb}
@media(prefers-color-scheme:dark){:root{--ok:#5aa5e0;--er:#ff8a80;--ho:#ffc266;--hg:#4a3510;--ot:#a0a0a0;--rule:#555}}
body{font:15px/1.45 system-ui,sans-serif;max-width:75rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
table{border-collapse:collapse}caption{text-align:left;padding:.2rem 0}
th,td{text-align:left;vertical-align:top;padding:.15rem .8rem .15rem 0;border-bottom:1px solid var(--rule)}
tbody th{font-weight:inherit;min-width:9rem}.n{text-align:right;white-space:nowrap}bdi{overflow-wrap:break-word}
th bdi,dd bdi{overflow-wrap:anywhere}
.wide{overflow-x:auto}svg.time{width:100%;min-width:50rem;display:block}svg text{font-size:9px;fill:currentColor}
.ok{fill:var(--ok)}.er{fill:none;stroke:var(--er);stroke-width:1.5}.ho{fill:url(#hatch);stroke:var(--ho);stroke-width:.6}
.ot{fill:none;stroke:var(--ot);stroke-dasharray:2 1}.hg{fill:var(--hg)}.hl{fill:var(--ho)}
.tick{stroke:var(--rule);stroke-width:.5;fill:none}.use{fill:var(--ok);fill-opacity:.45}
.wait{fill:none;stroke:var(--ho);stroke-width:1.5;stroke-dasharray:4 2}
.share{width:12rem;height:.7em}.key{width:1.5rem;height:.75rem}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:1.2rem;padding:0;margin:.4rem 0}dl{margin:.3rem 0}
dt{font-weight:600;margin-top:.8rem}dd{margin:0 0 0 1.2rem}@media print{body{max-width:none}}
"""


def render(report: BuildReport, screen: Screen, about: str, *, cut: bool) -> str:
    """The whole file.

    :param about: which requests it is about, as the user has chosen them.
    :param cut: whether there were more requests, earlier ones.
    """
    beginning = [
        "<header>",
        "<h1>How the build went</h1>",
        paragraph(_about(report, screen, about)),
        paragraph("There were more requests: these are the latest.") if cut else "",
        "</header>\n<main>",
    ]
    if not report.rows:
        return page("How the build went", _STYLE, *beginning, paragraph("There were no requests."), "</main>")
    return page(
        "How the build went",
        _STYLE,
        *beginning,
        section("totals", "In numbers", _totals(report, screen)),
        section("gantt", "What ran when", load_chart(report, screen), gantt(report, screen)),
        section("still", "Where it stood still", *_still(report, screen)),
        section("home", "What went home, and why", *_home(report, screen)),
        section("slowest", "What took longest", _slowest(report, screen)),
        section("phases", "Where the time went", _phases(report, screen)),
        section("who", "Who compiled where", *_usage(report, screen)),
        "</main>",
    )


def _about(report: BuildReport, screen: Screen, about: str) -> str:
    told = [strange(screen.source, screen)]
    if about:
        told.append(strange(about, screen))
    if report.rows:
        ends = (screen.clock(report.begin / 1e6), screen.clock(report.end / 1e6))
        told.append(f"{' to '.join(ends)}, {screen.duration(report.secs)}")
    return f"{'; '.join(told)}. Written {screen.clock(screen.now)}."


def _totals(report: BuildReport, screen: Screen) -> str:
    share = compiled_share(report.outcomes)
    slot_secs = sum(used["slot_secs"] for used in report.by_server)
    sums: Counter[str] = Counter()
    for row in report.rows:
        sums.update({key: row[key] or 0 for key in ("in", "out", "uploaded", "cpu_user", "cpu_system")})
    outcomes = ", ".join(f"{strange(word, screen)} {count:,}" for word, count in report.outcomes.items())
    rows = [
        ("requests", f"{len(report.rows):,}: {outcomes}"),
        ("compiled on the farm", _percent(share, screen)),
        ("took", screen.duration(report.secs)),
        ("slots in use", f"{report.most_slots:,} at most, {_ratio(slot_secs, report.secs, screen)} on average"),
        ("time of slots", screen.duration(slot_secs)),
        ("time of CPUs", screen.duration(sums["cpu_user"] + sums["cpu_system"])),
        ("sources in, objects out", f"{screen.size(int(sums['in']))}, {screen.size(int(sums['out']))}"),
        ("toolchains uploaded", screen.size(int(sums["uploaded"]))),
    ]
    rows += [
        (f"led by {strange(url, screen)}, number {term}", some(count, "request"))
        for (url, term), count in report.led_by.items()
    ]
    return table("All requests of this time", (Heading("What"), Heading("How much")), rows)


def _percent(share: float | None, screen: Screen) -> str:
    return screen.number(share and 100 * share, "{:.1f} %")


def _ratio(value: float, whole: float, screen: Screen) -> str:
    return screen.number(value / whole if whole > 0 else None, "{:,.1f}")


def _still(report: BuildReport, screen: Screen) -> Iterator[str]:
    """Where more build servers would not have made it shorter."""
    yield paragraph(
        f"For {screen.duration(report.idle_secs)} no job was in a slot: the build linked, waited for something else, "
        f"or was over. For {screen.duration(report.alone_secs)} a single job was: nothing else could begin then. More "
        "build servers make neither shorter."
    )
    heads = (Heading("Begin"), Heading("How long", right=True), Heading("What ran"))
    yield table("The longest of these times", heads, [_stretch(each, screen) for each in report.still])


def _stretch(each: Stretch, screen: Screen) -> tuple[str, ...]:
    name = "nothing" if each.row is None else f"{_name(each.row, screen)} alone"
    return screen.clock(each.begin / 1e6), screen.duration((each.end - each.begin) / 1e6), name


def _home(report: BuildReport, screen: Screen) -> Iterator[str]:
    if not report.home:
        yield paragraph("Nothing.")
        return
    count, whole = counted(report.outcomes, HOME), counted(report.outcomes, (*HOME, *REMOTE))
    yield paragraph(
        f"{count:,} of {some(whole, 'request')}. Their clients compiled them, unless the reason says otherwise."
    )
    yield f"<dl>\n{''.join(_reason(group, screen) for group in report.home)}</dl>"


def _reason(group: HomeGroup, screen: Screen) -> str:
    words = [group.outcome, *(word for word in (group.reason, group.kind) if word is not None)]
    means, mend = sentences(group.rows[0])
    lines = [paragraph(escape(means)), *([paragraph(escape(f"Mend: {mend}"))] if mend else [])]
    details = Counter(row["detail"] for row in group.rows if row["detail"]).most_common(_DETAILS)
    lines += [
        paragraph(f"{'Once' if count == 1 else f'{count:,} times'}: {strange(detail, screen, 500)}")
        for detail, count in details
    ]
    names = dict.fromkeys(row["output"] for row in group.rows if row["output"])
    if names:
        shown = ", ".join(strange(name, screen) for name in list(names)[:_FILES])
        lines.append(paragraph(f"Files: {shown}{f', and {len(names) - _FILES:,} more' * (len(names) > _FILES)}"))
    servers = Counter(row["server"] for row in group.rows if row["server"]).most_common(_FILES)
    if servers:
        shown = ", ".join(f"{strange(server, screen)} ({count:,})" for server, count in servers)
        lines.append(paragraph(f"Build servers: {shown}"))
    title = ": ".join(strange(word, screen) for word in words)
    return f"<dt>{title}, {len(group.rows):,}</dt>\n<dd>{''.join(lines)}</dd>\n"


def _slowest(report: BuildReport, screen: Screen) -> str:
    heads = (
        Heading("Output"),
        Heading("Total", right=True),
        Heading("Compile", right=True),
        Heading("Wait", right=True),
        Heading("Memory", right=True),
        Heading("Client"),
        Heading("Build server"),
        Heading("Outcome"),
        Heading("Job", right=True),
    )
    return table("From the request to its end", heads, [_slow(row, screen) for row in report.slowest])


def _slow(row: JobRow, screen: Screen) -> tuple[str, ...]:
    phases = row["phases"]
    return (
        _name(row, screen),
        screen.duration(total_secs(row)),
        screen.duration(phases.get(TimedPhase.COMPILE.word)),
        screen.duration(phases.get(TimedPhase.QUEUE_WAIT.word)),
        screen.size(row["memory"]),
        strange(row["client"], screen),
        strange(row["server"], screen),
        strange(": ".join(word for word in (row["outcome"], row["reason"], row["kind"]) if word), screen),
        strange(row["id"], screen),
    )


def _name(row: JobRow, screen: Screen) -> str:
    return strange(row["output"] or row["compiler"], screen)


def _phases(report: BuildReport, screen: Screen) -> str:
    whole = sum(report.phases.values())
    rows = []
    for phase in TimedPhase:
        if (secs := report.phases.get(phase.word)) is not None:
            cells = (phase.word, screen.duration(secs), _percent(secs / whole, screen), share_bar(secs / whole))
            rows.append((*cells, f"{phase.means}{f'; shorter with {phase.mend}' if phase.mend else ''}"))
    heads = (
        Heading("Phase"),
        Heading("Seconds", right=True),
        Heading("Share", right=True),
        Heading("Bar"),
        Heading("The job"),
    )
    return table("All jobs together", heads, rows)


def _usage(report: BuildReport, screen: Screen) -> Iterator[str]:
    for what, used in (("client", report.by_client), ("build server", report.by_server)):
        heads = (
            Heading(what.capitalize()),
            Heading("Requests", right=True),
            Heading("Compiled", right=True),
            Heading("Went home", right=True),
            Heading("Time of slots", right=True),
            Heading("Time of CPUs", right=True),
            Heading("Waited", right=True),
        )
        yield table(f"By {what}, the one with the most time first", heads, [_used(row, screen) for row in used])


def _used(row: UsageRow, screen: Screen) -> tuple[str, ...]:
    return (
        strange(row["name"], screen),
        screen.number(row["jobs"]),
        screen.number(counted(row["outcomes"], REMOTE)),
        home_with_share(row["outcomes"], screen),
        screen.duration(row["slot_secs"]),
        screen.duration(row["cpu_secs"]),
        screen.duration(row["wait_secs"]),
    )
