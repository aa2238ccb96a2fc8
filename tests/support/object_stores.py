"""Object stores by the protocol of S3, each a process of moto on a port of its own, that keep objects in memory."""

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import attrs

from farmkit.processes import LOOPBACK, Command, Daemon, answers, free_port, inherited
from farmkit.raw_client import unverified

BUCKET, PREFIX = "farm", "tc/"
#: Any credentials will do there.
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
#: Those that write into a store by hand: it only looks whether there are any.
_BY_HAND = "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@attrs.define
class ObjectStoreProcess:
    """One of them, with an empty bucket.

    :param folder: for its log; ``host``: its address.
    :param certificate: with its key behind it, PEM; without one, it speaks no TLS.
    """

    folder: Path
    host: str = LOOPBACK
    certificate: Path | None = None
    port: int = attrs.field(factory=free_port)
    _daemon: Daemon | None = attrs.field(default=None, init=False)

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"{'https' if self.certificate else 'http'}://{self.host}:{self.port}"

    @property
    def settings(self) -> str:
        """The table of a build server's configuration."""
        return f"""
[toolchains]
store = "s3://{BUCKET}/{PREFIX}"
store_endpoint = "{self.endpoint}"
store_access_key = "testing"
store_secret_key = "testing"
"""

    def start(self) -> None:
        """Start it, and make the bucket."""
        tls = ("-c", str(self.certificate), "-k", str(self.certificate)) if self.certificate else ()
        arguments = (sys.executable, "-m", "moto.server", "-H", self.host, "-p", str(self.port), *tls)
        self._daemon = Daemon.start(Command(arguments, inherited(), self.folder), self.folder / "store.log")
        self._daemon.wait_until(lambda: answers(self.port, self.host), 60, "a store that answers")
        self._ask("PUT", "")

    def stop(self) -> None:
        """End it; what it has is lost."""
        if self._daemon is not None:
            self._daemon.stop()

    @contextmanager
    def running(self) -> Iterator["ObjectStoreProcess"]:
        """Have it while this lasts."""
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def put(self, name: str, content: bytes) -> None:
        """Put an object there, also where there is one."""
        self._ask("PUT", f"/{PREFIX}{name}", content)

    def get(self, name: str) -> bytes | None:
        """An object; None if it is not there."""
        try:
            return self._ask("GET", f"/{PREFIX}{name}")
        except HTTPError as error:
            if error.code == 404:
                return None
            raise

    def delete(self, name: str) -> None:
        """Remove an object, as a lifecycle does."""
        self._ask("DELETE", f"/{PREFIX}{name}")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": _BY_HAND, "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{self.endpoint}/{BUCKET}{path}", body, headers, method=method)
        context = unverified() if self.certificate else None
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return bytes(answer.read())
