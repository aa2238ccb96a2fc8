"""Objects over real connections on loopback, from a store that answers as a test says: what each answer comes to."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor as global_reactor  # noqa: TID251
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from sccachedist.config.toolchains import ObjectStoreAddress, ToolchainsSettings
from sccachedist.errors import ConfigError, DiskError, PeerError
from sccachedist.objects.store import KEPT, ObjectStore, object_store, place_of
from sccachedist.peers.streams import streams
from sccachedist.peers.trust import CertificatePolicy

T = TypeVar("T")

reactor: Any = global_reactor
coroutine: Callable[[T], T] = pytest_twisted.ensureDeferred
fixture: Callable[[T], T] = pytest_twisted.async_yield_fixture
SECRET = "signature"
CONTENT = bytes(range(256)) * 4096


@attrs.frozen
class Answer:
    """What a store says: a status, a body, and headers."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)


def refuses(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code></Error>".encode())


class Scripted(Resource):
    """Answers with what is next, and notes what it was asked."""

    isLeaf = True  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.next: list[Answer] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    def render(self, request: Request) -> bytes:
        assert request.content is not None
        names = ("Range", "If-None-Match", "Authorization")
        headers = {name: request.getHeader(name) for name in names}
        self.asked.append(
            (
                request.method.decode(),
                request.uri.decode(),
                {name: value for name, value in headers.items() if value is not None},
                request.content.read(),
            )
        )
        answer = self.next.pop(0)
        request.setResponseCode(answer.status)
        for name, value in answer.headers.items():
            request.setHeader(name, value)
        return answer.body


@attrs.define
class There:
    """A store on loopback, and one that asks it."""

    site: Scripted
    store: ObjectStore

    def says(self, *answers: Answer) -> None:
        self.site.next += answers


async def sign(method: str, url: str, headers: Mapping[str, str], file: Path | None) -> dict[str, str]:
    return {**headers, "Authorization": SECRET}


@fixture
async def there() -> AsyncIterator[There]:
    site = Scripted()
    port = reactor.listenTCP(0, Site(site), interface="127.0.0.1")
    calls = streams(reactor, CertificatePolicy(None), float("inf"), KEPT)
    yield There(site, ObjectStore(f"http://127.0.0.1:{port.getHost().port}/farm/tc/", sign, calls))
    await calls.close()
    await port.stopListening()


@coroutine
async def test_look(there: There) -> None:
    """One byte of it is asked for. It may be missing, or empty; and a store may send all of it."""
    there.says(Answer(206, b"a"), refuses(404, "NoSuchKey"), refuses(416, "InvalidRange"), Answer(200, CONTENT))
    assert [await there.store.look("one") for _ in range(4)] == [True, False, True, True]
    assert there.site.asked[0] == ("GET", "/farm/tc/one", {"Range": "bytes=0-0", "Authorization": SECRET}, b"")


@coroutine
async def test_get(there: There) -> None:
    """All of an object comes, in pieces."""
    there.says(Answer(200, CONTENT))
    pieces: list[bytes] = []
    await there.store.get("one", pieces.append)
    assert b"".join(pieces) == CONTENT
    there.says(refuses(404, "NoSuchKey"))
    with pytest.raises(PeerError) as missing:
        await there.store.get("one", pieces.append)
    assert missing.value.status == 404


@coroutine
async def test_put(there: There, tmp_path: Path) -> None:
    """The first one wins; what is wrong there is replaced; a store that knows no conditions is asked without one."""
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    there.says(Answer(200), refuses(412, "PreconditionFailed"), refuses(409, "ConditionalRequestConflict"), Answer(200))
    made = [await there.store.put("one", file, replace=replace) for replace in (False, False, False, True)]
    assert made == [True, False, False, True]
    there.says(refuses(501, "NotImplemented"), Answer(200))
    assert await there.store.put("one", file)
    assert [asked[2].get("If-None-Match") for asked in there.site.asked] == ["*", "*", "*", None, "*", None]
    assert there.site.asked[-1][::3] == ("PUT", CONTENT)


@coroutine
async def test_a_file_that_is_gone(there: There, tmp_path: Path) -> None:
    """What cannot be read is an error of the disk, not of the store."""
    with pytest.raises(DiskError):
        await there.store.put("one", tmp_path / "missing")
    assert there.site.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refuses(403, "InvalidAccessKeyId"), "it does not know the access key"),
        (refuses(503, "SlowDown"), r"status 503 \(SlowDown\)"),
        (refuses(404, "NoSuchBucket"), "there is no such bucket"),
        (Answer(301, b"", {"Location": "http://127.0.0.1:1/"}), "in another region"),
    ],
    ids=["key", "busy", "bucket", "redirect"],
)
@coroutine
async def test_refusals(there: There, tmp_path: Path, answer: Answer, said: str) -> None:
    """Each is one line, without the name of the object and without what proves who asks; none is followed elsewhere."""
    (tmp_path / "file").write_bytes(CONTENT)
    for ask in (
        lambda: there.store.look("one"),
        lambda: there.store.get("one", lambda _: None),
        lambda: there.store.put("one", tmp_path / "file"),
    ):
        there.says(answer)
        with pytest.raises(PeerError, match=said) as error:
            await ask()
        assert there.store.url not in str(error.value)
        assert SECRET not in str(error.value)
    assert all(asked[1] == "/farm/tc/one" for asked in there.site.asked)


@coroutine
async def test_nobody_there() -> None:
    """A store that is away is an error in a few words."""
    calls = streams(reactor, CertificatePolicy(None), float("inf"), KEPT)
    store = ObjectStore("http://127.0.0.1:1/farm/", sign, calls)
    with pytest.raises(PeerError, match="refused") as error:
        await store.look("one")
    assert error.value.status is None
    await store.close()


@pytest.mark.parametrize(
    ("bucket", "endpoint", "url"),
    [
        ("farm", None, "https://farm.s3.eu-west-1.amazonaws.com/tc/"),
        ("our.farm", None, "https://s3.eu-west-1.amazonaws.com/our.farm/tc/"),
        ("farm", "http://10.0.0.9:9000", "http://10.0.0.9:9000/farm/tc/"),
    ],
)
def test_places(bucket: str, endpoint: str | None, url: str) -> None:
    """Amazon has a host for each bucket; others have a path."""
    assert place_of(ObjectStoreAddress(bucket, "tc/"), endpoint, "eu-west-1") == url


def test_configured(tmp_path: Path) -> None:
    """What cannot be used is said with its key."""
    address = ObjectStoreAddress("farm", "")
    assert object_store(ToolchainsSettings(), reactor) is None
    (tmp_path / "none.pem").write_text("none")
    for settings, key in (
        (ToolchainsSettings(store=address, store_ca=tmp_path / "missing.pem"), "store_ca"),
        (ToolchainsSettings(store=address, store_ca=tmp_path / "none.pem"), "store_ca"),
    ):
        with pytest.raises(ConfigError, match=f"^toolchains.{key}: "):
            object_store(settings, reactor)
