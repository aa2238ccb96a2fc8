"""What an administrator asks of a running scheduler, from the command line.

Plain and synchronous: it does not need the daemons' reactor. Which orders there are is the scheduler's affair.
"""

import urllib.error
import urllib.request

from sccachedist.config import SchedulerSettings
from sccachedist.errors import ConfigError, PeerError
from sccachedist.wire.addresses import ServerId

#: Seconds in which the scheduler has to answer.
ANSWER_SECS = 20.0


def give_order(settings: SchedulerSettings, url: str | None, order: str, server_id: ServerId) -> None:
    """Ask a scheduler to drain or undrain a build server.

    :param settings: the scheduler's own, with the administrators' token.
    :param url: where the scheduler is, if not at its ``public_addr``.
    :param order: ``drain`` or ``undrain``.
    :raises ConfigError: there is no token for administrators.
    :raises PeerError: the scheduler did not do it.
    """
    if settings.admin.token is None:
        raise ConfigError("admin.token: missing, expected the secret of those who may drain build servers")
    base = (url or f"http://{_reachable(settings.public_addr)}").rstrip("/")
    asked = urllib.request.Request(  # noqa: S310 - the scheme is checked by the configuration's rules
        f"{base}/api/v1/admin/{order}/{server_id}",
        method="POST",
        headers={"Authorization": f"Bearer {settings.admin.token}"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=ANSWER_SECS):  # noqa: S310
            pass
    except urllib.error.HTTPError as error:
        raise PeerError(f"the scheduler at {base} answered {error.code}", status=error.code) from error
    except OSError as error:
        raise PeerError(f"the scheduler at {base} does not answer: {getattr(error, 'reason', error)}") from error


def _reachable(address: ServerId) -> ServerId:
    """Where one that listens everywhere is reached from its own host."""
    if not address.host.is_unspecified:
        return address
    return ServerId.parse(f"{'127.0.0.1' if address.host.version == 4 else '[::1]'}:{address.port}")
