"""What ``make demo KEEP=1`` runs, and the pages that have one try something: all of their commands, on that farm.

Only addresses, folders and secrets are others than in the pages.
"""

import re
import shlex
import shutil
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.launch import CHECKOUT
from farmkit.processes import LOOPBACK, Command, Daemon, free_port, inherited
from tests.support.page_blocks import blocks, pages_with

pytestmark = pytest.mark.functional

#: Pages whose commands are followed here.
PAGES = ("tutorial", "slow", "local", "upgrade", "backup", "from_sccache_dist", "from_icecream")
#: Pages whose commands other tests follow, or that show requests to the API.
OTHERS = {"service", "debian", "api", "sign_on", "containers", "kubernetes", "prometheus", "gateway"}
#: Blocks by name that need a host of their own, and what runs their commands there.
ELSEWHERE = {"on-the-host", "on-the-scheduler", "doctor"}
#: What the demo itself does, and the line that is the demo's own.
_DEMO = "make demo KEEP=1"
#: A question about a job that has only just ended: what became of it is told a moment later.
_WHY = re.compile(r"^sccachedist why (\S+)$", re.MULTILINE)
_WAITED_FOR = r"for _ in {1..300}; do sccachedist why \1 >/dev/null && break; sleep 0.2; done; \g<0>"
#: What a page's commands have to say, in this order.
SAID = {
    "tutorial": [
        r"Successful distributed compiles",
        r"^servers +1: 1 open",
        r"^\S+/hello\.o, .*: compiled by 127\.0\.0\.1:\d+, job ",
        r"^127\.0\.0\.1:\d+ is drained",
        r"^no job is left, after \d+ s$",
        r"127\.0\.0\.1:\d+ +draining .*my first drain$",
        r"^answer\.o$",
        r"got no slot: no_servers\.$",
        r"^\S+/question\.o, .*: compiled by ",
    ],
    "slow": [r"^slots +0 on \d+ CPUs|^slots ", r"requests; any browser opens it", r"^  phases$"],
    "local": [r"^\S+/hello\.o, .*: compiled by ", r"^[1-9]\d*$"],
    "upgrade": [r"^sccachedist \d+\.\d+\.\d+", r"^ok: ", r"is drained", r"^no job is left"],
    "backup": [r"scheduler\.conf$", r"^ok: "],
    "from_icecream": [r"^This would be done:$"],
}


@attrs.define
class Demo:
    """A demo that is kept.

    :param said: what it has printed; ``steps``: the commands that it tells one to run.
    """

    said: str
    steps: list[str]
    folder: Path

    @property
    def page(self) -> str:
        """The address of its scheduler."""
        (page,) = re.findall(r"^page +(http://\S+)/$", self.said, re.MULTILINE)
        return str(page)

    def run(self, script: str, place: Path) -> str:
        """What a script prints in the terminal that one has beside the demo."""
        ended = Command(("/bin/bash", "-euc", f"{self.steps[0]}\n{script}"), inherited(HOME=str(place)), place).run(180)
        assert ended.returncode == 0, ended
        return ended.stdout

    def here(self, text: str, place: Path) -> str:
        """A text with the addresses and folders of this farm."""
        (server,) = re.findall(r"^build server +(\S+),", self.said, re.MULTILINE)
        for theirs, ours in {
            "http://192.168.1.1:10600": self.page,
            "192.168.1.1:10600": self.page.removeprefix("http://"),
            "192.168.1.2:10501": server,
            "192.168.1.2": server.partition(":")[0],
            "/etc/sccachedist": str(place / "etc"),
            "admin.token": str(self.folder / "administrator.token"),
            "/etc/prometheus/sccachedist.token": str(self.folder / "administrator.token"),  # which will do as well
            "/etc/prometheus": str(place / "prometheus"),
            "/var/lib/grafana": str(place / "grafana"),
            " contrib/": f" {CHECKOUT}/contrib/",
        }.items():
            text = text.replace(theirs, ours)
        return text


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """It runs until Ctrl-C, and leaves nothing."""
    folder = tmp_path_factory.mktemp("demo")
    temporary, said = folder / "tmp", folder / "said"
    temporary.mkdir()
    command = Command((sys.executable, "-m", "demo", "--keep"), inherited(TMPDIR=str(temporary)), CHECKOUT)
    running = Daemon.start(command, said)
    try:
        running.wait_until(lambda: "sign in with" in said.read_text(), 900, "the farm is kept")
        (steps,) = re.findall(r"in another terminal:\n\n((?: {4}.+\n)+)", said.read_text())
        [made] = temporary.iterdir()
        yield Demo(said.read_text(), [line.strip() for line in steps.splitlines()], made)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 0
    finally:
        running.stop(60)
    assert list(temporary.iterdir()) == []


@pytest.fixture
def place(demo: Demo, tmp_path: Path) -> Path:
    """A folder with what the pages suppose: a file that was compiled, and configurations."""
    (tmp_path / "hello.c").write_text("int main(void) { return 0; }\n")
    (tmp_path / "etc").mkdir()
    for role in ("scheduler", "server"):
        shutil.copy(demo.folder / role / f"{role}.conf", tmp_path / "etc" / f"{role}.conf")
    demo.run("sccache gcc -c hello.c -o hello.o", tmp_path)
    return tmp_path


def test_the_demo(demo: Demo, tmp_path: Path) -> None:
    """All compiles are remote, the page is there, and one can go on as it says."""
    assert "\nEvery compile was remote, every program ran.\n" in demo.said
    with urllib.request.urlopen(f"{demo.page}/", timeout=30) as answer:
        assert answer.headers.get_content_type() == "text/html"
    (tmp_path / "hello.c").write_text("int main(void) { return 0; }\n")
    assert re.search(r"^servers +1: 1 open$", demo.run("\n".join(demo.steps[1:]), tmp_path), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page(demo: Demo, place: Path, page: str) -> None:
    """They succeed, and say what the page says that they do."""
    found = [block for block in blocks(page) if block.language == "sh" and block.name not in ELSEWHERE]
    script = "\n".join(block.text for block in found if block.text != _DEMO)
    said = demo.run(demo.here(_WHY.sub(_WAITED_FOR, script), place), place)
    for expected in SAID.get(page, []):
        match = re.search(expected, said, re.MULTILINE)
        assert match, (expected, said)
        said = said[match.end() :]


def test_the_programs_of_the_page_about_python(demo: Demo, place: Path) -> None:
    """They run on this farm: the second one drains the build server, which is put back."""
    look, drain = [demo.here(block.text, place) for block in blocks("python") if block.language == "python"]
    python = f"PYTHONPATH={shlex.quote(str(CHECKOUT))} {shlex.quote(sys.executable)}"
    assert re.search(
        r"^127\.0\.0\.1:\d+ open \d+ of \d+ slots$", demo.run(f"{python} - <<'END'\n{look}\nEND", place), re.M
    )
    assert demo.run(f"{python} - <<'END'\n{drain}\nEND\nsccachedist undrain '*'", place).startswith("0 jobs left\n")


def test_the_page_about_prometheus(demo: Demo, place: Path) -> None:
    """A Prometheus that is configured as it says finds the scheduler and the build server, and answers what it asks."""
    parts = {block.name: demo.here(block.text, place) for block in blocks("prometheus") if block.name}
    (place / "prometheus").mkdir()
    (place / "prometheus/prometheus.yml").write_text(parts["configuration"].replace("15s", "1s"))
    names = ("token", "look", "alerts", "check", "copy")
    said = demo.run("\n".join(parts[name] for name in names), place)
    assert re.search(r'"targets": ?\["127\.0\.0\.1:\d+"\]', said), said
    assert re.search(r"^sccachedist_scheduler_slots [1-9]", said, re.MULTILINE)
    address = f"{LOOPBACK}:{free_port()}"
    arguments = ("--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}")
    rules = place / "prometheus/sccachedist-alerts.yml"
    rules.write_text(rules.read_text().replace("interval: 30s", "interval: 1s"))
    asked = parts["ask"].replace("localhost:9090", address)
    command = Command(("prometheus", *arguments), inherited(), place / "prometheus")
    prometheus = Daemon.start(command, place / "prometheus.log")
    try:
        prometheus.wait_until(lambda: is_answered(demo, asked, place), 60, "all that the page asks is answered")
    finally:
        prometheus.stop()
    assert parts.keys() == {*names, "configuration", "ask", "boards"}
    assert len(list((place / "grafana/sccachedist").glob("*.json"))) == 2


def is_answered(demo: Demo, asked: str, place: Path) -> bool:
    """Whether both daemons are up, and no question of a page is without an answer."""
    found = [demo.run(f"{line} || true", place) for line in asked.splitlines()]
    return all(found) and len(re.findall(r"=> 1 @", found[0])) == 2


def test_all_pages_are_followed() -> None:
    """A page with commands is one of these; a block that is not run here is run by another page's test."""
    assert pages_with("sh") == {*PAGES, *OTHERS}
    elsewhere = [block for page in PAGES for block in blocks(page) if block.name in ELSEWHERE]
    known = (CHECKOUT / "README.md").read_text() + (CHECKOUT / "doc" / "service.rst").read_text()
    lines = {line for block in elsewhere for line in block.text.splitlines()}
    alike = {line.replace("sccachedist-scheduler", "sccachedist-server") for line in lines if "doctor" not in line}
    assert {line for line in alike if line not in known} == set()
