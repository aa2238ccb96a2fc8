"""What a farm's daemons give away of its secrets: in their logs, on their command lines, in their environments.

The published daemons log tokens: only what ours say is searched.
"""

import contextlib
import re
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

from farmkit.farm import Farm
from farmkit.processes import Daemon
from tests.support.processes import stat_fields

_OURS = ("twistd", "sccachedist")
_IN_CONFIGURATION = re.compile(r'\b(token|secret_key|token_file|secret_key_file|private_key)\s*=\s*"([^"]+)"')
#: Job tokens, server tokens and those of identity providers: JWTs, whosever they are.
_JWT = re.compile(rb"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]{5,}")
#: What is shorter is found in any text.
_SHORTEST = 6


def daemons_of(farm: Farm) -> list[Daemon]:
    """Those of a farm's daemons that have been started and are ours."""
    started = filter(None, (getattr(farm, role, None) for role in ("scheduler", "server")))
    return [daemon for daemon in started if {Path(word).name for word in daemon.process.args}.intersection(_OURS)]


def secrets_of(farm: Farm) -> dict[str, list[bytes]]:
    """All that nobody may see, by its name and in each form that it could be written in."""
    secrets: dict[str, list[bytes]] = {}
    for config in farm.folder.glob("*/*.conf"):
        for key, value in _IN_CONFIGURATION.findall(config.read_text()):
            secrets[f"{key} of {config.name}"] = _forms(key, value)
    identity = farm.server_folder / "cache" / "identity"
    with contextlib.suppress(OSError):
        secrets["job.key"] = _written(identity.joinpath("job.key").read_bytes())
        secrets["tls.pem"] = _key_lines(identity / "tls.pem")
    return secrets


def given_away(secrets: dict[str, list[bytes]], texts: dict[str, bytes]) -> list[str]:
    """Which secrets stand in which texts, by their names."""
    found = [
        f"{name} in {where}"
        for where, text in texts.items()
        for name, forms in secrets.items()
        if any(form in text for form in forms if len(form) >= _SHORTEST)
    ]
    return found + [f"a JWT in {where}" for where, text in texts.items() if _JWT.search(text)]


def shown_by_processes(daemon: Daemon) -> dict[str, bytes]:
    """What everybody on the machine sees of a daemon, and what it hands on to those that it starts."""
    shown = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if int(stat_fields(int(process.name))[3]) == daemon.process.pid:
                for name in ("cmdline", "environ"):
                    shown[f"{name} of {daemon.log.stem}"] = process.joinpath(name).read_bytes()
    return shown


def _forms(key: str, value: str) -> list[bytes]:
    if key == "private_key":
        return _key_lines(Path(value))
    if key.endswith("_file"):
        with contextlib.suppress(OSError):
            return _forms(key.removesuffix("_file"), Path(value).read_text().strip())
        return []
    plain = value.encode()
    return [plain, *(_written(urlsafe_b64decode(f"{value}=")) if key == "secret_key" else ())]


def _written(key: bytes) -> list[bytes]:
    bases = b64encode(key).rstrip(b"="), urlsafe_b64encode(key).rstrip(b"=")
    return [key, key.hex().encode(), repr(key)[2:-1].encode(), *bases]


def _key_lines(pem: Path) -> list[bytes]:
    return list(_lines_of_private_keys(pem.read_text()))


def _lines_of_private_keys(pem: str) -> Iterator[bytes]:
    for key in re.findall(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(.*?)-----END", pem, re.DOTALL):
        yield from key.encode().split()
