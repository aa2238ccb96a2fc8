"""Where in the farm a toolchain is, as our scheduler tells our build server: values and their bytes.

What may be fetched from whom is decided in :mod:`sccachedist.scheduler.presumptions`.
"""

import attrs

from sccachedist.wire.addresses import SERVER_ID, ServerId
from sccachedist.wire.bincode import BOOL, TEXT, U64, Codec, octets, sequence, struct

#: The most holders in one answer, the most popular toolchains, and the most bytes of a certificate's digest.
MOST_HOLDERS, MOST_POPULAR, _DIGEST_BYTES = 8, 64, 64


@attrs.frozen
class ToolchainHolder:
    """A build server that has a toolchain.

    :param cert_digest: the SHA-256 of its certificate's DER form.
    :param token: opens this toolchain there, for a while.
    """

    server_id: ServerId
    cert_digest: bytes
    token: str = attrs.field(repr=False)


@attrs.frozen
class Holders:
    """Who has a toolchain.

    :param holders: some of those that give it to others, in the order in which to ask them.
    :param coming: whether a client is bringing it to one of them, so that it is worth while to ask again.
    """

    holders: tuple[ToolchainHolder, ...] = ()
    coming: bool = False


@attrs.frozen
class Popular:
    """A toolchain that many jobs need.

    :param size: the bytes of its archive.
    """

    toolchain: str
    size: int


HOLDERS: Codec[Holders] = struct(
    Holders,
    holders=sequence(
        struct(ToolchainHolder, server_id=SERVER_ID, cert_digest=octets(_DIGEST_BYTES), token=TEXT),
        MOST_HOLDERS,
    ),
    coming=BOOL,
)
#: The toolchains that were needed most, the first one first.
POPULAR: Codec[tuple[Popular, ...]] = sequence(struct(Popular, toolchain=TEXT, size=U64), MOST_POPULAR)
