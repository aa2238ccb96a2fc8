"""The questions that an administrator has, each answered by the command that stands beside it in the documentation.

The user who asks has the configuration of ``sccache`` and nothing else.
"""

import json
import os
import re
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.fake_server import FakeServer
from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, OUR_SCHEDULER, PUBLISHED_SCHEDULER, adding
from farmkit.processes import Command, inherited, wait_until
from farmkit.published_client import Client, client_config
from farmkit.raw_client import RawClient
from sccachedist import __version__
from sccachedist.outcomes import Lack
from sccachedist.wire.abilities import Abilities, Offer
from sccachedist.wire.bincode import encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT, Availability, Health, ServerReport
from sccachedist.wire.host_facts import HostFacts
from tests.functional.conftest import client_of_a_module
from tests.support.proxy import Certificate
from tests.support.terminal import Terminal

pytestmark = pytest.mark.functional

PAGE = (CHECKOUT / "doc" / "operations.rst").read_text()
#: The commands of the table, in its order.
TABLE = re.findall(r"(?m)^     - ``(sccachedist [^`]+)``$", PAGE[PAGE.index(":name: questions") :])
HOST = re.escape(socket.gethostname())
#: What each has to say: the lines that an administrator looks for.
ANSWERS = {
    "sccachedist status": [
        r"^servers +4: 1 open, 1 busy, 1 draining, 1 unfit$",
        r"sent home +1: suspicious 1",
        r"attention +\S+ has vanished",
    ],
    "sccachedist servers": [rf"^{HOST} +{{server}} +open +0/[0-9]+ .* {re.escape(__version__)} +[0-9.]+ (s|min) "],
    "sccachedist servers --state avoided,draining,unfit": [r"{drained} +draining .*an administrator drains it"],
    "sccachedist servers --state busy": [r"{busy} +busy .*busy with other work"],
    "sccachedist jobs --since 1d": [r"127\.0\.0\.1 +{server} +\S*fine\.o .* compiled$"],
    "sccachedist usage --by client --since 7d": [r"^127\.0\.0\.1 +2 +1 +1 "],
    "sccachedist why broken.o": [r"broken\.o, .*: sent_local: suspicious \(verify\) by {server}", r"^  Mend: "],
    "sccachedist usage --by server": [r"^{server} +2 +1 +1 "],
    "sccachedist clients": [r"^127\.0\.0\.1 +0 +0 "],
    "sccachedist toolchains": [r"^[0-9a-f]{{12}} +gcc .* 2 .* 1 +\S+ +{server}$"],
    "sccachedist usage --by server --since 1h": [r"^{server} .* [0-9.]+ s +[0-9.]+ s +[0-9.]+ s "],
    "sccachedist jobs --reason suspicious": [r"broken\.o "],
    "sccachedist status --json": [r'"critical": true'],
    "sccachedist doctor --config server.conf": [r"^ok +public_addr: this build server answers there"],
    "sccachedist doctor --config scheduler.conf": [r"certificate: it ends on 20"],
    "sccachedist servers --json": [r'"certificate_expires": [1-9]'],
    "sccachedist servers --state unfit": [r"{unfit} +unfit .*the disk of /var/cache is full"],
}  # fmt: skip
#: Those that end with status 1: a build server has vanished.
CRITICAL = {"sccachedist status", "sccachedist status --json"}


@attrs.frozen
class Asker:
    """A developer, with a home of his own.

    :param places: what the answers name: build servers, by what is the matter with each.
    """

    home: Path
    places: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing in it says where a farm is."""
        return inherited(HOME=str(self.home), PYTHONPATH=str(CHECKOUT))

    def ask(self, command: str) -> tuple[int, str]:
        """The status of a command, and what it prints."""
        program, *arguments = shlex.split(command)
        assert program == "sccachedist"
        ended = Command((sys.executable, "-m", "sccachedist", *arguments), self.environment, self.home).run()
        assert "Traceback" not in ended.stderr
        return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """With an administrator."""
    with Farm(tmp_path_factory.mktemp("farm"), adding(OUR_SCHEDULER, admin='token = "of admins"')) as farm:
        yield farm


@pytest.fixture(scope="module")
def client(farm: Farm, all_toolchains: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    yield from client_of_a_module(farm, all_toolchains, tmp_path_factory)


@pytest.fixture(scope="module")
def asker(farm: Farm, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """Two compiles were made; then a build server was drained, one has a full disk, one other work, one vanished."""
    home = tmp_path_factory.mktemp("home")
    config = home / ".config" / "sccache" / "config"
    config.parent.mkdir(parents=True)
    config.write_text(client_config(farm.scheduler_url, farm.client_token))
    asker = Asker(home, {"server": str(farm.server_id)})
    for name, text in (("fine", "int main(void) { return 0; }"), ("broken", "int main(void) {")):
        (home / f"{name}.c").write_text(text)
        client.compiling(("gcc", "-c", f"{name}.c", "-o", f"{name}.o"), home).run()
    wait_until(lambda: len(json.loads(asker.ask("sccachedist jobs --json")[1])["jobs"]) == 2, 30, "both are told")
    with (
        FakeServer(farm, home / "drained") as drained,
        FakeServer(farm, home / "unfit") as unfit,
        FakeServer(farm, home / "busy") as busy,
        FakeServer(farm, home / "vanished") as vanished,
    ):
        asker.places.update(drained=str(drained.server_id), unfit=str(unfit.server_id), busy=str(busy.server_id))
        speaker = RawClient.of(farm, strict=True)
        usual = ServerReport(1, 60, Availability.OPEN, (), (), health=Health(""))
        full = Health("the disk of /var/cache is full")
        working = Abilities(offer=Offer(0, Lack.BUSY.word))
        for server, report in (
            (drained, usual),
            (unfit, attrs.evolve(usual, availability=Availability.DRAINING, health=full)),
            (busy, attrs.evolve(usual, host=HostFacts(), abilities=working)),
            (vanished, attrs.evolve(usual, heartbeat_secs=1)),
        ):
            body = encode(EXTENDED_HEARTBEAT, (server.heartbeat(), report))
            assert speaker.ask("heartbeat_server", body, server.token).status == 200
        scheduler = farm.folder / "scheduler" / "scheduler.conf"
        own = Certificate.make("127.0.0.1")
        (home / "own.pem").write_bytes(own.pem)
        (home / "own.key").write_bytes(own.pem_with_key)
        tls = f'[tls]\ncertificate = "{home}/own.pem"\nprivate_key = "{home}/own.key"\n'
        (home / "scheduler.conf").write_text(f"{scheduler.read_text()}\n{tls}")
        (home / "server.conf").write_text((farm.folder / "server" / "server.conf").read_text())
        for name in ("scheduler.conf", "server.conf"):
            os.chmod(home / name, 0o600)
        assert asker.ask(f"sccachedist drain {drained.server_id} --config {scheduler}")[0] == 0
        wait_until(lambda: "has vanished" in asker.ask("sccachedist status")[1], 30, "the silent one is missed")
        yield asker


def test_the_table_is_whole() -> None:
    """Each command of the documentation is asked here, and no other."""
    assert set(TABLE) == set(ANSWERS)
    assert len(TABLE) == 18


@pytest.mark.parametrize("command", dict.fromkeys(TABLE))
def test_questions(asker: Asker, command: str) -> None:
    """The command answers the question."""
    status, text = asker.ask(command)
    assert status == (command in CRITICAL), text
    places = {name: re.escape(address) for name, address in asker.places.items()}
    missing = [form for form in ANSWERS[command] if not re.search(form.format(**places), text, re.MULTILINE)]
    assert missing == [], text


def test_a_host(asker: Asker) -> None:
    """A build server tells what it sees of its host, and is found by its name; so is the size of its toolchain."""
    here, *_ = json.loads(asker.ask("sccachedist servers --state open --json")[1])["servers"]
    assert (here["name"], here["machine"]) == (socket.gethostname(), os.uname().machine)
    assert here["memory_total"] > here["memory_free"] > 0
    wait_until(
        lambda: json.loads(asker.ask("sccachedist servers --state open --json")[1])["servers"][0]["disk_free"]["cache"],
        30,
        "its disks are looked at every ten seconds",
    )
    for option in (f"--server {here['name']}", f"--server {here['address']}"):
        assert len(json.loads(asker.ask(f"sccachedist jobs {option} --json")[1])["jobs"]) == 2
    (toolchain,) = json.loads(asker.ask("sccachedist toolchains --json")[1])["toolchains"]
    assert toolchain["size"] > 1000


def test_a_job_and_a_trace(asker: Asker) -> None:
    """The end of a job's number is enough; all spans of the farm are in the trace."""
    (job, *_) = json.loads(asker.ask("sccachedist jobs --output fine.o --json")[1])["jobs"]
    status, text = asker.ask(f"sccachedist job {job['id'][-10:]}")
    assert status == 0
    assert re.search(r"^    compile +[0-9.]+ s ", text, re.MULTILINE), text
    assert asker.ask("sccachedist trace --since 1h --output farm.json")[0] == 0
    names = {event["name"] for event in json.loads((asker.home / "farm.json").read_text())["traceEvents"]}
    assert {job["output"], "compile", "slots"} <= names


def test_a_report(asker: Asker) -> None:
    """The file has what was compiled, and what went home with the reason and what mends it."""
    status, text = asker.ask("sccachedist report --since 1h --output report.html")
    assert (status, text) == (0, "report.html: 2 requests; any browser opens it\n")
    page = (asker.home / "report.html").read_text()
    for said in (
        "fine.o</bdi>",
        "sent_local</bdi>: <bdi>suspicious</bdi>: <bdi>verify</bdi>, 1",
        "Mend: Mend the source",
    ):
        assert said in page


def test_top(asker: Asker, farm: Farm, tmp_path: Path) -> None:
    """On a terminal: tables, words that one looks for, a build server that is drained with a reason, and the end."""
    config = farm.folder / "scheduler" / "scheduler.conf"
    command = (sys.executable, "-m", "sccachedist", "top", "--config", str(config))
    server = asker.places["server"]
    with Terminal.running(tmp_path / "tmux", command, (150, 30), asker.environment | {"LANG": "C.UTF-8"}) as terminal:

        def sees(form: str) -> None:
            try:
                wait_until(lambda: re.search(form, terminal.screen, re.MULTILINE) is not None, 30, f"{form} is seen")
            except TimeoutError as error:
                raise AssertionError(terminal.screen) from error

        sees(rf"{re.escape(server)} +open ")
        terminal.press("/", server, "Enter")
        sees(r"  1 rows, with ")
        sees("d Drain")  # which is not there as long as keys are words
        terminal.press("d")
        sees(rf"drain {re.escape(server)}: 1 build server gets no new jobs")
        terminal.press("new kernel", "Enter")
        sees(rf"{re.escape(server)} +draining .*new kernel")
        assert re.search(r"draining .*new kernel", asker.ask("sccachedist servers")[1])
        terminal.press("u")
        sees(rf"undrain {re.escape(server)}: ")
        terminal.press("Enter")
        sees(rf"{re.escape(server)} +open ")
        terminal.press("Tab")
        sees(r"broken\.o .*suspicious")
        terminal.press("q")
        wait_until(lambda: terminal.has_ended, 20, "it ends")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sccachedist job 99999999", "no job is remembered whose number ends with 99999999"),
        ("sccachedist why nothing.o", "Nothing is known of a compile whose output ends in nothing.o"),
        ("sccachedist jobs --limit 5000", "limit=5000: expected a whole number from 1 to 1000"),
        ("sccachedist status --token-file wrong", "does not take the token in wrong"),
    ],
)
def test_no_answer(asker: Asker, command: str, said: str) -> None:
    """One line says why, and the status is 1."""
    (asker.home / "wrong").write_text("wrong\n")
    status, text = asker.ask(command)
    assert status == 1
    assert said in text


def test_a_published_scheduler(tmp_path: Path) -> None:
    """It has no such answers, and the command says so."""
    farm = Farm(tmp_path, PUBLISHED_SCHEDULER)
    farm.start_scheduler()
    try:
        status, text = Asker(tmp_path, {}).ask(f"sccachedist status --scheduler {farm.scheduler_url}")
    finally:
        farm.stop()
    assert status == 1
    assert "has no farm API: it is the published scheduler" in text
