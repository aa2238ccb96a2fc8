"""An identity provider on loopback: it publishes keys, gives out tokens for a client's credentials, and judges tokens.

Its keys can change and it can be switched off and on again, at the same address.
"""

import json
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs
from urllib.request import urlopen

import attrs
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from farmkit.processes import free_port

AUDIENCE, ISSUER = "farm", "https://id.example/"
#: What a user of the provider has to know.
CREDENTIALS = "grant_type=client_credentials&client_secret=hunter2"
_HOUR = 3600


def _fresh_key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@attrs.define
class IdentityProvider:
    """Runs as long as its context; ``asked`` has the paths of all requests so far."""

    port: int = attrs.field(factory=free_port)
    kid: str = "first"
    key: RSAPrivateKey = attrs.field(factory=_fresh_key, repr=False)
    opaque: set[str] = attrs.field(factory=set, repr=False)
    asked: list[str] = attrs.field(factory=list)
    _server: ThreadingHTTPServer = attrs.field(init=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), partial(_Answers, self))
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more, if it still does."""
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str) -> str:
        """Where something of it is."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def change_key(self, kid: str) -> None:
        """Sign with another key from now on, and publish no other."""
        self.kid, self.key = kid, _fresh_key()

    def log_in(self) -> str:
        """The token that a user gets."""
        with urlopen(self.url("token"), CREDENTIALS.encode(), timeout=10) as answer:
            return str(json.load(answer)["access_token"])

    def sign(self, *, kid: str | None = None, algorithm: str = "RS256", key: Any = None, **claims: Any) -> str:
        """A token, as the provider makes it where nothing else is said."""
        said = {"aud": AUDIENCE, "iss": ISSUER, "exp": time.time() + _HOUR, **claims}
        return jwt.encode(said, self.key if key is None else key, algorithm, {"kid": kid or self.kid})

    def key_set(self) -> dict[str, Any]:
        """What it publishes."""
        published = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{"kid": self.kid, "use": "sig", "alg": "RS256", **published}]}


class _Answers(BaseHTTPRequestHandler):
    """Answers one request."""

    def __init__(self, identity: IdentityProvider, *arguments: Any) -> None:
        self.identity = identity
        super().__init__(*arguments)  # which answers already

    def do_GET(self) -> None:
        self.identity.asked.append(self.path)
        if self.path == "/keys":
            self._send(200, self.identity.key_set())
        else:
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            self._send(200 if scheme == "Bearer" and token in self.identity.opaque else 403, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        good = parse_qs(body) == parse_qs(CREDENTIALS)
        self._send(200 if good else 401, {"access_token": self.identity.sign()} if good else {})

    def _send(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""
