"""An nginx with TLS in front of a scheduler, started by a test in a folder and on a port of its own.

Its certificate is vouched for by an authority that lives as long; who trusts that is said by ``SSL_CERT_FILE``.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from farmkit.launch import CHECKOUT, Launch
from farmkit.processes import LOOPBACK, Command, Daemon, answers, free_port, inherited

#: Where the proxy's own requests come from.
SENDER = "127.0.0.9"

_ADDRESSES = (ip_address(LOOPBACK), ip_address("::1"))

_NGINX = """\
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{servers}
}}
"""

_SERVER = """\
    server {{
        listen 127.0.0.1:{port} ssl;
        listen [::1]:{port} ssl;
        ssl_certificate proxy.pem;
        ssl_certificate_key proxy.pem;
        location / {{
            proxy_pass {scheduler_url};
            proxy_bind {sender};
            {headers}
        }}
    }}
"""


def nginx(folder: Path, servers: str) -> Command:
    """An nginx in the foreground, with all of its files in a folder.

    :param servers: what stands in the ``http`` block of its configuration.
    """
    (folder / "nginx.conf").write_text(_NGINX.format(servers=servers))
    program = shutil.which("nginx") or "/usr/sbin/nginx"  # not on the PATH of others than root
    return Command((program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"), inherited(), folder)


def asking(launch: Launch, url: str, trust: Mapping[str, str]) -> Launch:
    """A build server that reaches its scheduler by a URL.

    :param trust: what its environment has besides.
    """

    def launch_asking(config: Path) -> Command:
        text = re.sub(r"(?m)^scheduler_url = .*", f'scheduler_url = "{url}"', config.read_text())
        config.write_text(text)
        command = launch(config)
        return attrs.evolve(command, environment={**command.environment, **trust})

    return launch_asking


def _headers() -> str:
    """What the documentation tells nginx to pass on."""
    text = (CHECKOUT / "doc" / "operations.rst").read_text()
    snippet = text.partition("With nginx::\n")[2].partition("    }\n")[0]
    return "\n".join(line for line in snippet.splitlines() if "proxy_set_header" in line)


@attrs.frozen
class Certificate:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str, issuer: "Certificate | None" = None) -> "Certificate":
        """A certificate authority's, or that of a host whom one vouches for."""
        key = generate_private_key(SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(issuer.certificate.subject if issuer else subject, subject, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        if issuer:
            names = x509.SubjectAlternativeName([x509.DNSName(name), *map(x509.IPAddress, _ADDRESSES)])
            builder = builder.add_extension(names, critical=False)
        return cls(builder.sign(issuer.key if issuer else key, SHA256()), key)

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def pem_with_key(self) -> bytes:
        """Key and certificate."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + self.pem


class Vouched:
    """A program in a folder, for whose certificate an authority of its own vouches."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The certificate of the authority."""
        return self.folder / "authority.pem"

    @property
    def trust(self) -> dict[str, str]:
        """The variable by which a program knows the authority as one of the platform's."""
        return {"SSL_CERT_FILE": str(self.authority)}

    def certify(self, *names: str) -> None:
        """Write the authority, and a certificate with its key into files of the folder."""
        authority = Certificate.make("The authority of a test")
        self.authority.write_bytes(authority.pem)
        certificate = Certificate.make("localhost", authority).pem_with_key
        for name in names:
            (self.folder / name).write_bytes(certificate)


@attrs.define
class Proxy(Vouched):
    """An nginx in front of a scheduler, whose certificate an authority of its own vouches for."""

    folder: Path
    scheduler_port: int = attrs.field(factory=free_port)
    port: int = attrs.field(factory=free_port)
    _command: Command = attrs.field(init=False)
    _daemon: Daemon = attrs.field(init=False)

    def url(self, host: str) -> str:
        """Where those who call this machine ``host`` find the scheduler."""
        return f"https://{host}:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it run for a while."""
        self.certify("proxy.pem")
        scheduler_url = f"http://{LOOPBACK}:{self.scheduler_port}"
        server = _SERVER.format(headers=_headers(), port=self.port, sender=SENDER, scheduler_url=scheduler_url)
        self._command = nginx(self.folder, server)
        self._start()
        try:
            yield
        finally:
            self._daemon.stop()

    def restart(self) -> None:
        """End it, and start it again as it was."""
        self._daemon.stop()
        self._start()

    def _start(self) -> None:
        self._daemon = Daemon.start(self._command, self.folder / "nginx.log")
        self._daemon.wait_until(lambda: answers(self.port), 30, "nginx answers")

    def trusted(self, launch: Launch) -> Launch:
        """A scheduler that believes this proxy."""

        def launch_trusting(config: Path) -> Command:
            with config.open("a") as more:
                more.write(f'\n[network]\ntrusted_proxies = ["{SENDER}"]\n')
            return launch(config)

        return launch_trusting

    def before(self, launch: Launch, url: str) -> Launch:
        """A build server that reaches its scheduler through this proxy, by a URL of it."""
        return asking(launch, url, self.trust)

    def trusting(self, launch: Launch) -> Launch:
        """A daemon that trusts the authority behind the certificate."""

        def launch_trusting(config: Path) -> Command:
            command = launch(config)
            return attrs.evolve(command, environment={**command.environment, **self.trust})

        return launch_trusting
