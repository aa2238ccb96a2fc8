"""A farm on loopback whose build server is a gateway, with workers that dial it."""

import secrets
import shutil
from pathlib import Path
from typing import Self

import attrs

from farmkit.farm import Farm
from farmkit.launch import Launch, replacing, twistd
from farmkit.processes import Daemon

OUR_WORKER = twistd("sccache-worker")
_START_SECS = 120  # on a busy machine; as a rule it is two


@attrs.define
class GatewayFarm(Farm):
    """One scheduler, one gateway, and as many workers as one likes.

    :param names: of the workers that are there from the beginning.
    :param worker_settings: TOML that follows what every worker needs.
    """

    names: tuple[str, ...] = ("one",)
    worker_settings: str = ""
    launch_worker: Launch = OUR_WORKER
    worker_token: str = attrs.field(factory=secrets.token_urlsafe, repr=False)
    workers: dict[str, Daemon] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.launch_server = replacing(self.launch_server, builder=f'type = "remote"\ntokens = ["{self.worker_token}"]')

    @classmethod
    def of(cls, farm: Farm, folder: Path, launch_server: Launch, server_host: str) -> Self:
        """A gateway of the same scheduler: start only that, and workers."""
        return cls(
            folder,
            launch_server=launch_server,
            scheduler_host=farm.scheduler_host,
            server_host=server_host,
            scheduler_port=farm.scheduler_port,
            client_token=farm.client_token,
            server_key=farm.server_key,
        )

    def __enter__(self) -> Self:
        try:
            self.start_scheduler()
            self.launch_gateway()
            for name in self.names:
                self.launch_only_worker(name)
            self.server.wait_until(self._has_workers, _START_SECS, "the gateway offers its workers")
        except BaseException:
            self.stop()
            raise
        return self

    def launch_gateway(self) -> None:
        """Start the gateway, and wait until there is what workers have to know of it."""
        self.launch_only_server()
        self.server.wait_until(self.has_certificate, _START_SECS, "the gateway has a certificate")

    @property
    def certificate(self) -> Path:
        """The certificate of the gateway, for workers."""
        text, alone = self._pair.read_bytes(), self.folder / "gateway.pem"
        alone.write_bytes(text[text.index(b"-----BEGIN CERTIFICATE-----") :])
        return alone

    def has_certificate(self) -> bool:
        """Whether the gateway has made its certificate."""
        return self._pair.exists()

    @property
    def connections(self) -> int:
        """How often a worker has come to the gateway."""
        return self.server.log.read_text().count("CPUs is here")

    def _has_workers(self) -> bool:
        heard = self.scheduler.log.read_text()
        is_fit = heard.count("says that it is unfit") == heard.count("is fit for jobs again")
        return self._complete() and self.connections >= len(self.names) and is_fit

    @property
    def _pair(self) -> Path:
        return self.server_folder / "cache" / "identity" / "tls.pem"

    def worker_folder(self, name: str) -> Path:
        """All that a worker owns."""
        return self.folder / name

    def launch_only_worker(self, name: str, urls: tuple[str, ...] = (), launch: Launch | None = None) -> Daemon:
        """Start a worker, or start it again, and wait for nothing.

        :param urls: of the gateways, if not this farm's alone.
        :param launch: how it is started, if not as the others.
        """
        folder = self.worker_folder(name)
        folder.mkdir(exist_ok=True)
        config = folder / "worker.conf"
        config.touch(mode=0o600)
        dialled = ", ".join(f'"{url}"' for url in urls or (f"https://{self.server_id}",))
        config.write_text(f"""\
cache_dir = "{folder / "cache"}"

[gateway]
urls = [{dialled}]
token = "{self.worker_token}"
certificate_file = "{self.certificate}"

[builder]
type = "overlay"
build_dir = "{folder / "build"}"
bwrap_path = "{shutil.which("bwrap")}"
{self.worker_settings}""")
        daemon = self.workers[name] = Daemon.start((launch or self.launch_worker)(config), self.folder / f"{name}.log")
        self._running.callback(daemon.stop)
        return daemon
