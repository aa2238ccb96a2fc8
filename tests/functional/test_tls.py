"""A scheduler that listens with TLS itself, and what both daemons' ports agree to."""

import json
import socket
import ssl
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from OpenSSL import SSL

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PROGRAMS, Launch, adding
from farmkit.processes import Command, inherited, wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client, Statistics
from tests.functional.conftest import running_farm
from tests.support.proxy import Certificate
from tests.support.scan import Agreed, scan

pytestmark = pytest.mark.functional

AUTHORITY = Certificate.make("The authority of a test")


@attrs.define
class TlsFarm(Farm):
    """A farm whose scheduler speaks TLS."""

    @property
    def scheduler_url(self) -> str:
        """By a name and protocol that its certificate is good for."""
        return f"https://{self.scheduler_host}:{self.scheduler_port}"

    def ask(self, path: str) -> bytes:
        """As an anonymous client asks."""
        request = urllib.request.Request(
            f"{self.scheduler_url}/api/v1/scheduler/{path}", headers={"Accept": "application/json"}
        )
        trusting = ssl.create_default_context(cadata=AUTHORITY.pem.decode())
        with urllib.request.urlopen(request, timeout=10, context=trusting) as answer:
            return bytes(answer.read())


def write_certificate(folder: Path) -> None:
    certificate = Certificate.make("localhost", AUTHORITY)
    (folder / "scheduler.key").write_bytes(certificate.pem_with_key)
    (folder / "scheduler.pem").write_bytes(certificate.pem)


def trusting(launch: Launch, authority: Path) -> Launch:
    def launch_trusting(config: Path) -> Command:
        command = launch(config)
        return attrs.evolve(command, environment={**command.environment, "SSL_CERT_FILE": str(authority)})

    return launch_trusting


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm without a proxy."""
    folder = tmp_path_factory.mktemp("farm")
    (folder / "authority.pem").write_bytes(AUTHORITY.pem)
    write_certificate(folder)
    tls = f'certificate = "{folder / "scheduler.pem"}"\nprivate_key = "{folder / "scheduler.key"}"'
    server = trusting(OUR_SERVER, folder / "authority.pem")
    scheduler = adding(OUR_SCHEDULER, tls=tls, admin='token = "the-administrators-token"')
    yield from running_farm(TlsFarm(folder, scheduler, server))


def test_a_client_compiles(farm: Farm, toolchains: Path, tmp_path: Path) -> None:
    """The published client and a build server reach the scheduler by https, with nothing in between."""
    project = write_project(tmp_path / "project", C, 1)
    trust = {"SSL_CERT_FILE": str(farm.folder / "authority.pem")}
    with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains, variables=trust) as client:
        for source in project.sources:
            ended = client.compiling(project.compile_command(source), project.folder).run()
            assert ended.returncode == 0, ended
        assert client.statistics() == Statistics({str(farm.server_id): len(project.sources)}, errors=0)


@pytest.mark.parametrize("role", ["scheduler", "server"])
def test_nothing_weak(farm: Farm, role: str) -> None:
    """TLS 1.2 and 1.3, with forward secrecy and authenticated encryption; every other offer is declined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the versions that nobody should take
        agreed = scan(farm.scheduler_port if role == "scheduler" else farm.server_port)
    assert {one.version for one in agreed} == {"TLSv1.2", "TLSv1.3"}
    assert {one.cipher for one in agreed if one.version == "TLSv1.2"} <= {
        f"ECDHE-ECDSA-{cipher}" for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    }
    assert Agreed("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256") in agreed


@pytest.mark.parametrize("role", ["scheduler", "server"])
def test_no_renegotiation(farm: Farm, role: str) -> None:
    """Nobody can have a connection begin TLS again and again, which costs a peer little and a daemon much."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    port = farm.scheduler_port if role == "scheduler" else farm.server_port
    with socket.create_connection(("127.0.0.1", port)) as plain:
        connection = SSL.Connection(context, plain)
        connection.set_connect_state()
        connection.do_handshake()
        connection.renegotiate()
        with pytest.raises(SSL.Error, match="no renegotiation"):
            connection.do_handshake()


def test_read_again(farm: Farm) -> None:
    """SIGHUP shows a new certificate to all who connect; files that are broken change nothing but the log."""
    first = shown(farm)
    write_certificate(farm.folder)
    farm.scheduler.process.send_signal(1)
    wait_until(lambda: shown(farm) != first, 20, "the new certificate is shown")
    second = shown(farm)
    private_key = farm.folder / "scheduler.key"
    good = private_key.read_text()
    private_key.write_text("nonsense")
    farm.scheduler.process.send_signal(1)
    farm.scheduler.wait_until(
        lambda: "the configuration stays as it is: tls.private_key" in farm.scheduler.tail(), 20, "it is said"
    )
    private_key.write_text(good)
    assert shown(farm) == second
    assert json.loads(farm.ask("status"))["num_servers"] == 1


def said(farm: Farm, *arguments: str, role: str = "scheduler") -> tuple[int, str]:
    """The exit status of our command on this host, and what it prints."""
    config = farm.folder / role / f"{role}.conf"
    command = (str(PROGRAMS / "sccachedist"), *arguments, "--config", str(config))
    ended = Command(command, inherited(), farm.folder).run()
    return ended.returncode, ended.stdout + ended.stderr


def test_commands_reach_it(farm: Farm) -> None:
    """``drain`` and ``doctor`` know the scheduler by its own certificate, or by an authority that ``--ca`` names."""
    authority = f"--ca={farm.folder / 'authority.pem'}"
    for more in ((), (authority,), (authority, f"--scheduler=https://localhost:{farm.scheduler_port}")):
        for order in ("drain", "undrain"):
            status, text = said(farm, order, str(farm.server_id), *more)
            assert (status, "drained: " in text) == (0, True), text
    for more in ((), (authority,)):
        status, text = said(farm, "doctor", *more)
        assert (status, "it answers, and has 1 build server" in text) == (0, True), text
    status, text = said(farm, "doctor", authority, role="server")
    assert (status, "token: the scheduler takes it" in text) == (0, True), text
    status, text = said(farm, "doctor", role="server")
    assert (status, "its certificate is not trusted here" in text) == (1, True), text


def shown(farm: Farm) -> str:
    return ssl.get_server_certificate((farm.scheduler_host, farm.scheduler_port))
