"""What the published program makes of a configuration file, and what we do.

The published program runs in a sandbox without a network, for the addresses of these files are nobody's and it removes
its ``build_dir`` whole. There it comes to its end at once, and says on the way whether the file was good.
"""

import subprocess
from enum import Enum
from pathlib import Path

from farmkit.launch import PROGRAMS
from sccachedist.config import load_scheduler_settings, load_server_settings
from sccachedist.errors import ConfigError
from sccachedist.server.self_description import server_token
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import server_token as sign

# What a good file may hold: a secret key, nobody's address, and a token for a build server there.
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
HERE = "192.0.2.1:10501"
TOKEN = sign(bytes(32), ServerId.parse(HERE))


class Verdict(Enum):
    """What the published program makes of a file."""

    TAKEN = "taken"
    REFUSED = "refused"
    UNTRIED = "taken in form; this machine has not what it takes to try the key or the token in it"


_LAST_WORDS = {
    "Failed to start http server": Verdict.TAKEN,  # nobody's address
    "Failed to create sccache server instance": Verdict.TAKEN,  # a cache_dir that cannot be made
    "Secret key base64 invalid": Verdict.REFUSED,
    "Size of secret key incorrect": Verdict.REFUSED,
    "Could not decode scheduler auth jwt": Verdict.REFUSED,
    "JWT server id": Verdict.REFUSED,
    "Docker builder failed to start": Verdict.UNTRIED,
    "Overlay builder failed to start": Verdict.UNTRIED,
    "Builder type `Pot` not supported": Verdict.UNTRIED,
    "Failed to create a checker for valid JWTs": Verdict.UNTRIED,  # which wants the provider's keys
}


def published(role: str, file: Path) -> Verdict:
    """The published program's verdict: by its exit status, and where it went on, by how far it came."""
    visible = (argument for folder in (PROGRAMS, file.parent) for argument in ("--ro-bind", str(folder), str(folder)))
    sandbox = ("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/tmp", *visible, "--chdir", "/tmp")
    as_root = ("--unshare-all", "--uid", "0", "--gid", "0", "--die-with-parent", "--clearenv")
    variables = ("--setenv", "SCCACHE_NO_DAEMON", "1", "--setenv", "PATH", "/nowhere")
    command = (*sandbox, *as_root, *variables, str(PROGRAMS / "sccache-dist"), role, "--config", str(file))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if ended.returncode == 1:
        return Verdict.REFUSED
    verdicts = [verdict for words, verdict in _LAST_WORDS.items() if f"error: {words}" in ended.stderr]
    assert len(verdicts) == 1, ended
    return verdicts[0]


def refusal(role: str, file: Path) -> str | None:
    """The dotted key and the rest of the line with which we refuse a file."""
    try:
        if role == "scheduler":
            load_scheduler_settings(file)
        else:
            server_token(load_server_settings(file))
    except ConfigError as error:
        return str(error).removeprefix(f"{file}: ")
    return None
