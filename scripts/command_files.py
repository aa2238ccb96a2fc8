"""What belongs to the command beside the code: completion for shells, man pages, examples of configurations.

``python -m scripts.command_files``, ``make commands``; it needs shtab, which the package does not.
"""

from pathlib import Path

import shtab

from sccachedist.cli import completion
from sccachedist.cli.parser import command_parser
from sccachedist.config.example import ROLES, example
from scripts.command_reference import parsers
from scripts.man_pages import FOLDER, man_pages


def completion_for(shell: str) -> str:
    """The script that a shell completes the command with."""
    parser = command_parser()
    parser.prog = "sccachedist"
    for each in parsers(parser):
        for action in each._actions:
            if action.type is Path or action.dest == "config":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def main() -> None:
    """Write them all."""
    for shell in completion.SHELLS:
        (Path(completion.__file__).parent / f"sccachedist.{shell}").write_text(completion_for(shell), encoding="utf-8")
    for name, page in man_pages().items():
        (FOLDER / name).write_text(page, encoding="utf-8")
    for role in ROLES:
        (FOLDER.parent / "examples" / f"{role}.conf").write_text(example(role), encoding="utf-8")


if __name__ == "__main__":
    main()
