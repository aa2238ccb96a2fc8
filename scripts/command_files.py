"""What belongs to the command beside the code: completion for shells, and the man page.

``python -m scripts.command_files``, ``make commands``; it needs shtab, which the package does not.
"""

import textwrap
from pathlib import Path

import shtab

from sccachedist.cli import completion
from sccachedist.cli.parser import command_parser
from scripts.command_reference import commands, parsers

#: When the page was last changed.
_DATE = "2026-11-29"

MAN = Path(__file__).parents[1] / "contrib" / "man" / "sccachedist.1"

_ENVIRONMENT = {
    "SCCACHEDIST_SCHEDULER": "where the scheduler is, if --scheduler does not say",
    "SCCACHEDIST_TOKEN_FILE": "the file of the token to show, if --token-file does not say",
    "SCCACHE_CONF": "the configuration of sccache, whose scheduler and token are used in the absence of others",
    "NO_COLOR": "if it is not empty, nothing is printed in colour",
    "COLUMNS": "how wide a line may be, if that is not the width of the terminal",
    "SCCACHE_LOG": "what the daemons log, such as info or warn,sccachedist.server=debug",
}
_FILES = {
    "~/.config/sccache/config": "the configuration of sccache: a developer needs no other",
}
_STATUSES = {
    "0": "all is well",
    "1": "it is not: what was asked for is not there, or something critical needs attention (status, doctor)",
    "2": "the arguments are wrong",
}


def completion_for(shell: str) -> str:
    """The script that a shell completes the command with."""
    parser = command_parser()
    parser.prog = "sccachedist"
    for each in parsers(parser):
        for action in each._actions:
            if action.type is Path or action.dest == "config":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def man_page() -> str:
    """The man page, in the macros of man(7)."""
    lines = [
        f'.TH SCCACHEDIST 1 {_DATE} sccachedist "User Commands"',
        ".SH NAME",
        "sccachedist \\- scheduler and build server of a compile farm for sccache",
        ".SH SYNOPSIS",
        ".B sccachedist",
        "COMMAND [OPTION ...]",
        ".SH COMMANDS",
    ]
    for command in commands():
        lines += [f".SS {_roff(command.name)}", _roff(command.about)]
        for option in command.options:
            lines += [".TP", f".B {_roff(option.usage)}", _roff(option.about)]
    for heading, rows in (("ENVIRONMENT", _ENVIRONMENT), ("FILES", _FILES), ("EXIT STATUS", _STATUSES)):
        lines.append(f".SH {heading}")
        for name, about in rows.items():
            lines += [".TP", f".B {_roff(name)}", _roff(about)]
    return "\n".join([*lines, ".SH SEE ALSO", ".BR twistd (1)", ""])


def _roff(text: str) -> str:
    """A text in lines, none of which is taken for a macro."""
    lines = textwrap.wrap(text.replace("\\", "\\e"), 60)
    return "\n".join(("\\&" if line[0] in ".'" else "") + line.replace("-", "\\-") for line in lines)


def main() -> None:
    """Write them all."""
    for shell in completion.SHELLS:
        (Path(completion.__file__).parent / f"sccachedist.{shell}").write_text(completion_for(shell), encoding="utf-8")
    MAN.write_text(man_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
