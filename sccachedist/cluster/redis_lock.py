"""The lock in a Redis or Valkey, with or without Sentinel. Here alone txredisapi is used, for its protocol.

A connection is kept, and made again for the next question after anything went wrong. Sentinels are asked again then,
too, so that a new master is found. Each answer of the store is a script's, which looks and changes in one step. The
script that takes the lock writes first of all: a read-only replica shows itself also while another scheduler leads.
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

from sccachedist.cluster.election import STEP
from sccachedist.cluster.leadership import Candidate
from sccachedist.cluster.lock import Holder, LockError
from sccachedist.config.cluster import StoreAddress
from sccachedist.errors import ConfigError
from sccachedist.printable import excerpt

try:
    import txredisapi
except ModuleNotFoundError as error:
    raise ConfigError("cluster: needs txredisapi: pip install 'sccachedist[cluster]'") from error

T = TypeVar("T")

#: Who has the lock, and who had it last, as "NUMBER INCARNATION URL". The first one lapses.
LEADER, LAST = "sccachedist:leader", "sccachedist:last-leader"
#: A number is a time; others may not make job ids that are too large.
_MOST_NUMBER = 1 << 52

# Numbers come back as texts: a number of a script is a double, and ".." writes large ones with an exponent.
_TAKE = """
local incarnation, url, least, step, ttl = unpack(ARGV)
redis.call('SETNX', KEYS[2], '')
local held = redis.call('GET', KEYS[1])
if not held then
  local number, last = string.match(redis.call('GET', KEYS[2]), '^(%d+) (%S+) ')
  if last ~= incarnation then
    local above = number and tonumber(number) + tonumber(step) or 0
    number = string.format('%.0f', math.max(tonumber(least), above))
  end
  held = number .. ' ' .. incarnation .. ' ' .. url
  redis.call('SET', KEYS[2], held)
elseif string.match(held, '^%d+ (%S+) ') ~= incarnation then
  return held
end
redis.call('SET', KEYS[1], held, 'PX', ttl)
return held
"""
_RELEASE = """
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+ (%S+) ') == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
"""


class _Unusable(Exception):
    """The store cannot be used; the text says why."""


@attrs.define
class _Connection:
    """A connection, and why it was lost.

    :param wire: a ``txredisapi.RedisProtocol``.
    """

    wire: Any
    lost: Failure | None = None

    @classmethod
    def make(cls) -> "_Connection":
        """One that is not connected yet."""
        made = cls(txredisapi.RedisProtocol(charset=None, convertNumbers=False))
        connection_lost = made.wire.connectionLost

        def note(reason: Failure) -> None:
            made.lost = reason
            connection_lost(reason)

        made.wire.connectionLost = note
        return made

    async def ask(self, *command: object) -> Any:
        """The answer to one command."""
        try:
            return await self.wire.execute_command(*command)
        except txredisapi.ConnectionError as error:
            why = self.lost.value if self.lost else None
            raise why or error from error

    def close(self) -> None:
        """Close it; twice is no error."""
        if self.wire.transport is not None:
            self.wire.transport.abortConnection()


class RedisLock:
    """A :class:`~sccachedist.cluster.lock.Lock` in a store.

    :param trusted: what :func:`authorities` gives.
    :param within: seconds for each question, connecting included.
    """

    def __init__(self, address: StoreAddress, password: str | None, trusted: Any, within: float, reactor: Any) -> None:
        self._address, self._password, self._trusted = address, password, trusted
        self._within, self._reactor = within, reactor
        self._kept: _Connection | None = None

    async def take(self, candidate: Candidate, least: int, ttl: float) -> Holder:
        """As :meth:`sccachedist.cluster.lock.Lock.take`."""
        arguments = candidate.incarnation, candidate.url, least, STEP, int(ttl * 1000)
        return self._holder(await self._ask("EVAL", _TAKE, 2, LEADER, LAST, *arguments))

    async def holder(self) -> Holder | None:
        """As :meth:`sccachedist.cluster.lock.Lock.holder`."""
        said = await self._ask("GET", LEADER)
        return None if said is None else self._holder(said)

    async def release(self, candidate: Candidate) -> None:
        """As :meth:`sccachedist.cluster.lock.Lock.release`."""
        await self._ask("EVAL", _RELEASE, 1, LEADER, candidate.incarnation)

    def close(self) -> None:
        """Keep no connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _holder(self, said: object) -> Holder:
        number, incarnation, url = [*(said.split(b" ") if isinstance(said, bytes) else ()), b"", b"", b""][:3]
        if not number.isdigit() or len(number) > 16 or int(number) >= _MOST_NUMBER or not url:
            raise LockError(f"{self._address}: another program has written to the key {LEADER}")
        return Holder(Candidate(url.decode(errors="replace"), incarnation.decode(errors="replace")), int(number))

    async def _ask(self, *command: object) -> object:
        """The answer to one command.

        :raises LockError: there is none in time, or it is an error.
        """
        try:
            asked = Deferred.fromCoroutine(self._asked(*command))
            return await asked.addTimeout(self._within, self._reactor)
        except BaseException as error:
            self.close()
            if isinstance(error, CancelledError) or not isinstance(error, Exception):
                raise
            raise LockError(f"{self._address}: {_text(error)}") from error

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
        found = load_pem_x509_certificates(file.read_bytes())
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
    ):
        if word in said:
            return meaning
    return f"it says: {excerpt(said.strip())}"
