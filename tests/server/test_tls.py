"""The identity that a build server shows: TLS in memory, between our side and a client's."""

import hashlib
import shutil
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.protocol import Protocol
from twisted.logger import capturedLogs
from twisted.protocols.tls import TLSMemoryBIOProtocol

from sccachedist.server.tls import YOUNG_SECS, ShownIdentity
from sccachedist.wire.addresses import ServerId


class Clocked(datetime):
    """A host whose clock is wrong by ``off``."""

    off = timedelta()

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + cls.off


@pytest.fixture
def identity(tmp_path: Path) -> ShownIdentity:
    identity = ShownIdentity(tmp_path / "identity", ServerId.parse("127.0.0.1:10501"))
    identity.load()
    return identity


def shown(identity: ShownIdentity, version: int = SSL.TLS1_3_VERSION) -> bytes:
    """The digest of the certificate that a client of at most this version of TLS meets."""
    protocol = TLSMemoryBIOProtocol(None, Protocol())
    ours = identity.serverConnectionForTLS(protocol)
    ours.set_accept_state()
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(version)
    theirs = SSL.Connection(context, None)
    theirs.set_connect_state()
    for _ in range(4):
        for one, other in ((theirs, ours), (ours, theirs)):
            with suppress(SSL.WantReadError):
                one.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(1 << 16))
    certificate = theirs.get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_shown(identity: ShownIdentity, version: int) -> None:
    """Clients meet the certificate whose digest the heartbeats tell."""
    assert shown(identity, version) == identity.current.certificate_digest


def test_nothing_older(identity: ShownIdentity) -> None:
    """Nobody is met below TLS 1.2."""
    with pytest.raises(SSL.Error):
        shown(identity, SSL.TLS1_1_VERSION)


def test_loaded_again(identity: ShownIdentity, tmp_path: Path) -> None:
    """Loading changes nothing while the identity is good, and shows a new one at once when it is not."""
    first = identity.current
    identity.load()
    assert identity.current == first
    (tmp_path / "identity" / "tls.pem").unlink()
    identity.load()
    assert identity.current.certificate_digest != first.certificate_digest
    assert identity.current.job_key == first.job_key
    assert shown(identity) == identity.current.certificate_digest


def test_renewed_once_it_is_due(identity: ShownIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before. What keeps it from the disk is told once, and the one from before is shown."""
    first = identity.current
    (tmp_path / "identity" / "tls.pem").unlink()
    assert not identity.renew()

    monkeypatch.setattr("sccachedist.server.tls.datetime", Clocked)
    monkeypatch.setattr(Clocked, "off", timedelta(days=700))
    (tmp_path / "identity").rename(tmp_path / "away")
    (tmp_path / "identity").touch()
    with capturedLogs() as events:
        assert [identity.renew() for _ in range(3)] == [False] * 3
    assert len(events) == 1
    assert shown(identity) == first.certificate_digest
    (tmp_path / "identity").unlink()
    assert identity.renew()
    assert not identity.renew()
    assert shown(identity) == identity.current.certificate_digest != first.certificate_digest


@pytest.mark.parametrize("days", [-20_000, 20_000])
def test_a_clock_that_is_set(identity: ShownIdentity, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """What was made under a wrong clock goes soon; what was made under a right one stays, where that can be told."""
    monkeypatch.setattr("sccachedist.server.tls.datetime", Clocked)
    time_there, old = time.time(), YOUNG_SECS + 1

    def renews(time_there: float | None, up_secs: float = old) -> bool:
        before = identity.current
        assert identity.renew_early(time_there, up_secs) is (identity.current != before)
        return identity.current != before

    assert not renews(time_there, 0)  # it is good
    monkeypatch.setattr(Clocked, "off", timedelta(days=days))
    assert not renews(time_there)  # the clock is wrong now
    assert not renews(None)
    assert renews(None, 0)  # as at a start under a wrong clock
    monkeypatch.setattr(Clocked, "off", timedelta())
    assert renews(time_there)
    assert not renews(time_there)


def test_lost_for_a_moment(identity: ShownIdentity, tmp_path: Path) -> None:
    """When the identity cannot be loaded again, the one from before is still shown."""
    shutil.rmtree(tmp_path / "identity")
    (tmp_path / "identity").touch()
    with pytest.raises(OSError, match="identity"):
        identity.load()
    assert shown(identity) == identity.current.certificate_digest
