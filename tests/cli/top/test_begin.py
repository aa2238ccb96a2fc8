"""Whether ``top`` begins: with its library and a terminal, or with a line that says what is missing."""

import os
import sys

import pytest

from sccachedist.cli import main as cli
from sccachedist.cli.farm import command


def test_without_textual(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install, and the status is watched instead."""
    watched = []
    monkeypatch.setitem(sys.modules, "sccachedist.cli.top.app", None)
    monkeypatch.setattr(command, "_watch", lambda parsed, _: watched.append((parsed.view, parsed.watch, parsed.json)))
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    with pytest.raises(ModuleNotFoundError, match=r"sccachedist\.cli\.top\.app"):
        cli.main(("top", "--scheduler", "http://127.0.0.1:1"))
    monkeypatch.delitem(sys.modules, "sccachedist.cli.top.app")
    monkeypatch.setitem(sys.modules, "textual", None)
    for name in [name for name in sys.modules if name.startswith(("textual.", "sccachedist.cli.top."))]:
        monkeypatch.delitem(sys.modules, name)
    cli.main(("top", "--scheduler", "http://127.0.0.1:1"))
    assert watched == [("status", 2.0, False)]
    assert capsys.readouterr().err.startswith("top needs textual: pip install 'sccachedist[top]'.")


def test_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs until it is left; without colours, where none are wanted."""
    began = []

    class Begun:
        """A top that is left at once."""

        def __init__(self, *_: object) -> None:
            pass

        def run(self) -> None:
            """Note that it ran."""
            began.append(os.environ.get("NO_COLOR"))

    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setattr("sccachedist.cli.top.app.TopApp", Begun)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    for options in ((), ("--no-color",)):
        cli.main(("top", "--scheduler", "http://127.0.0.1:1", *options))
    assert began == ["", "1"]


def test_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what does not need one."""
    with pytest.raises(SystemExit) as end:
        cli.main(("top", "--scheduler", "http://127.0.0.1:1"))
    assert "top needs a terminal" in str(end.value.code)
