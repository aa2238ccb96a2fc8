"""A scheduler and a build server on loopback, with fresh secrets, in one folder.

How each of the two is started is the caller's affair, so that the published programs can stand in.
"""

import contextlib
import json
import secrets
import shutil
import urllib.request
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Self

import attrs

from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, Launch
from farmkit.processes import LOOPBACK, Daemon, answers, free_port
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import SchedulerStatus
from sccachedist.wire.secret_key import KEY_SIZE
from sccachedist.wire.tokens import server_token

_START_SECS = 120  # on a busy machine; as a rule it is two


def _fresh_key() -> bytes:
    return secrets.token_bytes(KEY_SIZE)


@attrs.define
class Farm:
    """One scheduler and one build server; ports, secrets and folders outlast a restart of either.

    Hosts are IP addresses as they stand in a URL, an IPv6 one in brackets. ``scheduler_settings`` and
    ``server_settings`` are TOML that follows what every daemon needs.
    """

    folder: Path
    launch_scheduler: Launch = OUR_SCHEDULER
    launch_server: Launch = OUR_SERVER
    scheduler_host: str = LOOPBACK
    server_host: str = LOOPBACK
    scheduler_port: int = attrs.field(factory=free_port)
    server_port: int = attrs.field(factory=free_port)
    client_token: str = attrs.field(factory=secrets.token_urlsafe, repr=False)
    server_key: bytes = attrs.field(factory=_fresh_key, repr=False)
    scheduler_settings: str = ""
    server_settings: str = ""
    _running: contextlib.ExitStack = attrs.field(factory=contextlib.ExitStack, init=False)
    scheduler: Daemon = attrs.field(init=False)
    server: Daemon = attrs.field(init=False)

    def __enter__(self) -> Self:
        try:
            self.start_scheduler()
            self.start_server()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End what runs, the last that was started first."""
        self._running.close()

    @property
    def scheduler_url(self) -> str:
        """Where the scheduler is."""
        return f"http://{self.scheduler_host}:{self.scheduler_port}"

    @property
    def server_id(self) -> ServerId:
        """The address of the build server."""
        return ServerId.parse(f"{self.server_host}:{self.server_port}")

    @property
    def server_folder(self) -> Path:
        """All that the build server owns."""
        return self.folder / "server"

    def beside(self, folder: Path, launch_server: Launch, server_host: str = LOOPBACK) -> "Farm":
        """The same scheduler with a further build server: start only that."""
        return attrs.evolve(
            self, folder=folder, launch_server=launch_server, server_host=server_host, server_port=free_port()
        )

    def start_scheduler(self) -> None:
        """Start the scheduler and wait until it answers."""
        self.launch_only_scheduler()
        self.scheduler.wait_until(
            lambda: answers(self.scheduler_port, self.scheduler_host), _START_SECS, "the scheduler answers"
        )

    def start_server(self) -> None:
        """Start the build server and wait until the scheduler counts it and it answers itself."""
        self.launch_only_server()
        self.server.wait_until(self._complete, _START_SECS, "the build server is registered")

    def launch_only_scheduler(self) -> None:
        """Start the scheduler, and wait for nothing."""
        self.scheduler = self._start("scheduler", self._scheduler_config(), self.launch_scheduler)

    def launch_only_server(self) -> None:
        """Start the build server, and wait for nothing."""
        self.server = self._start("server", self._server_config(), self.launch_server)

    def status(self) -> SchedulerStatus:
        """What the scheduler says of the farm."""
        told = json.loads(self.ask("status"))
        return SchedulerStatus(*(told[field.name] for field in attrs.fields(SchedulerStatus)))

    def ask(self, path: str) -> bytes:
        """The JSON that the scheduler has under a path that anyone may read."""
        request = urllib.request.Request(  # noqa: S310 - our own scheduler's address
            f"{self.scheduler_url}/api/v1/scheduler/{path}", headers={"Accept": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return bytes(answer.read())

    def _complete(self) -> bool:
        return self.status().num_servers > 0 and answers(self.server_port, self.server_host)

    def _start(self, role: str, settings: str, launch: Launch) -> Daemon:
        config = self.folder / role / f"{role}.conf"
        config.parent.mkdir(exist_ok=True)
        config.touch(mode=0o600)
        config.write_text(settings)
        daemon = Daemon.start(launch(config), self.folder / f"{role}.log")
        self._running.callback(daemon.stop)
        return daemon

    def _scheduler_config(self) -> str:
        return f"""\
public_addr = "{self.scheduler_host}:{self.scheduler_port}"

[client_auth]
type = "token"
token = "{self.client_token}"

[server_auth]
type = "jwt_hs256"
secret_key = "{urlsafe_b64encode(self.server_key).decode().rstrip("=")}"
{self.scheduler_settings}"""

    def _server_config(self) -> str:
        return f"""\
cache_dir = "{self.server_folder / "cache"}"
public_addr = "{self.server_id}"
scheduler_url = "{self.scheduler_url}"

[builder]
type = "overlay"
build_dir = "{self.server_folder / "build"}"
bwrap_path = "{shutil.which("bwrap")}"

[scheduler_auth]
type = "jwt_token"
token = "{server_token(self.server_key, self.server_id)}"
{self.server_settings}"""
