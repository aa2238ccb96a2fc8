"""A gateway, attacked at its workers' door: by strangers, by clients, and by workers that lie."""

import http.client
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from farmkit.busybox_jobs import id_of, shell, write_toolchain
from farmkit.gateway_farm import GatewayFarm
from farmkit.launch import OUR_SERVER, replacing
from farmkit.processes import LOOPBACK
from farmkit.raw_client import OCTETS, unverified
from sccachedist.gateway.routes import ROOT
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.gateway import (
    TAKEN,
    WELCOME,
    WORKER_ANSWER,
    WORKER_HELLO,
    WORKER_JOB,
    Busy,
    HeadReader,
    WorkerHello,
    head,
)
from tests.functional.conftest import running_farm
from tests.functional.test_gateway import await_worker
from tests.hostile.victim import Victim

OTHER_TOKEN = "of-the-workers-of-others"
_SECS = 60
_BUSY = head(WORKER_ANSWER, Busy())
_HELLO = WorkerHello("liar", 1, 2, 3, (), (), "1")


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayFarm]:
    """A gateway with an honest worker, and tokens for two groups of workers."""
    farm = GatewayFarm(tmp_path_factory.mktemp("gateway"))
    tokens = f'tokens = ["{farm.worker_token}", "{OTHER_TOKEN}"]'
    farm.launch_server = replacing(OUR_SERVER, builder=f'type = "remote"\n{tokens}')
    for _ in running_farm(farm):
        await_worker(farm)
        yield farm


@pytest.fixture
def victim(farm: GatewayFarm, tmp_path_factory: pytest.TempPathFactory) -> Victim:
    """That farm, and a toolchain of which its honest worker has not heard yet."""
    archive = write_toolchain(tmp_path_factory.mktemp("toolchain") / "toolchain.tar.gz", {}, filler=64)
    return Victim(farm, archive, id_of(archive))


@attrs.frozen
class Attacker:
    """Somebody at the door, with a token or without."""

    farm: GatewayFarm
    token: str | None = OTHER_TOKEN

    def say(self, path: str, body: bytes = b"", method: str = "POST", length: int | None = None) -> tuple[int, bytes]:
        """Make one request: its status, and what came with it; 0 where nothing did.

        :param length: what it says is the length of its body, after which it goes away without waiting.
        """
        connection = http.client.HTTPSConnection(LOOPBACK, self.farm.server_port, timeout=_SECS, context=unverified())
        headers = OCTETS | {"Content-Length": str(len(body) if length is None else length)}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, f"{ROOT}/{path}", body, headers)
            if length is not None:
                return 0, b""
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:  # what it says is not taken to its end
            return 0, b""
        finally:
            connection.close()

    def session(self, toolchain: ArchiveId) -> str:
        """Open a session: a worker that claims to have a toolchain."""
        hello = attrs.evolve(_HELLO, nonce=secrets.randbits(64), toolchains=(toolchain,))
        status, answer = self.say("hello", encode(WORKER_HELLO, hello))
        assert status == 200, answer
        return decode(WELCOME, answer).session


def _paths(session: str, toolchain: ArchiveId) -> list[tuple[str, str]]:
    posted = ("hello", f"orders/{session}", f"next/{session}/1", f"withdraw/{session}/1", f"answer/{session}/1")
    return [*(("POST", path) for path in (*posted, f"leave/{session}")), ("GET", f"toolchain/{toolchain}")]


@pytest.mark.parametrize("who", ["stranger", "client", "a guess"])
def test_row_55_without_a_workers_token(farm: GatewayFarm, victim: Victim, who: str) -> None:
    """Nothing is told and nothing is done, with any session that they name."""
    token = {"stranger": None, "client": farm.client_token, "a guess": farm.worker_token[:-1]}[who]
    session = Attacker(farm).session(victim.toolchain)
    for method, path in _paths(session, victim.toolchain):
        assert Attacker(farm, token).say(path, method=method)[0] == 401, path
    Attacker(farm).say(f"leave/{session}")
    victim.unharmed()


def test_row_55_with_a_session_of_others(farm: GatewayFarm, victim: Victim) -> None:
    """A worker of one group cannot take the jobs of another one's session, nor answer or end it."""
    session = Attacker(farm).session(victim.toolchain)
    for method, path in _paths(session, victim.toolchain)[1:-1]:
        assert Attacker(farm, farm.worker_token).say(path, method=method)[0] == 410, path
    Attacker(farm).say(f"leave/{session}")
    victim.unharmed()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\xff" * 64,
        encode(WORKER_HELLO, _HELLO)[:-1],
        encode(WORKER_HELLO, attrs.evolve(_HELLO, name="x" * 20_000_000)),
    ],
    ids=["empty", "lengths", "cut", "huge"],
)
def test_row_56_absurd_hellos(farm: GatewayFarm, victim: Victim, octets: bytes) -> None:
    """What is no hello opens no session."""
    assert Attacker(farm).say("hello", octets)[0] in ((400,) if len(octets) < 1 << 20 else (0, 413))
    victim.unharmed()


_LIES: dict[str, Callable[[Attacker, str, int], object]] = {
    "no answer": lambda at, session, ticket: at.say(f"answer/{session}/{ticket}"),
    "huge head": lambda at, session, ticket: at.say(f"answer/{session}/{ticket}", b"\xff" * 100_000),
    "cut": lambda at, session, ticket: at.say(f"answer/{session}/{ticket}", _BUSY[:3], length=1 << 40),
    "endless": lambda at, session, ticket: at.say(f"answer/{session}/{ticket}", b"\x00" * 4, length=1 << 20),
}


@pytest.mark.parametrize("lie", _LIES)
def test_row_56_lying_answers(farm: GatewayFarm, victim: Victim, lie: str) -> None:
    """A worker lures a job with a toolchain that it has not, and answers nonsense: an honest one runs the job."""
    liar = Attacker(farm)
    session = liar.session(victim.toolchain)

    def lure() -> None:
        status, body = liar.say(f"next/{session}/1")
        reader = HeadReader(WORKER_JOB, 1 << 20)
        reader.feed(body)
        assert status == 200
        ticket = reader.finish().ticket
        status, answer = liar.say(f"answer/{session}/{ticket + 1}", _BUSY)
        assert (status, decode(TAKEN, answer).counts) == (200, False)
        _LIES[lie](liar, session, ticket)
        liar.say(f"leave/{session}")

    with ThreadPoolExecutor() as threads:
        lured = threads.submit(lure)
        while not lured.done():  # the first job may come before it asks for one
            assert victim.run(shell("true")).output.code == 0
        lured.result()
    victim.unharmed()
