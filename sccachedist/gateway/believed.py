"""What is believed of a worker's answer: of what a job took, and of the error that it ends with. Pure.

A worker is of this package, but perhaps of another release, and what it says goes into metrics and records.
"""

import re

import attrs

from sccachedist.builders.worker_protocol import Failed, raised
from sccachedist.config import ServerLimits
from sccachedist.errors import BuildError, SccachedistError
from sccachedist.outcomes import SentLocal, Suspicion
from sccachedist.printable import excerpt
from sccachedist.wire.gateway import Built, NotBuilt, WorkerHello, WorkerState
from sccachedist.wire.usage import NO_EXIT, Usage

#: The most CPUs of one worker.
MOST_CPUS = 1024
_LONGEST_TEXT = 2000
_KIND = re.compile(r"[A-Za-z0-9_. ]{0,64}")
#: The limits that there are: each has a series of its own, so a worker invents none.
_LIMITS = {field.name for field in attrs.fields(ServerLimits)} | {"sandbox.scratch_bytes"}
_SUSPICIONS = {suspicion.word for suspicion in Suspicion}


def usage_of(answer: Built | NotBuilt) -> Usage:
    """What the job took."""
    return answer.usage if answer.usage.exit_code <= NO_EXIT else attrs.evolve(answer.usage, exit_code=NO_EXIT)


def cpus_of(said: WorkerHello | WorkerState) -> int:
    """The CPUs that the worker offers; it opens no more places than :data:`MOST_CPUS`."""
    return min(said.cpus, MOST_CPUS)


def failure_of(answer: NotBuilt) -> SccachedistError:
    """The error that the worker had. A disk of a worker is none of this host's, so that is a ``BuildError`` here."""
    text = excerpt(answer.text, _LONGEST_TEXT)
    kind = answer.kind if _KIND.fullmatch(answer.kind) else ""
    if answer.reason is SentLocal.SUSPICIOUS and kind not in _SUSPICIONS:
        kind = Suspicion.VERIFY.word
    if answer.reason is SentLocal.LIMIT and kind not in _LIMITS:
        kind = ""
    if answer.reason is not SentLocal.DISK:
        return raised(Failed(answer.reason, text, kind))
    error = BuildError(SentLocal.DISK, text)
    error.kind = kind
    return error
