"""A Redis or Valkey, with or without Sentinel, as it is asked. Here alone txredisapi is used, for its protocol.

A connection is kept, and made again for the next question after anything went wrong. Sentinels are asked again then,
too, so that a new master is found. What is kept there is not known here.
"""

from pathlib import Path
from typing import Any, TypeVar

import attrs
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred, FailureGroup, TimeoutError, race  # noqa: A004
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates
from twisted.python.failure import Failure

from sccachedist.cluster.store import StoreError
from sccachedist.config.cluster import StoreAddress
from sccachedist.errors import ConfigError
from sccachedist.given_files import read_given
from sccachedist.printable import excerpt

try:
    import txredisapi
except ModuleNotFoundError as error:
    raise ConfigError("cluster: needs txredisapi: pip install 'sccachedist[cluster]'") from error

T = TypeVar("T")

#: The most bytes of an answer.
MOST_ANSWER = 64 << 20


class _Unusable(Exception):
    """The store cannot be used; the text says why."""


@attrs.define
class _Connection:
    """A connection, and why it was lost.

    :param wire: a ``txredisapi.RedisProtocol``.
    :param heard: the bytes of the answer so far.
    """

    wire: Any
    lost: Failure | None = None
    heard: int = 0

    @classmethod
    def make(cls) -> "_Connection":
        """One that is not connected yet."""
        made = cls(txredisapi.RedisProtocol(charset=None, convertNumbers=False))
        connection_lost, data_received = made.wire.connectionLost, made.wire.dataReceived

        def note(reason: Failure) -> None:
            made.lost = made.lost or reason
            connection_lost(reason)

        def take(data: bytes, *more: object) -> None:
            made.heard += 0 if more else len(data)  # else it comes again, from the protocol itself
            if made.heard <= MOST_ANSWER:
                data_received(data, *more)
            else:
                made.lost = Failure(_Unusable(f"its answer has more than {MOST_ANSWER} bytes"))
                made.close()

        made.wire.connectionLost, made.wire.dataReceived = note, take
        return made

    async def ask(self, *command: object) -> Any:
        """The answer to one command."""
        self.heard = 0
        try:
            return await self.wire.execute_command(*command)
        except txredisapi.ConnectionError as error:
            why = self.lost.value if self.lost else None
            raise why or error from error

    def close(self) -> None:
        """Close it; twice is no error."""
        if self.wire.transport is not None:
            self.wire.transport.abortConnection()


class RedisStore:
    """A store that is asked one question after the other.

    :param trusted: what :func:`authorities` gives.
    :param within: seconds for each question, connecting included.
    """

    def __init__(self, address: StoreAddress, password: str | None, trusted: Any, within: float, reactor: Any) -> None:
        self._address, self._password, self._trusted = address, password, trusted
        self._within, self._reactor = within, reactor
        self._kept: _Connection | None = None

    def __str__(self) -> str:
        return str(self._address)

    def close(self) -> None:
        """Keep no connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    async def ask(self, *command: object) -> object:
        """The answer to one command: bytes, a list of answers, or None.

        :raises StoreError: there is none in time, or it is an error.
        """
        try:
            asked = Deferred.fromCoroutine(self._asked(*command))
            return await asked.addTimeout(self._within, self._reactor)
        except BaseException as error:
            self.close()
            if isinstance(error, CancelledError) or not isinstance(error, Exception):
                raise
            raise StoreError(f"{self._address}: {_text(error)}") from error

    async def _asked(self, *command: object) -> object:
        if self._kept is None or not self._kept.wire.connected:
            self._kept = await self._connected(*await self._place())
        return await self._kept.ask(*command)

    async def _place(self) -> tuple[str, int]:
        """Where the store is."""
        if self._address.master is None:
            return self._address.places[0]
        asked = [Deferred.fromCoroutine(self._master(*place, self._address.master)) for place in self._address.places]
        try:
            _, found = await race(asked)
        except FailureGroup as group:
            raise _Unusable(f"no Sentinel knows the master: {_text(group.failures[0].value or group)}") from group
        return found

    async def _master(self, host: str, port: int, name: str) -> tuple[str, int]:
        """Where a Sentinel says that the store is."""
        sentinel = await self._open(host, port)
        try:
            found = await sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
        finally:
            sentinel.close()
        if not found:
            raise _Unusable(f"{host}:{port} has none of the name {excerpt(name)}")
        return found[0].decode(), int(found[1])

    async def _connected(self, host: str, port: int) -> _Connection:
        """A connection that may be asked."""
        connection = await self._open(host, port)
        try:
            if self._password is not None:
                user = (self._address.user,) if self._address.user else ()
                await connection.ask("AUTH", *user, self._password)
            if self._address.database:
                await connection.ask("SELECT", self._address.database)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _open(self, host: str, port: int) -> _Connection:
        endpoint: Any = HostnameEndpoint(self._reactor, host, port, timeout=self._within)
        if self._address.is_tls:
            endpoint = wrapClientTLS(optionsForClientTLS(host, self._trusted), endpoint)
        connection = _Connection.make()
        factory = Factory.forProtocol(lambda: connection.wire)
        factory.noisy = False
        await endpoint.connect(factory)
        return connection


def authorities(file: Path | None) -> Any:
    """Who may sign the store's certificate; by default, whom this host trusts.

    :raises ConfigError: the file cannot be used.
    """
    if file is None:
        return platformTrust()
    try:
        found = load_pem_x509_certificates(read_given(file))
    except OSError as error:
        raise ConfigError(f"cluster.lock_ca: {file}: {error.strerror or 'cannot be read'}") from error
    except ValueError as error:
        raise ConfigError(f"cluster.lock_ca: {file}: not PEM") from error
    loaded = [Certificate.load(each.public_bytes(Encoding.DER), crypto.FILETYPE_ASN1) for each in found]
    return trustRootFromCertificates(loaded)


def _text(error: BaseException) -> str:
    """Why there is no answer, in a few words."""
    match error:
        case txredisapi.ResponseError():
            return _refusal(str(error))
        case VerificationError():
            return "its certificate is for another name"
        case SSL.Error() if "certificate verify failed" in str(error):
            return "no authority of cluster.lock_ca has signed its certificate, or it has expired"
        case SSL.Error():
            return f"TLS failed: {excerpt(str(error))}"
        case TimeoutError():
            return "no answer in time"
        case DNSLookupError():
            return "its name has no address"
        case ConnectionClosed() | txredisapi.ConnectionError():
            return "it closed the connection"
        case ConnectError():
            return "no connection: " + excerpt(str(error))
    return excerpt(str(error) or type(error).__name__)


def _refusal(said: str) -> str:
    """What an error of the store means. Inside of scripts, their words stand anywhere in the text."""
    for word, meaning in (
        ("READONLY", "it is a read-only replica, and the lock needs the master"),
        ("WRONGPASS", "it does not accept the password"),
        ("NOAUTH", "it asks for a password (cluster.lock_password_file)"),
        ("in protected mode", "it is in protected mode: its default user needs a password (requirepass)"),
    ):
        if word in said:
            return meaning
    return f"it says: {excerpt(said.strip())}"
