"""The bounds of what a build server may say of itself in a heartbeat. Pure.

How long it is believed when no heartbeat comes is decided in :mod:`sccachedist.scheduler.liveness`.
"""

from sccachedist.errors import DecodeError, SccachedistError
from sccachedist.wire.abilities import Abilities, is_label
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.extension import ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.messages import Heartbeat

#: The most CPUs that a build server may claim. The wire would take more, but then could not carry a farm's sum.
MOST_CPUS = 1 << 16
#: The most bytes of the key for a build server's job tokens. The published one has 32.
MOST_KEY_BYTES = 1024
#: The most characters of why a build server says that it is unfit.
MOST_REASON = 1000
#: The most characters of its version.
MOST_VERSION = 64
#: The most bytes of its host's name, and the largest number that it may tell of its host: JavaScript reads no larger
#: one exactly.
MOST_NAME, MOST_NUMBER = 253, 1 << 53
#: The most characters of the name of its object store, and of why that cannot be used.
MOST_STORE_NAME, MOST_TROUBLE = 1000, 1000
#: The most characters of the word for why it takes fewer jobs than it has CPUs for.
MOST_LACK = 64
#: The most seconds between two heartbeats that our build server may announce.
MOST_HEARTBEAT_SECS = 3600


class IdentityInUse(SccachedistError):
    """A heartbeat for the address of a live build server comes from another one."""


def check_heartbeat(heartbeat: Heartbeat, report: ServerReport | None) -> None:
    """Return if all numbers are within bounds.

    :raises DecodeError: one is not.
    """
    if not 1 <= heartbeat.num_cpus <= MOST_CPUS:
        raise DecodeError(f"a build server has 1 to {MOST_CPUS} CPUs, not {heartbeat.num_cpus}")
    if len(heartbeat.jwt_key) > MOST_KEY_BYTES:
        raise DecodeError(f"jwt_key has more than {MOST_KEY_BYTES} bytes")
    if report is not None and not 1 <= report.heartbeat_secs <= MOST_HEARTBEAT_SECS:
        raise DecodeError(f"heartbeats come every 1 to {MOST_HEARTBEAT_SECS} seconds")
    if report is not None and report.health is not None and len(report.health.unfit) > MOST_REASON:
        raise DecodeError(f"unfit has more than {MOST_REASON} characters")
    if report is not None and len(report.version) > MOST_VERSION:
        raise DecodeError(f"version has more than {MOST_VERSION} characters")
    if report is not None and report.host is not None:
        _check_host(report.host, len(report.toolchains))
    if report is not None and report.abilities is not None:
        _check_abilities(report.abilities, len(report.toolchains))


def _check_host(host: HostFacts, toolchains: int) -> None:
    if len(host.name.encode()) > MOST_NAME:
        raise DecodeError(f"the name of a host has more than {MOST_NAME} bytes")
    if len(host.sizes) not in (0, toolchains):
        raise DecodeError(f"{len(host.sizes)} sizes are told of {toolchains} toolchains")
    for toolchain, _ in host.uploads:
        archive_id(toolchain)
    known = (number for number in host.numbers if number is not None)
    if max((*known, *host.sizes, *(size for _, size in host.uploads)), default=0) > MOST_NUMBER:
        raise DecodeError(f"a number of a host is larger than {MOST_NUMBER}")


def _check_abilities(abilities: Abilities, toolchains: int) -> None:
    if len(abilities.built_for) not in (0, toolchains):
        raise DecodeError(f"{len(abilities.built_for)} machines are told of {toolchains} toolchains")
    if not all(map(is_label, abilities.labels)):
        raise DecodeError("what a build server calls its labels are none")
    offer = abilities.offer
    if offer is not None and (offer.slots > MOST_NUMBER or len(offer.lack) > MOST_LACK):
        raise DecodeError(f"an offer is a number of slots, and a word of at most {MOST_LACK} characters")
    store = abilities.store
    if store is not None and (len(store.name) > MOST_STORE_NAME or len(store.trouble) > MOST_TROUBLE):
        raise DecodeError(f"an object store has a name of at most {MOST_STORE_NAME} characters, and trouble of as many")
    gateway = abilities.gateway
    if gateway is not None and max(gateway.workers, gateway.cpus) > MOST_NUMBER:
        raise DecodeError(f"a number of a gateway is larger than {MOST_NUMBER}")
