"""The words of :mod:`sccachedist.outcomes` as the commands print them, with the sentences that belong to them. Pure."""

from collections import Counter
from collections.abc import Mapping

from sccachedist.cli.farm.screen import Cell, Screen, Style
from sccachedist.outcomes import AT_HOME, Outcome, Refusal, SentLocal, Suspicion, Word
from sccachedist.records.documents import JobRow, Recent

#: What a client compiles itself, by the words of outcomes.
HOME = tuple(outcome.word for outcome in AT_HOME)
#: What the farm compiled.
REMOTE = (Outcome.COMPILED.word, Outcome.COMPILE_ERROR.word)

_OUTCOMES = {word.word: word for word in Outcome}
_REFUSALS = {word.word: word for word in Refusal}
_SENT_LOCAL = {word.word: word for word in SentLocal}
_KINDS = {word.word: word for word in Suspicion}
_UNKNOWN = "This version does not know this word: the scheduler is newer."


def outcome_cell(row: JobRow, screen: Screen) -> Cell:
    """What became of a request: the outcome, with its reason and the kind of that."""
    shown = row["outcome"]
    if row["reason"]:
        shown += f": {row['reason']}"
    if row["kind"]:
        shown += f" ({row['kind']})"
    style: Style = {**dict.fromkeys(HOME, "warn"), Outcome.COMPILED.word: "good"}.get(row["outcome"], "")  # type: ignore[assignment]
    return Cell(screen.text(shown), style)


def sentences(row: JobRow) -> tuple[str, str]:
    """What has happened to a request, and what mends that; the latter is empty if nothing is to be mended."""
    outcome, reason, kind = row["outcome"], row["reason"], row["kind"]
    words: list[Word | None] = [_OUTCOMES.get(outcome)]
    if reason is not None:
        words = [(_REFUSALS if outcome == Outcome.REFUSED.word else _SENT_LOCAL).get(reason)]
        if reason == SentLocal.SUSPICIOUS.word and kind is not None:
            words.append(_KINDS.get(kind))
    means = " ".join(_UNKNOWN if word is None else word.means for word in words)
    return means, "" if words[-1] is None else words[-1].mend


def refusal_sentences(reason: str) -> tuple[str, str]:
    """The same for requests that got no slot, and those whose build server was lost."""
    word = _REFUSALS.get(reason) or _OUTCOMES.get(reason)
    return (_UNKNOWN, "") if word is None else (word.means, word.mend)


def counted(outcomes: Mapping[str, int], words: tuple[str, ...]) -> int:
    """How many requests ended with one of some words."""
    return sum(outcomes.get(word, 0) for word in words)


def compiled_share(outcomes: Mapping[str, int]) -> float | None:
    """The share of requests that the farm compiled, of those that it compiled or sent home; None without any."""
    remote, home = counted(outcomes, REMOTE), counted(outcomes, HOME)
    return remote / (remote + home) if remote + home else None


def home_with_share(outcomes: Mapping[str, int], screen: Screen) -> str:
    """How many requests went home, and which share that is; the share only if there are any."""
    home, share = counted(outcomes, HOME), compiled_share(outcomes)
    return screen.number(home) + (f" ({100 * (1 - share):.1f} %)" if share is not None and home else "")


def home_reasons(recent: Recent) -> list[tuple[str, int]]:
    """Why requests went home, the most frequent reason first: the counts make up all that :data:`HOME` counts.

    A reason may be a build server's and the scheduler's, as ``shutdown`` is: it counts once, with both numbers.
    """
    reasons = Counter(recent["sent_local"])
    reasons.update(recent["refusals"])
    reasons[Outcome.SERVER_LOST.word] += recent["outcomes"].get(Outcome.SERVER_LOST.word, 0)
    return sorted(((word, count) for word, count in reasons.items() if count), key=lambda pair: (-pair[1], pair[0]))
