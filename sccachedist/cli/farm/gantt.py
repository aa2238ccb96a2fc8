"""A build over time, as pictures in SVG: what ran where, and how much of it at a time. Pure.

Colour says nothing alone: what went home is hatched, what failed has a border, and each bar says what it is.
"""

from collections.abc import Iterator, Sequence

from sccachedist.cli.farm.markup import paragraph, strange_line
from sccachedist.cli.farm.screen import Screen
from sccachedist.outcomes import AT_HOME, Outcome
from sccachedist.printable import some
from sccachedist.records.lanes import Span
from sccachedist.records.report import BuildReport, ServerLanes, total_secs

#: In units of the pictures: their width, the least width of a bar, a lane with its gap, the name of a server, the axis.
_WIDTH, _LEAST, _LANE, _NAME, _AXIS = 1000, 0.6, 9, 15, 14
_CHART = 70
_TICKS = 5
#: The lanes that are drawn; a farm of a thousand slots is beyond what one can look at.
_MOST_LANES = 400

#: What bars look like, each with its words in the legend.
LEGEND = (("ok", "compiled"), ("er", "compile_error"), ("ho", "went home"), ("ot", "anything else"))
_CLASSES = {Outcome.COMPILED.word: "ok", Outcome.COMPILE_ERROR.word: "er"} | {each.word: "ho" for each in AT_HOME}
_HATCH = (
    '<defs><pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="hg" width="4" height="4"/><rect class="hl" width="1.6" height="4"/></pattern></defs>'
)


def gantt(report: BuildReport, screen: Screen) -> str:
    """The lanes of each build server; empty if nothing ran."""
    if not report.servers:
        return ""
    shown, left = _shown(report.servers)
    parts, top = [], _AXIS
    for server in shown:
        parts.append(f'<text x="2" y="{top + _NAME - 4}">{strange_line(server.server, screen, 60)}</text>')
        top += _NAME
        for lane in server.lanes:
            bars = "".join(_bar(span, report, screen) for span in lane)
            parts.append(f'<g transform="translate(0 {top})">{bars}</g>')
            top += _LANE
        top += 3
    jobs = sum(len(lane) for server in shown for lane in server.lanes)
    label = (
        f"{some(jobs, 'job')} on {some(len(shown), 'build server')} over time; the tables below have the same in words"
    )
    note = paragraph(f"Left out: {some(left, 'lane')}.") if left else ""
    return f"{_legend()}{_picture(label, top, _HATCH + _axis(report, screen, top), *parts)}{note}"


def load_chart(report: BuildReport, screen: Screen) -> str:
    """How many slots were in use, as an area, and how many requests waited, as a dashed line."""
    if not report.servers and not any(report.waiting):
        return ""
    most = max(*report.slots, *report.waiting, 1.0)
    slots, waiting = (_line(values, most) for values in (report.slots, report.waiting))
    bottom = _AXIS + _CHART
    label = f"slots in use, at most {report.most_slots}, and requests that wait, over time"
    return _picture(
        label,
        bottom,
        _axis(report, screen, bottom),
        f'<polygon class="use" points="0,{bottom} {slots} {_WIDTH},{bottom}"/>',
        f'<polyline class="wait" points="{waiting}"/>',
    ) + paragraph(f"Filled: slots in use. Dashed: requests that wait. The top is {most:,.0f} of them.")


def share_bar(share: float) -> str:
    """A bar as wide as a share of the whole; a text beside it has the number."""
    width = max(0.0, min(1.0, share)) * 100
    return (
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="ok" width="{width:.1f}" height="8"/></svg>'
    )


def _shown(servers: Sequence[ServerLanes]) -> tuple[list[ServerLanes], int]:
    """The build servers as far as there is room, and how many lanes there is none for."""
    room, shown = _MOST_LANES, []
    for server in servers:
        if room:
            shown.append(ServerLanes(server.server, server.lanes[:room]))
        room = max(0, room - len(server.lanes))
    return shown, sum(len(server.lanes) for server in servers) - sum(len(server.lanes) for server in shown)


def _bar(span: Span, report: BuildReport, screen: Screen) -> str:
    row = span.row
    x = _place(span.begin, report)
    width = max(_LEAST, _place(span.end, report) - x)
    words = row["outcome"] + (f": {row['reason']}" if row["reason"] else "")
    name, outcome, client = (
        strange_line(text, screen, 80) for text in (row["output"] or row["compiler"], words, row["client"])
    )
    title = f"{name}: {outcome}, {screen.duration(total_secs(row))}, {client}"
    kind = _CLASSES.get(row["outcome"], "ot")
    return f'<rect class="{kind}" x="{x:.1f}" width="{width:.1f}" height="7"><title>{title}</title></rect>'


def _place(at: int, report: BuildReport) -> float:
    return _WIDTH * (at - report.begin) / max(1, report.end - report.begin)


def _line(values: Sequence[float], most: float) -> str:
    """Each value over the middle of its part of the time."""
    step = _WIDTH / len(values)
    return " ".join(
        f"{(place + 0.5) * step:.1f},{_AXIS + _CHART - _CHART * value / most:.1f}" for place, value in enumerate(values)
    )


def _axis(report: BuildReport, screen: Screen, height: int) -> str:
    return "".join(_ticks(report, screen, height))


def _ticks(report: BuildReport, screen: Screen, height: int) -> Iterator[str]:
    for tick in range(_TICKS):
        x = _WIDTH * tick / _TICKS
        at = (report.begin + (report.end - report.begin) * tick / _TICKS) / 1e6
        yield f'<path class="tick" d="M{x:.0f} 0V{height}"/><text x="{x + 2:.0f}" y="10">{screen.clock(at)}</text>'


def _picture(label: str, height: int, *parts: str) -> str:
    inner = "\n".join(parts)
    return (
        f'<div class="wide"><svg class="time" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">\n'
        f"{inner}\n</svg></div>"
    )


def _legend() -> str:
    entries = "".join(
        f'<li><svg class="key" viewBox="0 0 14 7" aria-hidden="true"><rect class="{kind}" width="14" height="7"/></svg>'
        f" {words}</li>"
        for kind, words in LEGEND
    )
    return f'<ul class="legend">{entries}</ul>'
