"""What each command does, from its parsed arguments.

What a command needs is imported when it runs: to start takes long enough as it is, and none but a role loads Twisted.
"""

import argparse
import base64
from pathlib import Path

from sccachedist.errors import ConfigError
from sccachedist.wire.secret_key import KEY_SIZE


def run_role(parsed: argparse.Namespace) -> None:
    """``scheduler`` and ``server``."""
    from sccachedist.cli.role import run_in_foreground

    run_in_foreground(parsed.role, parsed.config, parsed.syslog)


def run_twistd(parsed: argparse.Namespace) -> None:
    """``twistd``."""
    from sccachedist.cli.role import run_twistd

    run_twistd(parsed.arguments)


def administer(parsed: argparse.Namespace) -> None:
    """``drain``, ``kill``, ``pause`` and all others with which administrators act."""
    from sccachedist.cli.admin_commands import run_admin_command

    run_admin_command(parsed)


def manage_clients(parsed: argparse.Namespace) -> None:
    """``client add``, ``set``, ``rotate``, ``revoke`` and ``list``."""
    from sccachedist.cli.clients.command import run_client_command

    run_client_command(parsed)


def doctor(parsed: argparse.Namespace) -> None:
    """``doctor``."""
    from sccachedist.cli.doctor.command import run_doctor

    run_doctor(parsed.config, parsed.ca, parsed.scheduler, parsed.wait)


def ask_farm(parsed: argparse.Namespace) -> None:
    """``status``, ``servers``, ``jobs`` and all others that show a farm."""
    from sccachedist.cli.farm.command import run_farm_command

    run_farm_command(parsed)


def check(parsed: argparse.Namespace) -> None:
    """``check``."""
    from sccachedist.cli.check import run_check

    run_check(parsed.config)


def show_example(parsed: argparse.Namespace) -> None:
    """``config --example``."""
    from sccachedist.config.example import example

    print(example(parsed.example), end="")


def complete(parsed: argparse.Namespace) -> None:
    """``completion``."""
    from sccachedist.cli.completion import completion

    print(completion(parsed.shell), end="")


def generate_key(_: argparse.Namespace) -> None:
    """``auth generate-jwt-hs256-key``."""
    import secrets

    print(_text_of(secrets.token_bytes(KEY_SIZE)))


def generate_shared_token(parsed: argparse.Namespace) -> None:
    """``auth generate-shared-token``."""
    import secrets

    print(_text_of(secrets.token_bytes(parsed.bits // 8)))


def generate_server_token(parsed: argparse.Namespace) -> None:
    """``auth generate-jwt-hs256-server-token``."""
    from sccachedist.wire.tokens import server_token

    print(server_token(parsed.secret_key or _configured_key(parsed.config), parsed.server))


def _configured_key(config: Path) -> bytes:
    from sccachedist.config import JwtHs256, load_scheduler_settings

    auth = load_scheduler_settings(config).server_auth
    if not isinstance(auth, JwtHs256):
        raise ConfigError(f"{config}: server_auth.type: expected jwt_hs256, whose key signs server tokens")
    return auth.secret_key


def _text_of(secret: bytes) -> str:
    """Unpadded base64url, the form of all keys and tokens in configuration files."""
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
