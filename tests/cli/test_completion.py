"""What belongs to the command beside the code: completion for shells, and the man pages."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sccachedist.cli import completion
from sccachedist.cli import main as cli
from scripts.command_files import completion_for
from scripts.command_reference import commands
from scripts.man_pages import FOLDER, man_pages

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


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_man_page(name: str) -> None:
    """Each is what ``make commands`` makes, and neither mandoc nor groff finds a fault in it."""
    assert man_pages().keys() == {path.name for path in FOLDER.iterdir()}
    assert (FOLDER / name).read_text() == man_pages()[name], "run make commands"
    for words in (("mandoc", "-T", "lint"), ("groff", "-man", "-ww", "-z")):
        if program := shutil.which(words[0]):
            linted = subprocess.run([program, *words[1:], FOLDER / name], capture_output=True, text=True)
            assert (linted.stdout, linted.stderr) == ("", "")


def test_what_man_pages_say() -> None:
    """All commands, and all keys, each with what it takes, its default, and whether a reload brings it into force."""
    assert {"sccachedist why", "sccachedist auth generate-shared-token"} < {command.name for command in commands()}
    page = man_pages()["sccachedist-scheduler.conf.5"]
    for name, words in (
        ("max_waiting", "a whole number"),
        ("state", "a path; default: none; needs a restart"),
        ("jobs", "true or false; default: false"),
    ):
        assert words in page.split(f".B {name}\n")[1].split(".RE")[0].replace("\n", " ")
