"""The lock of the leader in real stores: Redis by itself, with a password, by TLS, as a replica, with Sentinels."""

import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_twisted
from twisted.internet import reactor as global_reactor  # noqa: TID251
from twisted.internet.task import deferLater

from farmkit.processes import LOOPBACK, free_port
from sccachedist.cluster.candidate_service import CandidateService
from sccachedist.cluster.election import STEP
from sccachedist.cluster.leadership import Candidate, Following, Leadership, Leading
from sccachedist.cluster.lock import Holder
from sccachedist.cluster.redis_lock import LAST, LEADER, RedisLock
from sccachedist.cluster.redis_store import RedisStore, authorities
from sccachedist.cluster.store import StoreError
from sccachedist.config.cluster import StoreAddress
from sccachedist.errors import ConfigError
from tests.support.proxy import Certificate
from tests.support.redis_servers import RedisServer

pytestmark = pytest.mark.functional

T = TypeVar("T")

# Both are untyped where they come from.
reactor: Any = global_reactor
coroutine: Callable[[T], T] = pytest_twisted.ensureDeferred

A, B = (Candidate(f"https://10.0.0.{index}:10500", f"run-{index}") for index in (1, 2))
NUMBER = 1_800_000_000_000_000
WITHIN, TTL = 10.0, 60.0  # the machine may be busy; tests of what lapses have shorter ones
PASSWORD = "correct horse battery staple"
MASTER = "farm"
LARGE = "12 run http://" + "a" * 5000

#: A database of its own for each test.
databases = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A store that needs no password."""
    with RedisServer(tmp_path_factory.mktemp("redis"), ("databases 100",)).running() as server:
        yield server


@pytest.fixture
def url(server: RedisServer) -> str:
    """A database of it that is empty."""
    return f"redis://{LOOPBACK}:{server.port}/{next(databases)}"


@pytest.fixture
def lock_at() -> Iterator[Callable[..., RedisLock]]:
    """Makes locks that keep no connection afterwards."""
    made: list[RedisLock] = []

    def make(url: str, password: str | None = None, ca: Path | None = None, within: float = WITHIN) -> RedisLock:
        made.append(RedisLock(RedisStore(StoreAddress.parse(url), password, authorities(ca), within, reactor)))
        return made[-1]

    yield make
    for lock in made:
        lock.close()


LockAt = Callable[..., RedisLock]


async def refusal(lock: RedisLock) -> str:
    """Why there is no answer."""
    with pytest.raises(StoreError) as raised:
        await lock.take(A, NUMBER, TTL)
    assert PASSWORD not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value).partition(": ")[2]


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Ask again and again, for half a minute, until something holds and the store says so."""
    for _ in range(600):
        with contextlib.suppress(StoreError):
            if await holds():
                return
        await deferLater(reactor, 0.05)
    pytest.fail("not within half a minute")


async def eventually(lock: RedisLock, candidate: Candidate) -> Holder:
    """Who has it, as soon as the store says so."""
    await until(lambda: lock.take(candidate, NUMBER, TTL))
    return await lock.take(candidate, NUMBER, TTL)


@coroutine
async def test_one_has_it(url: str, lock_at: LockAt) -> None:
    """Who asks first has it and keeps it, others hear who that is; given up, it goes to the next, a step above."""
    lock, other = lock_at(url), lock_at(url)
    assert await other.holder() is None
    assert await other.offered() is None
    for _ in range(2):
        assert await lock.take(A, NUMBER, TTL) == Holder(A, NUMBER)
        assert await other.take(B, NUMBER + 5, TTL) == Holder(A, NUMBER)
    assert await other.holder() == Holder(A, NUMBER)
    await other.release(B)
    assert await other.holder() == await other.offered() == Holder(A, NUMBER)
    await lock.release(A)
    assert await other.holder() is None
    assert await other.take(B, NUMBER + 5, TTL) == Holder(B, NUMBER + STEP)
    await other.release(B)
    for later in (NUMBER + 10 * STEP, NUMBER + 20 * STEP):  # who has it can have a greater number
        assert await lock.take(A, later, TTL) == Holder(A, later)


@coroutine
async def test_it_lapses(url: str, lock_at: LockAt) -> None:
    """Who does not take it again loses it to the next one; if none came, it is the same time in office."""
    lock = lock_at(url)
    await lock.take(A, NUMBER + 1, 0.05)
    await until(lambda: is_free(lock))
    assert await lock.take(A, NUMBER, 0.05) == Holder(A, NUMBER + 1)
    await until(lambda: is_free(lock))
    assert await lock.take(B, NUMBER, TTL) == Holder(B, NUMBER + 1 + STEP)


@coroutine
async def test_another_run_of_the_same_scheduler(url: str, lock_at: LockAt) -> None:
    """It does not have the lock of the one before."""
    lock = lock_at(url)
    await lock.take(A, NUMBER, TTL)
    assert await lock.take(Candidate(A.url, "the-next"), NUMBER, TTL) == Holder(A, NUMBER)


@coroutine
@pytest.mark.parametrize("written", ["hello", "1 2", f"{2**60} run http://a", "12 run ", "-5 run http://a", LARGE])
async def test_what_others_write(url: str, lock_at: LockAt, written: str) -> None:
    """Another program's text is no holder."""
    lock = lock_at(url)
    await lock._store.ask("SET", LEADER, written)
    assert await refusal(lock) == f"another program has written to the key {LEADER}"
    await lock._store.ask("DEL", LEADER, LAST)
    await lock._store.ask("HSET", LAST, "a", "b")
    assert "WRONGTYPE" in await refusal(lock)


@coroutine
async def test_passwords(tmp_path: Path, lock_at: LockAt) -> None:
    """The right one is accepted, of the default user and of another; anything else is said in one line."""
    lines = (f'requirepass "{PASSWORD}"', f"user farm on >{PASSWORD.split()[0]} ~sccachedist:* +@all")
    with RedisServer(tmp_path / "redis", lines).running() as server:
        url = f"redis://{LOOPBACK}:{server.port}"
        assert await lock_at(url, PASSWORD).take(A, NUMBER, TTL) == Holder(A, NUMBER)
        named = lock_at(f"redis://farm@{LOOPBACK}:{server.port}", PASSWORD.split()[0])
        assert await named.take(B, NUMBER, TTL) == Holder(A, NUMBER)
        assert await refusal(lock_at(url, "wrong")) == "it does not accept the password"
        assert await refusal(lock_at(url)) == "it asks for a password (cluster.lock_password_file)"


@coroutine
async def test_tls(tmp_path: Path, lock_at: LockAt) -> None:
    """The certificate has to be for this name and of a trusted authority; before that, no password is sent."""
    authority, other = Certificate.make("The authority of a test"), Certificate.make("Another one")
    certificate = Certificate.make("redis.example", authority)
    for name, octets in (
        ("ca.pem", authority.pem), ("other.pem", other.pem), ("redis.pem", certificate.pem_with_key), ("bad.pem", b"?"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(octets)
    port, file = free_port(), tmp_path / "redis.pem"
    lines = (
        f"tls-port {port}", f"tls-cert-file {file}", f"tls-key-file {file}", "tls-auth-clients no",
        f"tls-ca-cert-file {tmp_path / 'ca.pem'}", f'requirepass "{PASSWORD}"',
    )  # fmt: skip
    with RedisServer(tmp_path / "redis", lines).running() as server:
        url = f"rediss://{LOOPBACK}:{port}"
        assert await lock_at(url, PASSWORD, tmp_path / "ca.pem").take(A, NUMBER, TTL) == Holder(A, NUMBER)
        untrusted = "no authority of cluster.lock_ca has signed its certificate, or it has expired"
        assert await refusal(lock_at(url, PASSWORD, tmp_path / "other.pem")) == untrusted
        assert await refusal(lock_at(url, PASSWORD)) == untrusted
        by_name = lock_at(f"rediss://localhost:{port}", PASSWORD, tmp_path / "ca.pem")
        assert await refusal(by_name) == "its certificate is for another name"
        plain = lock_at(f"rediss://{LOOPBACK}:{server.port}", PASSWORD, tmp_path / "ca.pem", within=1.0)
        assert await refusal(plain)
        assert await refusal(lock_at(f"redis://{LOOPBACK}:{port}", PASSWORD, within=1.0))
    for name, said in (("bad.pem", "not PEM"), ("none.pem", "No such file or directory")):
        with pytest.raises(ConfigError, match=rf"^cluster\.lock_ca: .*{name}: {said}$"):
            authorities(tmp_path / name)


@coroutine
async def test_a_store_that_is_away(tmp_path: Path, lock_at: LockAt) -> None:
    """One that is dead, or hangs, is said to be so in time; back again, it is asked as before, on a new connection."""
    server = RedisServer(tmp_path / "redis")
    lock = lock_at(f"redis://{LOOPBACK}:{server.port}", within=1.0)
    assert (await refusal(lock)).startswith("no connection: ")
    with server.running():
        assert await eventually(lock, A) == Holder(A, NUMBER)
        with server.stopped():
            assert await refusal(lock) == "no answer in time"
            assert await refusal(lock) == "no answer in time"
        assert await eventually(lock, B) == Holder(A, NUMBER)
    assert await refusal(lock) in ("it closed the connection", "no connection: Connection refused")
    with server.running():  # empty
        assert await eventually(lock, B) == Holder(B, NUMBER)
    nowhere = lock_at("redis://nowhere.invalid")
    assert await refusal(nowhere) == "its name has no address"


@coroutine
async def test_a_failover(tmp_path: Path, lock_at: LockAt) -> None:
    """A replica is no place for the lock, which one hears of even while another leads.

    When a master is dead, Sentinels make the replica one, and the lock is found there, without a Sentinel that is gone.
    """
    master = RedisServer(tmp_path / "master")
    replica = RedisServer(tmp_path / "replica", (f"replicaof {LOOPBACK} {master.port}",))
    lines = (
        f"sentinel monitor {MASTER} {LOOPBACK} {master.port} 1",
        f"sentinel down-after-milliseconds {MASTER} 500",
        f"sentinel failover-timeout {MASTER} 2000",
    )
    sentinel = RedisServer(tmp_path / "sentinel", lines, "redis-sentinel")
    with master.running(), replica.running(), sentinel.running():
        by_sentinel = f"redis+sentinel://{LOOPBACK}:{free_port()},{LOOPBACK}:{sentinel.port}"
        lock = lock_at(f"{by_sentinel}/{MASTER}")
        assert await eventually(lock, A) == Holder(A, NUMBER)
        copy = lock_at(f"redis://{LOOPBACK}:{replica.port}")
        await until(copy.holder)
        with pytest.raises(StoreError, match="read-only replica"):
            await copy.offered()
        assert await refusal(copy) == "it is a read-only replica, and the lock needs the master"
        unknown = await refusal(lock_at(f"{by_sentinel}/other"))
        assert unknown.startswith("no Sentinel knows the master: ")
        asked = lock_at(f"redis://{LOOPBACK}:{sentinel.port}")
        await until(lambda: asked._store.ask("SENTINEL", "REPLICAS", MASTER))
        master.kill()
        assert await eventually(lock, A) == Holder(A, NUMBER)
        assert await eventually(copy, B) == Holder(A, NUMBER)


@coroutine
async def test_two_candidates(tmp_path: Path, lock_at: LockAt) -> None:
    """The one that ends in order gives way to the other at once, which goes on when the store dies."""
    server = RedisServer(tmp_path / "redis")
    services = []

    async def none_of_them() -> None:
        """No other scheduler says that it leads."""

    with server.running():
        for me in (A, B):
            lock = lock_at(f"redis://{LOOPBACK}:{server.port}")
            service = CandidateService(me, [A.url, B.url], lock, 3.0, none_of_them, reactor, time.time)
            service.startService()
            services.append(service)
            leading = Leading() if me is A else Following(A)
            await until(lambda service=service, leading=leading: is_now(service, leading))  # type: ignore[misc]
        await services[0].stopService()
        await until(lambda: is_now(services[1], Leading()))
    lock = lock_at(f"redis://{LOOPBACK}:{server.port}")
    await refusal(lock)
    await deferLater(reactor, 1.0)  # a few questions without an answer
    assert isinstance(services[1].current, Leading)
    await services[1].stopService()


async def is_now(service: CandidateService, leadership: Leadership) -> bool:
    """Whether it says so; numbers do not count."""
    return type(service.current) is type(leadership) and (
        isinstance(leadership, Leading) or service.current == leadership
    )


async def is_free(lock: RedisLock) -> bool:
    """Whether no candidate has it."""
    return await lock.holder() is None
