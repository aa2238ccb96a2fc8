"""``jobs``: the requests that are over, and the jobs that are not. Pure."""

from sccachedist.cli.farm.screen import ADDRESS, ADDRESS_AND_PORT, Cell, Column, Screen, table
from sccachedist.cli.farm.words import outcome_cell
from sccachedist.outcomes import TimedPhase
from sccachedist.records.documents import JobRow, JobsDocument, RunningRow

#: The last digits of a job's number that are shown; ``job`` takes them.
DIGITS = 10

#: In the order of :func:`over_cells`.
OVER = (
    Column("ENDED"),
    Column("JOB", right=True),
    Column("CLIENT", keep="start", least=ADDRESS, spare=True),
    Column("SERVER", keep="start", least=ADDRESS_AND_PORT),
    Column("OUTPUT", keep="end"),
    Column("TOTAL", right=True),
    Column("COMPILE", right=True, spare=True),
    Column("WAIT", right=True, spare=True),
    Column("OUTCOME", keep="start", least=20),
)
_RUNNING = (
    Column("JOB", right=True),
    Column("CLIENT", keep="start", least=ADDRESS),
    Column("SERVER", keep="start", least=ADDRESS_AND_PORT),
    Column("PHASE"),
    Column("FOR", right=True),
)


def render(document: JobsDocument, screen: Screen) -> str:
    """A line for each request that is over, the latest first, and for each job that is not."""
    parts = [table(OVER, [over_cells(row, screen) for row in document["jobs"]], screen)]
    if document["next"] is not None:
        parts.append(screen.fitting("There are more: choose some, or give a larger --limit."))
    if document["running"]:
        parts += ["", table(_RUNNING, [_running(row, screen) for row in document["running"]], screen)]
    return "\n".join(parts)


def over_cells(row: JobRow, screen: Screen) -> list[Cell | str]:
    """What is in :data:`OVER` of one that is over."""
    phases = row["phases"]
    return [
        screen.clock(row["ended"]),
        screen.text(row["id"] and row["id"][-DIGITS:]),
        screen.text(row["client"]),
        screen.text(row["server"]),
        screen.text(row["output"]),
        screen.duration(max(0.0, row["ended"] - row["asked"])),
        screen.duration(phases.get(TimedPhase.COMPILE.word)),
        screen.duration(phases.get(TimedPhase.QUEUE_WAIT.word)),
        outcome_cell(row, screen),
    ]


def _running(row: RunningRow, screen: Screen) -> list[Cell | str]:
    return [
        screen.text(row["id"][-DIGITS:]),
        screen.text(row["client"]),
        screen.text(row["server"]),
        screen.text(row["phase"]),
        screen.duration(row["secs"]),
    ]
