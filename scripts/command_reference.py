"""What the ``sccachedist`` command understands, command by command: for the documentation and the man page."""

import argparse
from collections.abc import Iterator

import attrs

from sccachedist.cli.parser import command_parser


@attrs.frozen
class CommandOption:
    """An argument or option as one writes it, such as ``--since TIME``, and what it says."""

    usage: str
    about: str


@attrs.frozen
class CommandEntry:
    """A command, such as ``sccachedist jobs``."""

    name: str
    about: str
    options: tuple[CommandOption, ...]


def commands() -> list[CommandEntry]:
    """All of them, in the order of ``sccachedist --help``."""
    return list(_entries("sccachedist", "", command_parser()))


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from parsers(each)


def _entries(name: str, about: str, parser: argparse.ArgumentParser) -> Iterator[CommandEntry]:
    options = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for command, each in action.choices.items():
                yield from _entries(f"{name} {command}", helps[command], each)
        elif not isinstance(action, argparse._HelpAction):
            options.append(CommandOption(_usage(action), action.help or ""))
    if about and (options or not any(isinstance(each, argparse._SubParsersAction) for each in parser._actions)):
        yield CommandEntry(name, f"{about[0].upper()}{about[1:]}.", tuple(options))


def _usage(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return value
    names = ", ".join(action.option_strings)
    if action.nargs == 0:
        return names
    if action.choices and not action.metavar:
        value = "|".join(map(str, action.choices))
    return f"{names} [{value}]" if action.nargs == "?" else f"{names} {value}"
