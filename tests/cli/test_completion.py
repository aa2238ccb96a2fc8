"""What belongs to the command beside the code: completion for shells, and the man page."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sccachedist.cli import completion
from sccachedist.cli import main as cli
from scripts.command_files import MAN, completion_for, man_page
from scripts.command_reference import commands

SCRIPTS = Path(completion.__file__).parent
#: Completes the last of the words that it is given.
COMPLETE = """\
source "$0"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
$(complete -p sccachedist | sed 's/.*-F \\([^ ]*\\).*/\\1/')
echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_completion(shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints what the package has, which is what ``make commands`` makes; the shell understands it."""
    monkeypatch.setattr(sys, "argv", ["sccachedist"])
    cli.main(("completion", shell))
    text = capsys.readouterr().out
    assert text == completion_for(shell), "run make commands"
    if program := shutil.which(shell):
        subprocess.run([program, "-n", SCRIPTS / f"sccachedist.{shell}"], check=True)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["dr"], ["drain"]),
        (["servers", "--sta"], ["--state"]),
        (["usage", "--by", "c"], ["client", "compiler"]),
        (["completion", "z"], ["zsh"]),
        (["status", "--config", "/etc/hostna"], ["/etc/hostname"]),
    ],
)
def test_bash(words: list[str], completed: list[str]) -> None:
    """It completes commands, options, values and files."""
    script = SCRIPTS / "sccachedist.bash"
    ran = subprocess.run(["bash", "-c", COMPLETE, script, "sccachedist", *words], capture_output=True, text=True)
    assert ran.stdout.split() == completed


def test_man_page() -> None:
    """It is what ``make commands`` makes of the arguments, and mandoc finds no fault in it."""
    assert MAN.read_text() == man_page(), "run make commands"
    assert {"sccachedist why", "sccachedist auth generate-shared-token"} < {command.name for command in commands()}
    if program := shutil.which("mandoc"):
        linted = subprocess.run([program, "-T", "lint", MAN], capture_output=True, text=True)
        assert (linted.stdout, linted.stderr) == ("", "")
