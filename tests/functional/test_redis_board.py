"""The board in a real store: written by the scheduler that has the lock, and read although anything may be there."""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_twisted
from twisted.internet import reactor as global_reactor  # noqa: TID251

from farmkit.launch import CHECKOUT
from farmkit.processes import LOOPBACK
from sccachedist.cluster import redis_store
from sccachedist.cluster.board import MOST_BYTES, BoardChanges, Posted
from sccachedist.cluster.leadership import Candidate
from sccachedist.cluster.redis_board import SERVERS, STATE, RedisBoard
from sccachedist.cluster.redis_lock import RedisLock
from sccachedist.cluster.redis_rights import COMMANDS, refused_commands
from sccachedist.cluster.redis_store import RedisStore, authorities
from sccachedist.cluster.store import StoreError
from sccachedist.config.cluster import StoreAddress
from tests.support.redis_servers import RedisServer

pytestmark = pytest.mark.functional

T = TypeVar("T")

# Both are untyped where they come from.
reactor: Any = global_reactor
coroutine: Callable[[T], T] = pytest_twisted.ensureDeferred

A, B = (Candidate(f"https://10.0.0.{index}:10500", f"run-{index}") for index in (1, 2))
NUMBER, WITHIN, TTL = 1_800_000_000_000_000, 10.0, 60.0
ONE, TWO = "10.0.0.1:10501", "[2001:db8::1]:10501"

#: A database of its own for each test.
databases = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A store."""
    with RedisServer(tmp_path_factory.mktemp("redis"), ("databases 100",)).running() as server:
        yield server


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    """A database of it that is empty."""
    address = StoreAddress.parse(f"redis://{LOOPBACK}:{server.port}/{next(databases)}")
    store = RedisStore(address, None, authorities(None), WITHIN, reactor)
    yield store
    store.close()


@coroutine
async def test_what_the_leader_writes(store: RedisStore) -> None:
    """It is what the next one reads, all octets of it; what was written before is told apart from an emptied store."""
    await RedisLock(store).take(A, NUMBER, TTL)
    board, all_octets = RedisBoard(store, A.incarnation), bytes(range(256)) * 20
    assert not await board.write(BoardChanges({ONE: b"one", TWO: all_octets}, b'{"v": 1}', replaces_all=True))
    assert await board.write(BoardChanges({}))
    posted = await RedisBoard(store, B.incarnation).read()
    assert (posted.servers, posted.state) == ({ONE: b"one", TWO: all_octets}, b'{"v": 1}')
    assert abs(posted.now - time.time()) < 30
    assert await board.write(BoardChanges({ONE: None, "10.0.0.3:1": b"three"}))
    assert (await board.read()).servers == {TWO: all_octets, "10.0.0.3:1": b"three"}
    assert await board.write(BoardChanges({}, replaces_all=True))
    posted = await board.read()
    assert (posted.servers, posted.state) == ({}, b'{"v": 1}')
    await store.ask("FLUSHDB")
    await RedisLock(store).take(A, NUMBER, TTL)
    assert not await board.write(BoardChanges({ONE: b"one"}))
    await board.write(BoardChanges({}, b"now"))
    await store.ask("SET", STATE, b"before")  # as a replica has it that has become the master too early
    assert not await board.write(BoardChanges({}, b"later"))
    assert await board.write(BoardChanges({}))


@coroutine
async def test_one_that_does_not_lead(store: RedisStore) -> None:
    """It writes nothing, nor does one without a lock."""
    board = RedisBoard(store, A.incarnation)
    for _ in range(2):
        with pytest.raises(StoreError, match="another scheduler has the lock, or it is free"):
            await board.write(BoardChanges({ONE: b"one"}, b"{}", replaces_all=True))
        await RedisLock(store).take(B, NUMBER, TTL)
    assert (await board.read()).servers == {}


@coroutine
async def test_a_user_with_few_rights(tmp_path: Path) -> None:
    """The commands that doc/operations names are enough for the lock and the board; with less, an error says so."""
    text = (CHECKOUT / "doc" / "operations.rst").read_text()
    named = re.search(r"The user of the store needs the commands ([A-Z,\sand]+) on keys", text)
    assert named is not None
    commands = re.findall("[A-Z]+", named[1])
    few = " ".join(f"+{command.lower()}" for command in commands)
    lines = [f"user farm on >farm ~sccachedist:* {few}", f"user lock on >lock ~sccachedist:* {few} -hscan"]
    with RedisServer(tmp_path / "redis", tuple(lines)).running() as server:
        for user in ("farm", "lock"):
            address = StoreAddress.parse(f"redis://{user}@{LOOPBACK}:{server.port}")
            store = RedisStore(address, user, authorities(None), WITHIN, reactor)
            await RedisLock(store).take(A, NUMBER, TTL)
            board = RedisBoard(store, A.incarnation)
            await board.write(BoardChanges({ONE: b"one", TWO: None}, b"{}", replaces_all=True))
            if user == "farm":
                assert (await board.read()).servers == {ONE: b"one"}
            else:
                with pytest.raises(StoreError, match="can't run this command"):
                    await board.read()
            await RedisLock(store).release(A)
            store.close()


PAGE = CHECKOUT / "doc" / "several_schedulers.rst"


@pytest.fixture
def restricted(tmp_path: Path) -> Iterator[Callable[..., RedisStore]]:
    """Makes stores, asked as the user that doc/several_schedulers has made, but for some commands."""
    said = re.search(r"ACL SETUSER farm on '>THE PASSWORD' '~sccachedist:\*' \\\n([ +a-z]+)\n", PAGE.read_text())
    assert said is not None
    stores = []
    with RedisServer(tmp_path / "redis").running() as server:

        def make(*without: str, database: int = 0) -> RedisStore:
            words = [word for word in said[1].split() if word.lstrip("+") not in without]
            rights = (">THE PASSWORD", "~sccachedist:*", *words)
            server.ask("ACL", "SETUSER", "farm", "reset", "on", *rights)
            address = StoreAddress.parse(f"redis://farm@{LOOPBACK}:{server.port}/{database}")
            stores.append(RedisStore(address, "THE PASSWORD", authorities(None), WITHIN, reactor))
            return stores[-1]

        yield make
        for store in stores:
            store.close()


@coroutine
async def test_the_user_that_the_page_makes(restricted: Callable[..., RedisStore]) -> None:
    """It may do all that the lock and the board need, in a database of its own, and can change nothing else."""
    store = restricted(database=1)
    assert await refused_commands(store) == ()
    lock, board = RedisLock(store), RedisBoard(store, A.incarnation)
    assert await lock.offered() is None
    await lock.take(A, NUMBER, TTL)
    await board.write(BoardChanges({ONE: b"one", TWO: None}, b"{}", replaces_all=True))
    assert (await board.read()).servers == {ONE: b"one"}
    assert await lock.holder() is not None
    await lock.release(A)
    for command in (("FLUSHALL",), ("GET", "another"), ("CONFIG", "GET", "*"), ("KEYS", "*")):
        with pytest.raises(StoreError, match="NOPERM"):
            await store.ask(*command)


@coroutine
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_right_that_is_missing(restricted: Callable[..., RedisStore], command: str) -> None:
    """Each is needed, and the one that is missing is named."""
    store = restricted(command.lower())
    assert await refused_commands(store) == (command,)
    with pytest.raises(StoreError):
        await every_step(store)


async def every_step(store: RedisStore) -> None:
    """All that schedulers do with a store."""
    lock, board = RedisLock(store), RedisBoard(store, A.incarnation)
    await lock.offered()
    await lock.take(A, NUMBER, TTL)
    await board.write(BoardChanges({ONE: b"one", TWO: None}, b"{}", replaces_all=True))
    await board.read()
    await lock.release(A)


@coroutine
async def test_very_many(store: RedisStore) -> None:
    """They are read some at a time."""
    await RedisLock(store).take(A, NUMBER, TTL)
    board = RedisBoard(store, A.incarnation)
    servers = {f"10.0.{number // 250}.{number % 250}:1": bytes([number % 256]) * 2000 for number in range(1000)}
    for begin in range(0, 1000, 200):
        await board.write(BoardChanges(dict(itertools.islice(servers.items(), begin, begin + 200))))
    assert (await board.read()).servers == servers


@coroutine
async def test_what_others_write(store: RedisStore) -> None:
    """What cannot be ours stays where it is until all is written again; the rest is read."""
    await store.ask("HSET", SERVERS, ONE, "one", TWO, "x" * (MOST_BYTES + 1), "f" * 65, "name", "no address\n", "text")
    await store.ask("SET", STATE, b"\xff\0")
    board = RedisBoard(store, A.incarnation)
    posted = await board.read()
    assert (posted.servers, posted.state) == ({ONE: b"one"}, b"\xff\0")
    await RedisLock(store).take(A, NUMBER, TTL)
    await board.write(BoardChanges({}, replaces_all=True))
    assert await store.ask("EXISTS", SERVERS) == 0
    for key in (SERVERS, STATE):
        await store.ask("DEL", SERVERS, STATE)
        await store.ask("RPUSH", key, "a list")
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await board.read()


@coroutine
async def test_very_long_answers(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store fills the memory."""
    await store.ask("SET", STATE, "x" * 200_000)
    monkeypatch.setattr(redis_store, "MOST_ANSWER", 100_000)
    with pytest.raises(StoreError, match="its answer has more than 100000 bytes"):
        await store.ask("GET", STATE)
    assert await store.ask("STRLEN", STATE) == 200_000


class Liar:
    """A store that answers what a test says."""

    def __init__(self, *answers: object) -> None:
        self._answers = iter(answers)

    async def ask(self, *_: object) -> object:
        return next(self._answers)

    def __str__(self) -> str:
        return "redis://liar"


TIME = [b"5", b"0"]


@coroutine
@pytest.mark.parametrize(
    "answers",
    [
        (None,), ([],), ([b"x", b"1"],), ([b"1" * 30, b"1"],), ([b"", b""],),
        (TIME, None, None), (TIME, None, b""), (TIME, None, b"0\na"), (TIME, None, b"0\na 1\n"), (TIME, None, [b"0"]),
        (TIME, None, b"0\na x\nb"), (TIME, None, b"0\na -2\nbcd"), (TIME, None, b"0\n\xff 1\nb"),
    ],
)  # fmt: skip
async def test_what_no_store_says(answers: tuple[object, ...]) -> None:
    """It is an error of the store."""
    liar: Any = Liar(*answers)
    with pytest.raises(StoreError, match="redis://liar: an answer that no store gives"):
        await RedisBoard(liar, A.incarnation).read()


@coroutine
async def test_a_store_without_an_end() -> None:
    """It is read no longer than ours can be long."""
    liar: Any = Liar(TIME, None, *itertools.repeat(b"7\n", 3000))
    assert await RedisBoard(liar, A.incarnation).read() == Posted(5.0, {}, None)
