"""The man pages: of the command, from its parser, and of the configuration files, from their declarations."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from sccachedist.config import SchedulerSettings, ServerSettings, WorkerSettings
from sccachedist.config.changes import effects
from sccachedist.config.example import unmarked
from sccachedist.config.reference import KeyRow, sections
from sccachedist.config.schema import Effect
from scripts.command_reference import commands

#: When the pages were last changed.
_DATE = "2026-11-30"

FOLDER = Path(__file__).parents[1] / "contrib" / "man"

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
#: The files: what each is of, and its declarations.
_CONFIGURATIONS = {
    "scheduler": ("a scheduler", SchedulerSettings),
    "server": ("a build server", ServerSettings),
    "worker": ("a worker", WorkerSettings),
}
_ABOUT_FILES = (
    "It is TOML, or JSON. The daemon reads it at its start, and again at SIGHUP: that brings all keys into force but "
    "those that need a restart, as they say here. sccachedist check --config FILE reads it as the daemon would, and "
    "says what is wrong; an unknown key is an error. A secret may stand in a file of its own: KEY_file names it."
)


def man_pages() -> dict[str, str]:
    """All pages by the names of their files, in the macros of man(7)."""
    pages = {"sccachedist.1": _of_command()}
    for role, (whose, settings) in _CONFIGURATIONS.items():
        pages[f"sccachedist-{role}.conf.5"] = "\n".join(_of_configuration(role, whose, settings))
    return pages


def _of_command() -> str:
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
    others = [f".BR sccachedist\\-{role}.conf (5)," for role in _CONFIGURATIONS]
    return "\n".join([*lines, ".SH SEE ALSO", *others, ".BR twistd (1)", ""])


def _of_configuration(role: str, whose: str, settings: type) -> Iterator[str]:
    yield f'.TH SCCACHEDIST\\-{role.upper()}.CONF 5 {_DATE} sccachedist "File Formats"'
    yield from (".SH NAME", f"sccachedist\\-{role}.conf \\- the configuration of {whose} of sccachedist")
    yield from (".SH SYNOPSIS", f".I /etc/sccachedist/{role}.conf")
    yield from (".SH DESCRIPTION", _roff(_ABOUT_FILES))
    effect_of = effects(settings)
    for section in sections(settings):
        yield from (f".SH {_roff(section.heading)}" if section.heading else ".SH KEYS AT THE TOP", _roff(section.about))
        table = re.match(r"\[([\w.]+?)(?:\.NAME)?\]", section.heading)
        for row in section.rows:
            effect = effect_of.get(f"{table[1]}.{row.name}" if table else row.name, Effect.AT_ONCE)
            yield from (
                ".TP",
                f".B {_roff(row.name)}",
                _roff(row.about),
                ".RS",
                ".PP",
                _roff(_value(row, effect)),
                ".RE",
            )
    yield from (".SH SEE ALSO", ".BR sccachedist (1)", "")


def _value(row: KeyRow, effect: Effect) -> str:
    """What a key takes, and what it is without one."""
    default = "it has to be there" if row.required else f"default: {row.default or 'none'}"
    return f"{row.expected}; {default}{'; needs a restart' if effect is Effect.RESTART else ''}"


def _roff(text: str) -> str:
    """A text in lines, none of which is taken for a macro."""
    lines = textwrap.wrap(unmarked(text).replace("\\", "\\e"), 60)
    return "\n".join(("\\&" if line[0] in ".'" else "") + line.replace("-", "\\-") for line in lines)
