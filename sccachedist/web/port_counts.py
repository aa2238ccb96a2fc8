"""What a role's port has done since its start, as plain numbers. Who reads them is not known here."""

from collections import Counter
from collections.abc import Callable

import attrs

#: Stands for the name of a route where a request found none.
NO_ROUTE = "unknown"


def _ignore(route: str, seconds: float) -> None:
    """Take no note of how long a request took."""


@attrs.define(eq=False)
class PortCounts:
    """The numbers of one port.

    :param answered: responses, by the name of the route and the status.
    :param limits: limits that were hit, by their keys under ``[limits]``.
    :param incidents: unforeseen errors.
    :param handshakes: TLS handshakes by how they ended: ``done`` or ``failed``.
    :param timed: called with the name of a route and the seconds from a request's headers to the end of its response.
    """

    answered: Counter[tuple[str, int]] = attrs.field(factory=Counter)
    limits: Counter[str] = attrs.field(factory=Counter)
    incidents: int = 0
    handshakes: Counter[str] = attrs.field(factory=Counter)
    timed: Callable[[str, float], None] = _ignore
