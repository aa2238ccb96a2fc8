"""What a build server tells of itself because its configuration says so: its token, its CPUs, where its metrics are."""

from sccachedist.auth.servers import INSECURE_SERVER_TOKEN
from sccachedist.builders.cpus import usable_cpus
from sccachedist.config import HostSettings, InsecureAuth, JwtToken, OwnToken, ServerSettings
from sccachedist.daemon.logs import Logger
from sccachedist.errors import ConfigError, PeerRefused
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.machines import run_by
from sccachedist.wire.messages import job_capacity
from sccachedist.wire.tokens import claimed_server

log = Logger()


def server_token(settings: ServerSettings) -> str:
    """Return the token that this build server shows to its scheduler.

    :raises ConfigError: the configured token is another server's.
    """
    match settings.scheduler_auth:
        case JwtToken(token=token):
            _check_own(token, settings.public_addr)
            return token
        case OwnToken(token=token):
            return f"{settings.public_addr} {token}"
        case InsecureAuth():
            log.warn("scheduler_auth is DANGEROUSLY_INSECURE: all who reach the scheduler may be build servers")
            return f"{settings.public_addr} {INSECURE_SERVER_TOKEN}"


def _check_own(token: str, public_addr: ServerId) -> None:
    key = "scheduler_auth.token"
    try:
        owner = claimed_server(token)
    except PeerRefused as error:
        raise ConfigError(f"{key}: expected what auth generate-jwt-hs256-server-token prints: {error}") from error
    if owner != public_addr:
        raise ConfigError(f"{key}: it was made for {owner}, not for public_addr, {public_addr}")


def offered_cpus(settings: HostSettings) -> int:
    """Return the number of CPUs that the scheduler is told of: configured, or all usable ones."""
    return settings.capacity.cpus or usable_cpus()


def job_slots(settings: HostSettings) -> int:
    """Return how many jobs the scheduler gives this build server at a time."""
    return job_capacity(offered_cpus(settings))


def machines(settings: HostSettings, own: int) -> tuple[int, ...]:
    """Return the machines whose programs run here: configured, or those that the host runs by itself.

    :param own: the machine of the host.
    """
    return settings.capacity.machines or run_by(own)


def machines_run(settings: HostSettings, own: int) -> tuple[int, ...]:
    """Return the machines of which toolchains run here: those, and the host's in any case, for its self-test needs it.

    :param own: the machine of the host.
    """
    return tuple(dict.fromkeys((*machines(settings, own), *run_by(own))))


def abilities(settings: ServerSettings, own: int) -> Abilities:
    """Return what sets this build server apart from others, but for what is known of toolchains."""
    return Abilities(machines=machines(settings, own), labels=settings.capacity.labels)


def told_metrics_port(settings: ServerSettings) -> int:
    """Return the port of the metrics if it is at the public IP address, where the scheduler tells others to look."""
    address, public = settings.metrics.address, settings.public_addr
    if address is None or not (address.host.is_unspecified or address.host == public.host):
        return 0
    return address.port
