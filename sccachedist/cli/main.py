"""The ``sccachedist`` command: both roles in the foreground, and the tokens that they need.

It uses the name by which it is called, so that a link to it can replace the published ``sccache-dist`` in scripts
that know that name; its arguments, output and exit statuses are the same. It does not know how a role works.
"""

import argparse
import base64
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from twisted.scripts.twistd import run

from sccachedist import __version__
from sccachedist.cli.admin_client import set_drained
from sccachedist.cli.standard_streams import ends_in_a_line, escape_what_cannot_be_written, open_missing_streams
from sccachedist.config import JwtHs256, load_scheduler_settings
from sccachedist.config.values import URL
from sccachedist.daemon.logs import LEVELS
from sccachedist.daemon.signals import survive
from sccachedist.daemon.startup import LOG_VARIABLE
from sccachedist.errors import ConfigError, DecodeError
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import KEY_SIZE, decode_secret_key, server_token

T = TypeVar("T")

_LEVELS = ", ".join(LEVELS)
_ENVIRONMENT = (
    f"{LOG_VARIABLE}=LEVEL, or a list such as {LOG_VARIABLE}=warn,sccachedist.server=debug, says what is logged, by "
    f"default info and above; a LEVEL is one of {_LEVELS}. SCCACHE_NO_DAEMON=1 is understood, and nothing depends on "
    "it: scheduler and server stay in the foreground, and twistd runs them in the background."
)
_PLUGINS = {"scheduler": "sccache-scheduler", "server": "sccache-server"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command, with the process's arguments if none are given."""
    open_missing_streams()
    escape_what_cannot_be_written()
    parser = _parser()
    with ends_in_a_line(parser.prog):
        parsed = parser.parse_args(arguments)
        parsed.run(parsed)


def _run_role(parsed: argparse.Namespace) -> None:
    survive(lambda _: None)  # until the role is made: it also logs each signal
    # The same as twistd runs in the background. Several roles may share a directory, so there is no PID file.
    sys.argv = [sys.argv[0], "--nodaemon", "--pidfile="]
    if parsed.syslog:
        sys.argv += ["--syslog", "--prefix=sccachedist"]
        os.environ[LOG_VARIABLE] = parsed.syslog
    sys.argv += [_PLUGINS[parsed.role], f"--config={parsed.config}"]
    run()


def _give_order(parsed: argparse.Namespace) -> None:
    settings = load_scheduler_settings(parsed.config)
    print(set_drained(settings, parsed.scheduler, parsed.order, parsed.server, parsed.ca))


def _doctor(parsed: argparse.Namespace) -> None:
    # Imported here, because its libraries take a moment to load that the other commands do not need.
    from sccachedist.cli.doctor.command import run_doctor

    run_doctor(parsed.config, parsed.ca)


def _generate_key(parsed: argparse.Namespace) -> None:
    print(_text_of(secrets.token_bytes(KEY_SIZE)))


def _generate_shared_token(parsed: argparse.Namespace) -> None:
    print(_text_of(secrets.token_bytes(parsed.bits // 8)))


def _generate_server_token(parsed: argparse.Namespace) -> None:
    print(server_token(parsed.secret_key or _configured_key(parsed.config), parsed.server))


def _configured_key(config: Path) -> bytes:
    auth = load_scheduler_settings(config).server_auth
    if not isinstance(auth, JwtHs256):
        raise ConfigError(f"{config}: server_auth.type: expected jwt_hs256, whose key signs server tokens")
    return auth.secret_key


def _text_of(secret: bytes) -> str:
    """Unpadded base64url, the form of all keys and tokens in configuration files."""
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=None if Path(sys.argv[0]).name != "__main__.py" else "sccachedist",
        description="The daemons of an sccache compile farm.",
        epilog=_ENVIRONMENT,
    )
    parser.add_argument("--version", action="version", version=f"sccachedist {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for role, about in (("scheduler", "hand out jobs to build servers"), ("server", "run compiles")):
        command = _add(commands, role, f"{about}, in the foreground", _run_role)
        command.set_defaults(role=role)
        command.add_argument("--config", required=True, metavar="PATH", help="the configuration file, TOML or JSON")
        command.add_argument(
            "--syslog",
            choices=LEVELS,
            metavar="LEVEL",
            help=f"log to syslog, what has this level or a higher one, of {_LEVELS}",
        )
    for order, about in (
        ("drain", "give a build server no more jobs; those that it has go on"),
        ("undrain", "give a build server jobs again"),
    ):
        command = _add(commands, order, about, _give_order)
        command.set_defaults(order=order)
        command.add_argument("server", type=_argument(ServerId.parse), metavar="IP:PORT", help="its public_addr")
        command.add_argument(
            "--config", required=True, type=Path, metavar="PATH", help="the scheduler's configuration, with admin.token"
        )
        command.add_argument(
            "--scheduler",
            type=_argument(_scheduler_url),
            metavar="URL",
            help="where the scheduler is, http or https, if not at its public_addr",
        )
        _add_authorities(command)
    command = _add(commands, "doctor", "look for what is wrong with a host or a configuration", _doctor)
    command.add_argument("--config", required=True, type=Path, metavar="PATH", help="of a scheduler or a build server")
    _add_authorities(command)
    auth = commands.add_parser("auth", help="make keys and tokens").add_subparsers(required=True, metavar="COMMAND")
    _add(auth, "generate-jwt-hs256-key", "print a secret_key for server_auth.type = jwt_hs256", _generate_key)
    command = _add(auth, "generate-jwt-hs256-server-token", "print a build server's token", _generate_server_token)
    command.add_argument(
        "--server", required=True, type=_argument(ServerId.parse), metavar="IP:PORT", help="its public_addr"
    )
    key = command.add_mutually_exclusive_group(required=True)
    key.add_argument(
        "--secret-key", type=_argument(decode_secret_key), metavar="KEY", help="the scheduler's secret_key"
    )
    key.add_argument("--config", type=Path, metavar="PATH", help="the scheduler's configuration file, which has it")
    command = _add(auth, "generate-shared-token", "print a token for type = token", _generate_shared_token)
    command.add_argument(
        "--bits", type=_argument(_bits), default=256, help="how much randomness is in it (default: 256)"
    )
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    about: str,
    run: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
    command.set_defaults(run=run)
    return command


def _add_authorities(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="the authorities, PEM, that vouch for a scheduler with TLS, instead of this host's and the certificate "
        "of its configuration",
    )


def _scheduler_url(text: str) -> str:
    try:
        return str(URL.convert(text))
    except ValueError as error:
        raise DecodeError(f"expected {URL.expected}") from error


def _argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    """One of our parsers as argparse wants it: the user sees the parser's error, without the text that was given."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except DecodeError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def _bits(text: str) -> int:
    bits = int(text) if text.isascii() and text.isdigit() else 0
    if not 64 <= bits <= 4096 or bits % 8:
        raise DecodeError("expected a multiple of 8 from 64 to 4096")
    return bits
