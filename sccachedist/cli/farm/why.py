"""``why FILE``: why a file was compiled locally, or that it was not. Pure."""

from collections.abc import Iterator

from sccachedist.cli.farm.job import verdict
from sccachedist.cli.farm.screen import Screen, paragraph
from sccachedist.cli.farm.words import outcome_cell, refusal_sentences
from sccachedist.outcomes import Outcome
from sccachedist.printable import some
from sccachedist.records.documents import JobRow, RefusalCount, WhyDocument

_UNSEEN = (
    "What the farm never hears of: files found in the cache, links, probes of configure, commands with several "
    "sources. sccache --show-stats counts them. What a client decides by itself, it says with SCCACHE_LOG=debug."
)


def render(document: WhyDocument, screen: Screen, name: str) -> str:
    """Each compile of the file, the latest first; then who was refused; then what the farm cannot know."""
    blocks = ["\n".join(_compile(row, screen)) for row in document["jobs"]]
    if not blocks:
        since = f", since {screen.clock(document['since'])}" if document["since"] else ""
        blocks.append(f"Nothing is known of a compile whose output ends in {screen.text(name)}{since}.")
    blocks += ["\n".join(_refused(count, screen)) for count in document["refusals"]]
    return "\n".join([*blocks, paragraph(_UNSEEN, screen, "")])


def is_known(document: WhyDocument) -> bool:
    """Whether there is an answer."""
    return bool(document["jobs"] or document["refusals"])


def _compile(row: JobRow, screen: Screen) -> Iterator[str]:
    where = "" if row["server"] is None else f" by {screen.text(row['server'])}"
    yield screen.fitting(
        f"{screen.text(row['output'])}, {screen.clock(row['ended'])}: {outcome_cell(row, screen).text}{where}, "
        f"job {screen.text(row['id'])}"
    )
    yield from verdict(row, screen)


def _refused(count: RefusalCount, screen: Screen) -> Iterator[str]:
    means, mend = refusal_sentences(count["reason"])
    times = screen.clock(count["first"])
    if count["count"] > 1:
        times = f"between {times} and {screen.clock(count['last'])}"
    number = some(count["count"], "request")
    missed = "result" if count["reason"] == Outcome.SERVER_LOST.word else "slot"
    said = f"Also {number} of this client, {times}, got no {missed}: {screen.text(count['reason'])}."
    yield paragraph(said, screen, "")
    if count["detail"]:
        yield paragraph(screen.text(f'"{count["detail"]}"', 500), screen)
    yield paragraph(means, screen)
    if mend:
        yield paragraph(f"Mend: {mend}", screen)
    yield paragraph("Which files those were only the client knows.", screen)
