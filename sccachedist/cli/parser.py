"""The arguments of the ``sccachedist`` command. What a command does is in :mod:`sccachedist.cli.actions`."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sccachedist import __version__
from sccachedist.cli import actions
from sccachedist.cli.admin_options import add_admin_commands
from sccachedist.cli.clients.options import add_client_commands
from sccachedist.cli.completion import SHELLS
from sccachedist.cli.farm.options import add_farm_commands, argument
from sccachedist.daemon.log_levels import LEVEL_NAMES, LOG_VARIABLE
from sccachedist.errors import DecodeError
from sccachedist.wire.http_texts import split_url
from sccachedist.wire.secret_key import decode_secret_key

if TYPE_CHECKING:
    from sccachedist.wire.addresses import ServerId

#: The roles that have a configuration file.
_CONFIGURED = ("scheduler", "server", "worker")
_LEVELS = ", ".join(LEVEL_NAMES)
_ROLES = (
    ("scheduler", "hand out jobs to build servers"),
    ("server", "run compiles"),
    ("worker", "run compiles that gateways hand out"),
)
_OF_A_ROLE = "of a scheduler, a build server or a worker"
_ENVIRONMENT = (
    f"{LOG_VARIABLE}=LEVEL, or a list such as {LOG_VARIABLE}=warn,sccachedist.server=debug, says what is logged, by "
    f"default info and above; a LEVEL is one of {_LEVELS}. SCCACHE_NO_DAEMON=1 is understood, and nothing depends on "
    "it: scheduler, server and worker stay in the foreground, and twistd runs them in the background."
)


def command_parser() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = argparse.ArgumentParser(
        prog=None if Path(sys.argv[0]).name != "__main__.py" else "sccachedist",
        description="The daemons of an sccache compile farm, and a look into one.",
        epilog=_ENVIRONMENT,
    )
    parser.add_argument("--version", action="version", version=f"sccachedist {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for role, about in _ROLES:
        command = _add(commands, role, f"{about}, in the foreground", actions.run_role)
        command.set_defaults(role=role)
        command.add_argument("--config", required=True, metavar="PATH", help="the configuration file, TOML or JSON")
        command.add_argument(
            "--syslog",
            choices=LEVEL_NAMES,
            metavar="LEVEL",
            help=f"log to syslog, what has this level or a higher one, of {_LEVELS}",
        )
    _add_twistd(commands)
    add_admin_commands(
        partial(_add, commands, run=actions.administer), partial(_group, commands), _scheduler_url, _add_authorities
    )
    clients = commands.add_parser("client", help="give clients of a farm names and tokens, and take these back")
    add_client_commands(
        partial(_add, clients.add_subparsers(required=True, metavar="COMMAND"), run=actions.manage_clients),
        _scheduler_url,
        _add_authorities,
    )
    command = _add(commands, "doctor", "look for what is wrong with a host or a configuration", actions.doctor)
    command.add_argument("--config", required=True, type=Path, metavar="PATH", help=_OF_A_ROLE)
    command.add_argument(
        "--scheduler",
        type=argument(_scheduler_url),
        metavar="URL",
        help="where clients and build servers reach the scheduler, such as that of a load balancer; by default, as the "
        "configuration of a build server says",
    )
    command.add_argument(
        "--wait",
        type=argument(_seconds),
        metavar="SECS",
        help="hold a request to the scheduler open for so long, to find what ends it before queue.max_wait_secs is "
        "over (default: 65, if something is in between; 0: not at all)",
    )
    _add_authorities(command)
    farm = partial(_add, commands, run=actions.ask_farm)
    add_farm_commands(farm, _scheduler_url, _add_authorities)
    command = _add(commands, "check", "read a configuration as a daemon would, and say what is wrong", actions.check)
    command.add_argument("--config", required=True, type=Path, metavar="PATH", help=_OF_A_ROLE)
    command = _add(commands, "config", "print a configuration file to begin with, with all keys", actions.show_example)
    command.add_argument(
        "--example", required=True, choices=_CONFIGURED, metavar="ROLE", help=f"one of {', '.join(_CONFIGURED)}"
    )
    command = _add(commands, "completion", "print what a shell completes this command with", actions.complete)
    command.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"{', '.join(SHELLS[:-1])} or {SHELLS[-1]}")
    auth = commands.add_parser("auth", help="make keys and tokens").add_subparsers(required=True, metavar="COMMAND")
    _add(auth, "generate-jwt-hs256-key", "print a secret_key for server_auth.type = jwt_hs256", actions.generate_key)
    command = _add(
        auth, "generate-jwt-hs256-server-token", "print a build server's token", actions.generate_server_token
    )
    command.add_argument("--server", required=True, type=argument(_server), metavar="IP:PORT", help="its public_addr")
    key = command.add_mutually_exclusive_group(required=True)
    key.add_argument("--secret-key", type=argument(decode_secret_key), metavar="KEY", help="the scheduler's secret_key")
    key.add_argument("--config", type=Path, metavar="PATH", help="the scheduler's configuration file, which has it")
    command = _add(auth, "generate-shared-token", "print a token for type = token", actions.generate_shared_token)
    command.add_argument("--bits", type=argument(_bits), default=256, help="how random it is (default: 256)")
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


def _add_twistd(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What ``twistd`` is told is for itself alone: nothing of it is an option here, ``--help`` neither."""
    about = "run Twisted's twistd, which has daemons in the background; all arguments are its own"
    command = commands.add_parser(
        "twistd", help=about, description=f"{about[0].upper()}{about[1:]}.", prefix_chars="\0", add_help=False
    )
    command.set_defaults(run=actions.run_twistd)
    command.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="what twistd is told, such as --help")


def _group(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, about: str
) -> Callable[[str, str], argparse.ArgumentParser]:
    """A command that consists of others."""
    others = commands.add_parser(name, help=about).add_subparsers(required=True, metavar="WHAT")
    return partial(_add, others, run=actions.administer)


def _add_authorities(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="the authorities, PEM, that vouch for a scheduler with TLS, instead of this host's and the certificate "
        "of its configuration",
    )


def _server(text: str) -> "ServerId":
    from sccachedist.wire.addresses import ServerId

    return ServerId.parse(text)


def _scheduler_url(text: str) -> str:
    try:
        return split_url(text).geturl()
    except ValueError as error:
        raise DecodeError("expected a http or https URL") from error


def _seconds(text: str) -> float:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise DecodeError("expected a whole number of seconds, at most 9999")
    return float(text)


def _bits(text: str) -> int:
    bits = int(text) if text.isascii() and text.isdigit() else 0
    if not 64 <= bits <= 4096 or bits % 8:
        raise DecodeError("expected a multiple of 8 from 64 to 4096")
    return bits
