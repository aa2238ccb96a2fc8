"""What a build server tells of a job that is over: a value and its bytes. It travels behind the report of the end.

The bytes are packed by one :mod:`struct` layout, because as a bincode struct they would take ten times as long. A
scheduler keeps them as they came and reads them when they are shown.
"""

import struct
from typing import TypeVar

import attrs

from sccachedist.errors import DecodeError
from sccachedist.outcomes import SERVER_PHASES, Outcome, SentLocal, TimedPhase, Word

W = TypeVar("W", bound=Word)

#: The most bytes of each text: kind, output, compiler, detail.
MOST_TEXT = _MOST_KIND, _MOST_OUTPUT, _MOST_COMPILER, _MOST_DETAIL = (64, 200, 64, 500)
_OUTCOMES, _REASONS = tuple(Outcome), (None, *SentLocal)
_OUTCOME_NUMBERS = {outcome: number for number, outcome in enumerate(_OUTCOMES)}
_REASON_NUMBERS = {reason: number for number, reason in enumerate(_REASONS)}
_LAYOUT = struct.Struct(f"<BBhHB{len(SERVER_PHASES)}I6Q4H")
_LENGTHS, _U32, _CPU_TIMES = struct.Struct("<4H"), struct.Struct("<I"), struct.Struct("<QQ")
_CPU = struct.calcsize(f"<BBhHB{len(SERVER_PHASES)}I")
_PHASES = struct.calcsize("<BBhHB")
_COMPILE = _PHASES + SERVER_PHASES.index(TimedPhase.COMPILE) * _U32.size
_FIRST, _LAST = map(SERVER_PHASES.index, (TimedPhase.TOOLCHAIN_UNPACK, TimedPhase.OUTPUTS))
_STARTED, _STARTED_TIMES = _PHASES + _FIRST * _U32.size, struct.Struct(f"<{_LAST - _FIRST + 1}I")
MOST_BYTES = _LAYOUT.size + sum(MOST_TEXT)
_MOST_U32, _UNKNOWN_EXIT = 2**32 - 1, -1


@attrs.frozen
class JobSummary:
    """One job that a build server has ended.

    :param outcome: ``COMPILED``, ``COMPILE_ERROR``, ``SENT_LOCAL``, or ``UNCLAIMED`` if its client did not come.
    :param reason: of ``SENT_LOCAL``.
    :param kind: of the reason: a word of :class:`~sccachedist.outcomes.Suspicion`, the key of a limit, or ``full`` of a
        disk.
    :param exit_code: the compiler's own status, 0 to 255, 128 plus the signal's number if it was killed; None if it did
        not come to an end.
    :param slot: the smallest number, from 0, that no other running job of the build server had.
    :param prewarmed: whether the sandbox stood ready.
    :param phases_us: microseconds of each of :data:`~sccachedist.outcomes.SERVER_PHASES`.
    :param input_bytes: of the inputs as they came; ``output_bytes``: of the answer; ``uploaded_bytes``: of the
        toolchain, if this job's client brought it.
    :param output: the first declared output, as the client named it; ``compiler``: the file name of the executable.
    :param detail: what the client was told instead of a result.
    """

    outcome: Outcome
    reason: SentLocal | None = None
    kind: str = ""
    exit_code: int | None = None
    slot: int = 0
    prewarmed: bool = False
    phases_us: tuple[int, ...] = (0,) * len(SERVER_PHASES)
    cpu_user_us: int = 0
    cpu_system_us: int = 0
    peak_memory_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    uploaded_bytes: int = 0
    output: str = ""
    compiler: str = ""
    detail: str = ""


def packed(summary: JobSummary) -> bytes:
    """The bytes of a summary; texts that are too long lose their end, but the output's name loses its beginning."""
    kind = summary.kind.encode(errors="replace")[:_MOST_KIND]
    output = summary.output.encode(errors="replace")[-_MOST_OUTPUT:]
    compiler = summary.compiler.encode(errors="replace")[:_MOST_COMPILER]
    detail = summary.detail.encode(errors="replace")[:_MOST_DETAIL]
    fixed = _LAYOUT.pack(
        _OUTCOME_NUMBERS[summary.outcome],
        _REASON_NUMBERS[summary.reason],
        _UNKNOWN_EXIT if summary.exit_code is None else summary.exit_code,
        summary.slot,
        summary.prewarmed,
        *(min(part, _MOST_U32) for part in summary.phases_us),
        summary.cpu_user_us,
        summary.cpu_system_us,
        summary.peak_memory_bytes,
        summary.input_bytes,
        summary.output_bytes,
        summary.uploaded_bytes,
        len(kind),
        len(output),
        len(compiler),
        len(detail),
    )
    return b"".join((fixed, kind, output, compiler, detail))


def unpacked(octets: bytes) -> JobSummary:
    """Read the bytes of a summary. What follows them is ignored.

    :raises DecodeError: they are none.
    """
    if not _LAYOUT.size <= len(octets) <= MOST_BYTES:
        raise DecodeError(f"a job's summary of {len(octets)} bytes")
    outcome, reason, exit_code, slot, prewarmed, *numbers = _LAYOUT.unpack_from(octets)
    texts, begin = [], _LAYOUT.size
    for length in numbers[-len(MOST_TEXT) :]:
        texts.append(octets[begin : begin + length].decode(errors="replace"))
        begin += length
    if begin > len(octets):
        raise DecodeError("a job's summary is shorter than its texts")
    count = len(SERVER_PHASES)
    user, system, memory, inputs, outputs, uploaded = numbers[count : count + 6]
    kind, output, compiler, detail = texts
    return JobSummary(
        outcome=_word(_OUTCOMES, outcome),
        reason=_word(_REASONS, reason),
        kind=kind,
        exit_code=None if exit_code == _UNKNOWN_EXIT else exit_code,
        slot=slot,
        prewarmed=bool(prewarmed),
        phases_us=tuple(numbers[:count]),
        cpu_user_us=user,
        cpu_system_us=system,
        peak_memory_bytes=memory,
        input_bytes=inputs,
        output_bytes=outputs,
        uploaded_bytes=uploaded,
        output=output,
        compiler=compiler,
        detail=detail,
    )


def names_of(octets: bytes) -> tuple[str, str]:
    """Read no more of a summary than the names of the output and of the compiler.

    :raises DecodeError: the bytes are no summary.
    """
    if not _LAYOUT.size <= len(octets) <= MOST_BYTES:
        raise DecodeError(f"a job's summary of {len(octets)} bytes")
    kind, output, compiler, _ = _LENGTHS.unpack_from(octets, _LAYOUT.size - _LENGTHS.size)
    begin, middle = _LAYOUT.size + kind, _LAYOUT.size + kind + output
    return octets[begin:middle].decode(errors="replace"), octets[middle : middle + compiler].decode(errors="replace")


def compile_us(octets: bytes) -> int:
    """Read no more of a summary than the microseconds in which the compiler ran.

    :raises DecodeError: the bytes are no summary.
    """
    if not _LAYOUT.size <= len(octets) <= MOST_BYTES:
        raise DecodeError(f"a job's summary of {len(octets)} bytes")
    found: int = _U32.unpack_from(octets, _COMPILE)[0]
    return found


def times_us(octets: bytes) -> tuple[int, int, int]:
    """Read no more of a summary than three times of a job in microseconds.

    :returns: in which the compiler ran; that with all that comes before and behind it from the time when the toolchain
        was there until the answer was, which is what a published build server calls started; and the compiler's CPU.
    :raises DecodeError: the bytes are no summary.
    """
    ran = compile_us(octets)
    user, system = _CPU_TIMES.unpack_from(octets, _CPU)
    return ran, sum(_STARTED_TIMES.unpack_from(octets, _STARTED)), user + system


def ending(octets: bytes) -> tuple[Outcome, SentLocal | None]:
    """Read no more of a summary than what became of the job.

    :raises DecodeError: the bytes are no summary.
    """
    if not _LAYOUT.size <= len(octets) <= MOST_BYTES:
        raise DecodeError(f"a job's summary of {len(octets)} bytes")
    return _word(_OUTCOMES, octets[0]), _word(_REASONS, octets[1])


def _word(words: tuple[W, ...], number: int) -> W:
    if number >= len(words):
        raise DecodeError(f"a job's summary has a word {number}, and {len(words)} are known")
    return words[number]
