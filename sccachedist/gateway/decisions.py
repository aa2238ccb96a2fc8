"""What :mod:`sccachedist.gateway.dispatch` decides, and :mod:`sccachedist.gateway.worker_sessions` does. Pure."""

from typing import NewType

import attrs

from sccachedist.errors import SccachedistError

#: A job at this gateway, by its age: a younger one has a greater number.
JobKey = NewType("JobKey", int)


@attrs.frozen
class Give:
    """The request of an open place is answered with a job."""

    session: str
    place: int
    job: JobKey
    ticket: int


@attrs.frozen
class ClosePlace:
    """The request of a place is answered with nothing."""

    session: str
    place: int


@attrs.frozen
class EndTicket:
    """A worker has to end a job at once."""

    session: str
    ticket: int


@attrs.frozen
class Dismiss:
    """A session is over: its requests are answered with nothing."""

    session: str


@attrs.frozen
class SendHome:
    """A job ends without a result."""

    job: JobKey
    error: SccachedistError


Decision = Give | ClosePlace | EndTicket | Dismiss | SendHome
