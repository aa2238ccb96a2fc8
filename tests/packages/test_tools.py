"""What is installed as a program of a user's own, by the two commands of the README: it has the daemons as well."""

import sys
from pathlib import Path

import pytest

from farmkit.launch import CHECKOUT
from farmkit.processes import Command, inherited
from tests.packages.base import Base

pytestmark = [pytest.mark.functional, pytest.mark.packages]

_SECS = 300


@pytest.mark.parametrize("tool", ["pipx install .", "uv tool install ."])
def test_both(base: Base, checkout: Path, tmp_path: Path, tool: str) -> None:
    """There is ``sccachedist``, and ``sccachedist twistd`` knows the three roles."""
    assert f"`{tool}`" in (CHECKOUT / "README.md").read_text()
    program, *arguments = tool.split()
    environment = inherited(
        PATH=f"{sys.prefix}/bin:/usr/bin:/bin",
        HOME=str(tmp_path),
        UV_PYTHON=sys.executable,
    )
    settings = tmp_path / ".config/uv/uv.toml"  # pipx has uv do it, where there is one
    settings.parent.mkdir(parents=True)
    settings.write_text(f'no-index = true\nfind-links = ["{base.wheels}"]\n')
    installed = Command((program, *arguments), environment, checkout).run(_SECS)
    assert installed.returncode == 0, installed
    command = str(tmp_path / ".local/bin/sccachedist")
    version = Command((command, "--version"), environment, tmp_path).run(_SECS)
    assert version.stdout.startswith("sccachedist "), version
    daemons = Command((command, "twistd", "--help"), environment, tmp_path).run(_SECS)
    assert {"sccache-scheduler", "sccache-server", "sccache-worker"} <= set(daemons.stdout.split()), daemons
