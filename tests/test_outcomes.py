"""The vocabulary of what becomes of a compile: each word is explained, and keeps its number on the wire."""

import pytest

from sccachedist.outcomes import SERVER_PHASES, Lack, Outcome, Refusal, SentLocal, Suspicion, TimedPhase, Word

WORDS = [word for kind in (Outcome, Refusal, SentLocal, Lack, Suspicion, TimedPhase) for word in kind]
#: In these cases nothing is wrong, or nobody can change it.
NOTHING_TO_MEND = {Outcome.COMPILED, Refusal.CLIENT_GONE, Refusal.SHUTDOWN, SentLocal.CLIENT_GONE, *TimedPhase}


@pytest.mark.parametrize("word", WORDS, ids=str)
def test_each_word_is_explained(word: Word) -> None:
    """It has a sentence that says what it means, and one that says what mends it."""
    assert word.means
    assert word.mend or word in NOTHING_TO_MEND
    if not isinstance(word, TimedPhase):
        assert word.means[0].isupper()
        assert word.means.endswith(".")
        assert word.mend == "" or word.mend.endswith(".")


def test_no_member_is_another_ones_alias() -> None:
    """Two words with the same sentences would be one member."""
    for kind in (Outcome, Refusal, SentLocal, Lack, Suspicion, TimedPhase):
        assert len(kind) == len(kind.__members__)


def test_numbers_on_the_wire() -> None:
    """Daemons of different releases talk to each other: a word keeps its number."""
    assert [word.word for word in Outcome][:4] == ["compiled", "compile_error", "sent_local", "refused"]
    assert [word.word for word in SentLocal] == [
        *(
            "suspicious",
            "options",
            "signal",
            "no_output",
            "limit",
            "toolchain",
            "inputs",
            "sandbox",
            "disk",
            "no_place",
        ),
        *("stale_token", "unknown_job", "client_gone", "shutdown", "incident", "not_executed", "killed", "machine"),
        *("worker_lost", "no_worker"),
    ]
    assert [phase.word for phase in SERVER_PHASES] == [
        "toolchain_upload",
        "toolchain_wait",
        "toolchain_unpack",
        "inputs_receive",
        "worker_wait",
        "sandbox",
        "inputs_unpack",
        "compile",
        "outputs",
        "answer",
    ]
