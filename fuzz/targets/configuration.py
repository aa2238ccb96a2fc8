"""Configuration files of both roles, TOML and JSON: each gives settings, or one line that says what is wrong.

The lowest bits of the first byte choose the role and the form.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from fuzz.places import scratch
from sccachedist.config import load_scheduler_settings, load_server_settings
from sccachedist.errors import ConfigError

LOADERS = (load_scheduler_settings, load_server_settings)
SUFFIXES = (".toml", ".json")

_SCHEDULER = b"""public_addr = "127.0.0.1:10600"
[client_auth]
type = "jwt_validate"
audience = "a"
issuer = "i"
jwks_url = "https://example.com/keys"
[server_auth]
type = "jwt_hs256"
secret_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
[network]
trusted_proxies = ["10.0.0.0/8", "::1"]
[queue]
max_wait_secs = 5
[limits]
message_bytes = 100
"""
_SERVER = b"""cache_dir = "/tmp/c"
public_addr = "[::1]:10501"
scheduler_url = "http://127.0.0.1:10600"
toolchain_cache_size = 1000
[builder]
type = "overlay"
build_dir = "/tmp/b"
bwrap_path = "/usr/bin/bwrap"
[scheduler_auth]
type = "token"
token = "t"
"""
_JSON = (
    b'{"public_addr": "127.0.0.1:10600", "client_auth": {"type": "token", "token": "t"},'
    b' "server_auth": {"type": "DANGEROUSLY_INSECURE"}, "limits": {"headers": 7}, "queue": null}',
    b'{"cache_dir": "/c", "public_addr": "127.0.0.1:10501", "scheduler_url": "127.0.0.1:10600",'
    b' "builder": {"type": "pot", "pot_clone_args": ["-i", "lo0"]}, "scheduler_auth": {"type": "token", "token": "t"}}',
)


def seeds() -> Iterator[bytes]:
    """A file of each role in each form."""
    yield b"\x00" + _SCHEDULER
    yield b"\x01" + _SERVER
    yield b"\x02" + _JSON[0]
    yield b"\x03" + _JSON[1]


def attack(data: bytes) -> None:
    """Load the file."""
    if not data:
        return
    path = scratch() / f"fuzzed{SUFFIXES[data[0] >> 1 & 1]}"
    path.write_bytes(data[1:])
    said = _loaded(LOADERS[data[0] & 1], path)
    assert len(said.splitlines()) == 1, said


def _loaded(load: Callable[[Path], object], path: Path) -> str:
    try:
        return repr(load(path))
    except ConfigError as error:
        return str(error)
