"""The ids of a term's jobs: no two terms have one in common, of one scheduler or of several.

An id has 63 bits until 2112: microseconds since 1970, times 2048. Terms differ in when they began, and a term uses less
than a microsecond of them for each microsecond that it lasts.
"""

import hashlib

import attrs

from sccachedist.wire.messages import JobId

_PLACES = 1 << 11


@attrs.frozen
class JobIds:
    """Which ids a term's jobs get.

    :param step: from each to the next.
    """

    first: JobId
    step: int = 1


def ids_since(unix_time: float) -> JobIds:
    """The ids of the only scheduler. No restart reuses one."""
    return JobIds(JobId(int(unix_time * 1_000_000) * _PLACES))


def ids_of_term(number: int, incarnation: str) -> JobIds:
    """The ids of one of several schedulers, whose clocks may be an hour apart.

    A job takes a number. The next time in office has a number beyond all that this one used
    (:data:`sccachedist.cluster.election.STEP`), and two leaders at a time, which may have the same number, have ids at
    different places between two numbers.

    :param number: of its time in office, see :class:`sccachedist.cluster.leadership.Leading`.
    :param incarnation: of its candidate.
    """
    digest = hashlib.sha256(incarnation.encode()).digest()
    return JobIds(JobId(number * _PLACES + int.from_bytes(digest[:2]) % _PLACES), _PLACES)
