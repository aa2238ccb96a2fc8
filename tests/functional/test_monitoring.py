"""A real Prometheus over a real farm of two build servers, of which one cannot do what it is given."""

import contextlib
import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SERVER
from farmkit.processes import LOOPBACK, Command, Daemon, free_port, inherited, wait_until
from farmkit.projects import write_project
from farmkit.published_client import Client
from sccachedist.metrics.series import SCHEDULER, SERVERS
from sccachedist.metrics.server_series import SERVER
from tests.faults.build import SMALL
from tests.functional.test_builds import build
from tests.metrics.exposed import families, named
from tests.metrics.test_contrib import BOARDS, CHECKOUT, expressions

pytestmark = pytest.mark.functional

TOKEN = "the secret of a monitoring system"
RULES = CHECKOUT / "contrib" / "prometheus"
FILES, PARALLEL = 30, 4
#: Room enough in a sandbox for the self-test, and too little for what these compiles write.
SCRATCH_BYTES = 128 << 10
LARGE = attrs.evolve(SMALL, part=f"{SMALL.part}char text_{{n}}[200000] = {{{{1}}}};\n")
CONFIGURATION = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{folder}/alerts.yml]
scrape_configs:
  - job_name: sccachedist-scheduler
    authorization: {{type: Bearer, credentials: {token}}}
    static_configs: [{{targets: ["{scheduler}"]}}]
  - job_name: sccachedist-servers-seen
    metrics_path: /metrics/servers
    authorization: {{type: Bearer, credentials: {token}}}
    static_configs: [{{targets: ["{scheduler}"]}}]
  - job_name: sccachedist-server
    http_sd_configs:
      - url: http://{scheduler}/metrics/targets
        authorization: {{type: Bearer, credentials: {token}}}
        refresh_interval: 1s
"""


@attrs.frozen
class Prometheus:
    """A Prometheus that scrapes a farm every second."""

    port: int

    def ask(self, path: str, **parameters: str) -> Any:
        """What its HTTP API has."""
        url = f"http://{LOOPBACK}:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def value(self, query: str) -> float:
        """The sum of what a query finds; 0 for nothing."""
        found = self.ask("query", query=f"sum({query})")["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def alerts(self) -> dict[tuple[str, str], str]:
        """The state of each alert that is not inactive, by name and instance."""
        return {
            (alert["labels"]["alertname"], alert["labels"].get("instance", "")): alert["state"]
            for alert in self.ask("alerts")["alerts"]
        }


def fetch(url: str, token: str = "") -> bytes:
    """The body of a GET."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


@attrs.frozen
class Monitored:
    """A farm whose second build server is broken, and the Prometheus that watches it."""

    farm: Farm
    prometheus: Prometheus
    healthy: str
    broken: str

    @property
    def expositions(self) -> dict[str, bytes]:
        """All that can be scraped."""
        return {
            "scheduler": fetch(f"{self.farm.scheduler_url}/metrics", TOKEN),
            "servers": fetch(f"{self.farm.scheduler_url}/metrics/servers", TOKEN),
            "healthy": fetch(f"http://{self.healthy}/metrics"),
            "broken": fetch(f"http://{self.broken}/metrics"),
        }


def is_ready(port: int) -> bool:
    """Whether it has read what it kept, so that it answers queries."""
    with contextlib.suppress(OSError):
        return fetch(f"http://{LOOPBACK}:{port}/-/ready") != b""
    return False


def metrics_table(address: str) -> str:
    return f'[metrics]\naddress = "{address}"\n'


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    folder = tmp_path_factory.mktemp("monitored")
    healthy, broken = (f"{LOOPBACK}:{free_port()}" for _ in range(2))
    with ExitStack() as held:
        held.callback(shutil.rmtree, folder)
        scheduler_settings = f'[metrics]\ntoken = "{TOKEN}"\n'
        first = Farm(folder / "first", scheduler_settings=scheduler_settings, server_settings=metrics_table(healthy))
        first.folder.mkdir()
        held.enter_context(first)
        second = first.beside(folder / "second", OUR_SERVER)
        second.folder.mkdir()
        second.server_settings = f"{metrics_table(broken)}\n[sandbox]\nscratch_bytes = {SCRATCH_BYTES}\n"
        held.callback(second.stop)
        second.start_server()
        port = free_port()
        prometheus = started_prometheus(folder, first, port)
        held.callback(prometheus.stop)
        prometheus.wait_until(lambda: is_ready(port), 30, "Prometheus answers")
        yield Monitored(first, Prometheus(port), healthy, broken)


def started_prometheus(folder: Path, farm: Farm, port: int) -> Daemon:
    """One that has our rules, and looks at them each second."""
    rules = (RULES / "alerts.yml").read_text().replace("interval: 30s", "interval: 1s")
    (folder / "alerts.yml").write_text(rules)
    scheduler = f"{farm.scheduler_host}:{farm.scheduler_port}"
    (folder / "prometheus.yml").write_text(CONFIGURATION.format(folder=folder, token=TOKEN, scheduler=scheduler))
    arguments = ("--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={LOOPBACK}:{port}")
    return Daemon.start(Command(("prometheus", *arguments), inherited(), folder), folder / "prometheus.log")


def test_a_broken_build_server_is_seen(monitored: Monitored, tmp_path: Path, toolchains: Path) -> None:
    """Prometheus finds both build servers, understands each rule, and points at the one that is broken."""
    prometheus, farm = monitored.prometheus, monitored.farm
    wait_until(lambda: prometheus.value('up{job=~"sccachedist-.*"} == 1') == 4, 30, "all four are scraped")
    found = {target["labels"]["instance"] for target in prometheus.ask("targets")["activeTargets"]}
    assert {monitored.healthy, monitored.broken} < found
    project = write_project(tmp_path / "project", LARGE, FILES)
    with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
        build(project, lambda source: client.compiling(project.compile_command(source), project.folder), PARALLEL)
        assert client.statistics().errors >= 3
    wait_until(
        lambda: prometheus.alerts().get(("SccachedistBuildServerBroken", monitored.broken)) == "pending",
        30,
        "the alert is pending",
    )
    assert ("SccachedistBuildServerBroken", monitored.healthy) not in prometheus.alerts()
    wait_until(
        lambda: {rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]} == {"ok"},
        10,
        "each rule is looked at",
    )


def test_boards(monitored: Monitored) -> None:
    """Prometheus answers all that the boards ask, with their variables replaced."""
    variables = {"$__rate_interval": "10s", "$scheduler": ".*", "$server": ".*", "$instance": ".*"}
    # What has not happened, or not in the last seconds, has no value.
    unanswered = [
        expression
        for board in BOARDS.values()
        for expression in expressions(board)
        if not re.search(r"histogram_quantile|/|changes\(|> 0", expression)
    ]

    def all_are_answered() -> bool:
        for expression in tuple(unanswered):
            asked = expression
            for name, value in variables.items():
                asked = asked.replace(name, value)
            if monitored.prometheus.ask("query", query=asked)["result"]:
                unanswered.remove(expression)
        return not unanswered

    with contextlib.suppress(TimeoutError):  # the assertion says which
        wait_until(all_are_answered, 20, "all are answered")
    assert unanswered == []


def test_the_tables_are_the_truth(monitored: Monitored) -> None:
    """Real daemons export the series of the tables and no others, and promtool has nothing to say of their names."""
    expositions = monitored.expositions
    for name, rows in (("scheduler", SCHEDULER), ("servers", SERVERS), ("healthy", SERVER), ("broken", SERVER)):
        assert families(expositions[name]) == named(rows), name
        ended = subprocess.run(
            ["promtool", "check", "metrics"], input=expositions[name], capture_output=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, b""), ended


def test_rules() -> None:
    """The rules are well formed, and pass their own tests."""
    for command in ("check rules alerts.yml", "test rules alerts_test.yml"):
        ended = subprocess.run(["promtool", *command.split()], cwd=RULES, capture_output=True, check=False)
        assert ended.returncode == 0, ended
