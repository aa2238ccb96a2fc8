"""The files to begin with: a daemon reads them once the secrets are there, and the defaults that they show are true."""

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from sccachedist.cli import main as cli
from sccachedist.config import load_scheduler_settings, load_server_settings, load_worker_settings
from sccachedist.config.example import ROLES, example
from sccachedist.config.published import RemoteBuilderSettings
from sccachedist.config.schema import keys_of
from sccachedist.errors import ConfigError
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import server_token
from tests.support.page_blocks import blocks

EXAMPLES = Path(__file__).parents[1] / "contrib" / "examples"
LOAD = {"scheduler": load_scheduler_settings, "server": load_server_settings, "worker": load_worker_settings}
KEY = urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
SECRET = re.compile(r'"(?:what sccachedist|one of the) [^"]+"')

each_role = pytest.mark.parametrize("role", ROLES)


def loaded(role: str, text: str, folder: Path) -> object:
    """The settings of a file with good secrets."""
    config = folder / f"{role}.conf"
    config.write_text(SECRET.sub(f'"{KEY}"', text))
    return LOAD[role](config)


def uncommented(text: str) -> Iterator[str]:
    """The lines of a file with all defaults of the tables that are in it."""
    is_in = True
    for line in text.splitlines():
        if not line:
            is_in = True
        elif line.startswith("#["):
            is_in = False
        elif re.match(r"#\w+ = (?!\.\.\.)", line) and is_in:
            yield line[1:]
            continue
        yield line


@each_role
def test_defaults(role: str, tmp_path: Path) -> None:
    """What a file has, commented or not, is what a daemon takes."""
    text = example(role)
    whole = "\n".join(uncommented(text))
    assert whole.count("\n#") < text.count("\n#") - 20
    assert loaded(role, whole, tmp_path) == loaded(role, text, tmp_path)


@each_role
def test_complete(role: str) -> None:
    """Each table, and each key at the top, is there."""
    names = keys_of(ROLES[role].settings)
    assert {name for name in names if not re.search(rf"(?m)^#?(?:\[{name}\]$|{name} = )", example(role))} == set()


@each_role
def test_plain_text(role: str) -> None:
    """Nothing in it is markup of the documentation."""
    assert re.findall(r".*`.*", example(role)) == []


def test_secrets_that_are_made_up(tmp_path: Path) -> None:
    """No scheduler starts with those of the example, which all the world knows."""
    config = tmp_path / "scheduler.conf"
    config.write_text(example("scheduler"))
    with pytest.raises(ConfigError, match=r"server_auth\.secret_key: expected 32 bytes"):
        load_scheduler_settings(config)


def test_the_page_of_gateways(tmp_path: Path) -> None:
    """Its two files are what a gateway and a worker read, beside the files that they name."""
    gateway, worker = (block.text for block in blocks("gateway") if block.language == "toml")
    for name, secret in (
        ("workers", KEY),
        ("worker.token", KEY),
        ("server.token", server_token(secrets.token_bytes(32), ServerId.parse("203.0.113.7:10501"))),
        ("gateway.conf", gateway),
        ("worker.conf", worker),
    ):
        (tmp_path / name).write_text(secret)
    assert load_server_settings(tmp_path / "gateway.conf").builder == RemoteBuilderSettings((KEY,))
    assert load_worker_settings(tmp_path / "worker.conf").gateway.token == KEY


@each_role
def test_checked_in(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the file that is in ``contrib/examples``: otherwise run ``make commands``."""
    cli.main(("config", "--example", role))
    assert capsys.readouterr().out == (EXAMPLES / f"{role}.conf").read_text() == example(role)
