"""Which parts of a running scheduler take which keys of the configuration, when it is read again.

A part of a key that has its effect at once stands here, or the key does not have it.
"""

from collections.abc import Iterator

from sccachedist.auth.roster import Roster
from sccachedist.config import SchedulerSettings
from sccachedist.daemon.reload import Commit, Part, PreparedPart
from sccachedist.scheduler.standings import Standings
from sccachedist.scheduler.term import Terms
from sccachedist.web.tls import CertificateFiles


def reloaded_parts(
    files: CertificateFiles | None,
    roster: Roster,
    standings: Standings,
    terms: Terms,
) -> Iterator[Part[SchedulerSettings] | PreparedPart[SchedulerSettings]]:
    """The parts of one scheduler.

    :param files: its certificate, with TLS.
    :param roster: the tokens of clients with names; ``standings`` what these count for.
    """

    def of_clients(settings: SchedulerSettings) -> None:
        roster.replace(settings.clients.named)
        standings.replace(settings.clients.named)
        terms.current.renew_standings()

    yield Part(("clients.file", "clients.named"), of_clients)
    if files is not None:
        certificate = files

        def read_again(settings: SchedulerSettings) -> Commit:
            assert settings.tls is not None  # to begin with TLS, or to end it, needs a restart
            return certificate.read_again(settings.tls.certificate, settings.tls.private_key)

        yield PreparedPart(("tls",), read_again, is_always=True)
