"""One place in an object store: asks for objects by name, whether they are there, and puts others beside them.

Requests are signed in a thread and travel by :mod:`sccachedist.peers.streams`, without redirects: a store that sends
elsewhere is configured wrongly, and its answer says how. What to do about a failure is decided elsewhere.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThreadPool

from sccachedist.config.toolchains import ObjectStoreAddress, ToolchainsSettings
from sccachedist.errors import ConfigError, PeerError, SccachedistError
from sccachedist.given_files import read_given
from sccachedist.objects.refusals import EMPTY, IS_THERE, MISSING, NOT_UNDERSTOOD, refusal
from sccachedist.peers.streams import Sink, Streams, streams
from sccachedist.peers.trust import CertificatePolicy, certificates_in

#: Seconds in which nothing moves, after which a request is given up; the end of a put may take longer than any other.
IDLE_SECS, PUT_IDLE_SECS = 10.0, 60.0
#: The most idle connections that are kept, and the most bytes of an answer that is no object.
KEPT, ANSWER_BYTES = 4, 1 << 16

#: Returns the headers of a signed request, see :meth:`sccachedist.objects.signing.Signer.signed`.
Sign = Callable[[str, str, Mapping[str, str], Path | None], Awaitable[dict[str, str]]]


class ObjectStore:
    """One place in an object store.

    :param url: what stands before the names of objects.
    """

    def __init__(self, url: str, sign: Sign, streams: Streams) -> None:
        self.url, self._sign, self._streams = url, sign, streams

    async def look(self, name: str) -> bool:
        """Whether there is an object of a name.

        :raises PeerError: the store does not say. Its text is about the store alone.
        """
        try:
            # Not HEAD: the answer to that has no body, which says what is wrong.
            await self._ask("GET", name, {"Range": "bytes=0-0"}, None, _first_byte(), IDLE_SECS, float("inf"))
        except _MoreComes:
            return True
        except PeerError as error:
            if error.status in (MISSING, EMPTY):
                return error.status == EMPTY
            raise
        return True

    async def get(self, name: str, sink: Sink) -> None:
        """Give the content of an object to a sink, which takes as much as it likes.

        :raises PeerError: it is not there (status 404), or cannot be had. The sink may have got a part.
        """
        await self._ask("GET", name, {}, None, sink, IDLE_SECS, float("inf"))

    async def put(self, name: str, file: Path, *, replace: bool = False) -> bool:
        """Put a file's content under a name, as a whole or not at all; returns whether it is there by this.

        :param replace: whether another object of that name is replaced; else it stays, and the result is False.
        :raises PeerError: the store does not take it.
        :raises DiskError: the file cannot be read.
        """
        try:
            await self._put(name, file, {} if replace else {"If-None-Match": "*"})
        except PeerError as error:
            if error.status in IS_THERE and not replace:
                return False
            if error.status != NOT_UNDERSTOOD or replace:
                raise
            await self._put(name, file, {})  # it knows no conditions, and each has the same content
        return True

    async def close(self) -> None:
        """Close kept connections."""
        await self._streams.close()

    async def _put(self, name: str, file: Path, condition: Mapping[str, str]) -> None:
        headers = {"Content-Type": "application/octet-stream", **condition}
        await self._ask("PUT", name, headers, file, None, PUT_IDLE_SECS, ANSWER_BYTES)

    async def _ask(
        self,
        method: str,
        name: str,
        headers: Mapping[str, str],
        file: Path | None,
        sink: Sink | None,
        idle: float,
        limit: float,
    ) -> None:
        url = self.url + name
        signed = await self._sign(method, url, headers, file)
        try:
            await self._streams.exchange(method, url, signed, file, sink, idle=idle, limit=limit, refuse=refusal)
        except PeerError as error:
            raise PeerError(_short(str(error).removeprefix(f"{method} {url}: ")), status=error.status) from error


class _MoreComes(SccachedistError):
    """A store sends all of an object, though one byte of it was asked for."""


def _first_byte() -> Sink:
    """A sink for one byte."""
    came = 0

    def take(octets: bytes) -> None:
        nonlocal came
        came += len(octets)
        if came > 1:
            raise _MoreComes

    return take


def _short(text: str) -> str:
    if "certificate verify failed" in text:
        return "its certificate is not trusted: see toolchains.store_ca"
    return text


def place_of(address: ObjectStoreAddress, endpoint: str | None, region: str) -> str:
    """The URL of a bucket's prefix.

    :param endpoint: None for Amazon's, where a bucket is a host; a name with a dot would not fit its certificate.
    """
    if endpoint is None and "." not in address.bucket:
        return f"https://{address.bucket}.s3.{region}.amazonaws.com/{address.prefix}"
    return f"{endpoint or f'https://s3.{region}.amazonaws.com'}/{address.bucket}/{address.prefix}"


def object_store(settings: ToolchainsSettings, reactor: Any) -> ObjectStore | None:
    """The object store that a configuration names; None without one.

    :raises ConfigError: botocore is missing, or a key cannot be used.
    """
    if settings.store is None:
        return None
    # With botocore, which is loaded by those alone that have a store.
    from sccachedist.objects.signing import Signer

    key = settings.store_access_key, settings.store_secret_key
    signer = Signer(settings.store_region, None if key[0] is None or key[1] is None else (key[0], key[1]))
    pool = reactor.getThreadPool()
    policy = CertificatePolicy(None if settings.store_ca is None else _authorities(settings.store_ca))
    url = place_of(settings.store, settings.store_endpoint, signer.region)

    async def sign(method: str, url: str, headers: Mapping[str, str], file: Path | None) -> dict[str, str]:
        return await deferToThreadPool(reactor, pool, signer.signed, method, url, headers, file)

    return ObjectStore(url, sign, streams(reactor, policy, float("inf"), KEPT))


def _authorities(file: Path) -> Any:
    try:
        return certificates_in(read_given(file))
    except OSError as error:
        raise ConfigError(f"toolchains.store_ca: {file}: {error.strerror or 'cannot be read'}") from error
    except ConfigError as error:
        raise ConfigError(f"toolchains.store_ca: {file}: {error}") from error
