"""The shell around ``client add`` and its like: the file is changed, a token is printed, the scheduler reads the file.

A token is printed once, to standard output, where nothing else goes; nothing keeps it. All words about it go to
standard error, so that a script has the token alone.
"""

import argparse
import secrets
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from sccachedist.cli.admin_commands import administered
from sccachedist.cli.clients.edits import added, changed, revoked, rotated
from sccachedist.cli.clients.file_change import FileChange, changing
from sccachedist.cli.clients.listing import SHOWN_DIGITS, render
from sccachedist.cli.clients.options import NO_MAXIMUM
from sccachedist.cli.farm.command import standard_output
from sccachedist.config import clients_file
from sccachedist.config.clients import load_clients, read_clients
from sccachedist.errors import ConfigError, PeerError
from sccachedist.printable import printable

#: How each token begins, so that scanners for secrets know one; and its random bytes.
_PREFIX, _RANDOM_BYTES = "scd_", 32
_PLACE = 'It belongs into ~/.config/sccache/config: [dist] auth = { type = "token", token = "..." }.'
_HOW_TO_RELOAD = (
    "If it runs, systemctl reload or SIGHUP to its process has it read the file; otherwise it does so when it starts."
)


def run_client_command(parsed: argparse.Namespace) -> None:
    """Add a client, change its share, exchange or revoke its tokens, or show all clients.

    :raises ConfigError: nothing has changed; the text says why.
    :raises PeerError: the file has changed, and the scheduler goes on without that.
    """
    file = clients_file(parsed.config)
    if file is None:
        raise ConfigError(
            f"{parsed.config}: clients.file: missing, expected the path of a file for clients, such as clients.toml"
        )
    _COMMANDS[parsed.action](parsed, file)


def _add(parsed: argparse.Namespace, file: Path) -> None:
    share = _share(parsed)
    _give(parsed, file, lambda text, digest: added(text, parsed.name, share, digest, _now()))
    _say(f"This is the token of {parsed.name}, and is shown this once. {_PLACE}")
    _reload(parsed)


def _set(parsed: argparse.Namespace, file: Path) -> None:
    share = {key: None if value == NO_MAXIMUM else value for key, value in _share(parsed).items()}
    if not share:
        raise ConfigError("nothing to set: expected --weight, --max-slots, --class or --labels")
    with changing(file, parsed.config) as change:
        change.write(_edited(change, file, lambda text: changed(text, parsed.name, share)))
        client = load_clients(file)[parsed.name]
    most = "any number of slots" if client.max_slots is None else f"{client.max_slots} slots at most"
    where = f", and goes to servers with label {' and '.join(client.labels)}" if client.labels else ""
    _say(f"{parsed.name} has weight {client.weight:g}, {most} and class {client.class_.value}{where} in {file}.")
    _reload(parsed)


def _share(parsed: argparse.Namespace) -> dict[str, object]:
    """What the command line says of a client's share, by the keys of the file."""
    share = {"weight": parsed.weight, "max_slots": parsed.max_slots, "class": parsed.class_, "labels": parsed.labels}
    return {key: value for key, value in share.items() if value is not None}


def _rotate(parsed: argparse.Namespace, file: Path) -> None:
    until = _now() + timedelta(seconds=parsed.overlap)
    _give(parsed, file, lambda text, digest: rotated(text, parsed.name, digest, _now(), until))
    _say(f"This is a further token of {parsed.name}, and is shown this once. {_PLACE}")
    _say(f"Earlier tokens of {parsed.name} are good until {until:%Y-%m-%d %H:%M} UTC at the latest.")
    _reload(parsed)


def _revoke(parsed: argparse.Namespace, file: Path) -> None:
    lost: list[str] = []

    def edit(text: str) -> str:
        text, lost[:] = revoked(text, parsed.name, parsed.token or "")
        return text

    with changing(file, parsed.config) as change:
        change.write(_edited(change, file, edit))
    digests = ", ".join(digest[:SHOWN_DIGITS] for digest in lost)
    _say(f"{parsed.name} has lost {'the token' if len(lost) == 1 else 'the tokens'} {digests} in {file}.")
    if not _reload(parsed):
        raise PeerError(f"a scheduler that runs goes on taking what {parsed.name} shows")


def _list(parsed: argparse.Namespace, file: Path) -> None:
    clients = load_clients(file)
    known = None
    try:
        known = administered(parsed).named_clients()
    except (ConfigError, PeerError) as error:
        _say(f"when tokens were used is not known: {error}")
    print(render(clients, known, standard_output(str(file))))


def _give(parsed: argparse.Namespace, file: Path, edit: Callable[[str, str], str]) -> None:
    """Print a new token, of which the file then has the digest.

    :param edit: makes the new text from the old one and the digest.
    """
    token = f"{_PREFIX}{secrets.token_urlsafe(_RANDOM_BYTES)}"
    digest = sha256(token.encode()).hexdigest()
    with changing(file, parsed.config) as change:
        text = _edited(change, file, lambda text: edit(text, digest))
        change.write(text, lambda: print(token, flush=True))


def _edited(change: FileChange, file: Path, edit: Callable[[str], str]) -> bytes:
    before = change.octets or b""
    try:
        read_clients(before)
        return edit(before.decode()).encode()
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def _reload(parsed: argparse.Namespace) -> bool:
    """Have the scheduler read the file. Returns whether it has.

    :raises PeerError: it does not want to.
    """
    try:
        farm = administered(parsed)
    except ConfigError as error:
        _say(f"The scheduler is not told: {error}. {_HOW_TO_RELOAD}")
        return False
    try:
        document = farm.reload()
    except PeerError as error:
        if error.status is not None:
            raise PeerError(f"the file is changed, and the scheduler goes on without that: {error}") from error
        _say(f"{error}. {_HOW_TO_RELOAD}")
        return False
    _say(document["text"])
    return True


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)


def _now() -> datetime:
    return datetime.now(UTC)


_COMMANDS = {"add": _add, "set": _set, "rotate": _rotate, "revoke": _revoke, "list": _list}
