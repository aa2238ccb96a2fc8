"""The arguments of ``client add`` and its like. What they do is in ``command``."""

import argparse
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial

from sccachedist.cli.admin_options import Add, add_place
from sccachedist.cli.farm.options import argument
from sccachedist.cli.farm.times import secs_ahead
from sccachedist.errors import ConfigError, DecodeError

#: How few digits of a token's SHA-256 may name it.
FEWEST_DIGITS = 6
#: What an administrator writes in place of a number of slots, or of labels.
NO_MAXIMUM = "none"
#: How long a token is good that has been exchanged.
_OVERLAP = "14d"
_MOST_SECS = 10 * 365.25 * 86400


def add_client_commands(
    add: Add, url: Callable[[str], str], add_authorities: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Declare them all.

    :param add: makes a command with a name, of which it is told what it is about.
    :param url: reads a scheduler's URL.
    :param add_authorities: declares ``--ca``.
    """
    needed = "which names the file of clients"
    finish = partial(add_place, config=needed, url=url, add_authorities=add_authorities, is_needed=True)
    command = add("add", "give a client a name and a token, which is printed once")
    _name_client(command, _name)
    labels = "what its build servers must have, with commas between: trusted,fast"
    _share(command, _taken_as("max_slots", int), "the most slots that it has at a time", _labels, labels)
    finish(command, "add")
    command = add("set", "change a client's share of the farm")
    _name_client(command, partial(_name, or_default=True), ", or _default for those without a name")
    most = f"the most slots that it has at a time, or {NO_MAXIMUM} for as many as there are"
    _share(command, _most_slots, most, _any_labels, f"{labels}, or {NO_MAXIMUM}")
    finish(command, "set")
    command = add("rotate", "give a client one more token, printed once, and let its others end")
    _name_client(command, _name)
    command.add_argument(
        "--overlap",
        type=argument(_ahead),
        default=_OVERLAP,
        metavar="TIME",
        help=f"how long the others are good: 90s, 10m, 2h, 7d, or until when: a date (default: {_OVERLAP})",
    )
    finish(command, "rotate")
    command = add("revoke", "refuse a client's tokens from now on")
    _name_client(command, _name)
    command.add_argument(
        "--token",
        type=argument(_beginning),
        metavar="DIGITS",
        help=f"one token alone: how its SHA-256 begins, as client list shows it, {FEWEST_DIGITS} digits or more",
    )
    finish(command, "revoke")
    finish(add("list", "the clients with names, their tokens, and who uses which"), "list")


def _name_client(command: argparse.ArgumentParser, name: Callable[[str], str], more: str = "") -> None:
    about = f"letters, digits and ._-, the first a letter or a digit{more}"
    command.add_argument("name", type=argument(name), metavar="NAME", help=about)


def _share(
    command: argparse.ArgumentParser,
    most_slots: Callable[[str], object],
    about_slots: str,
    labels: Callable[[str], object],
    about_labels: str,
) -> None:
    """The options for a client's share of the farm; what is not given is None.

    :param most_slots: reads the most slots that it has at a time; ``about_slots`` is its help.
    :param labels: reads those that its build servers must have; ``about_labels`` is its help.
    """
    command.add_argument(
        "--weight",
        type=_taken_as("weight", _number),
        metavar="NUMBER",
        help="its share of a full farm, beside those of others, each 1 unless something else is said",
    )
    command.add_argument("--max-slots", type=most_slots, metavar="SLOTS", help=about_slots)
    command.add_argument(
        "--class",
        dest="class_",
        choices=("interactive", "batch"),
        help="batch gets what no interactive client waits for, and one slot in ten",
    )
    command.add_argument("--labels", type=labels, metavar="LABELS", help=about_labels)


def _most_slots(text: str) -> object:
    return text if text == NO_MAXIMUM else _taken_as("max_slots", int)(text)


def _any_labels(text: str) -> object:
    return text if text == NO_MAXIMUM else _labels(text)


def _labels(text: str) -> object:
    return _taken_as("labels", lambda names: names.split(","))(text)


def _name(text: str, *, or_default: bool = False) -> str:
    from sccachedist.config.clients import DEFAULT
    from sccachedist.config.values import CLIENT

    try:
        if or_default or text != DEFAULT:
            return str(CLIENT.read(text, ""))
    except ConfigError:
        pass
    raise DecodeError(f"expected {CLIENT.expected}")


def _taken_as(key: str, meant: Callable[[str], object]) -> Callable[[str], object]:
    """What the file of clients takes under a key."""

    def read(text: str) -> object:
        from sccachedist.config.clients import ClientSettings
        from sccachedist.config.schema import keys_of

        shape = keys_of(ClientSettings)[key].shape
        try:
            shape.read(value := meant(text), key)
        except (ValueError, ConfigError) as error:
            raise DecodeError(f"expected {shape.expected}") from error
        return value

    return argument(read)


def _number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)


def _ahead(text: str) -> float:
    secs = secs_ahead(text, datetime.now().astimezone())
    if secs > _MOST_SECS:
        raise DecodeError("expected ten years at most")
    return secs


def _beginning(text: str) -> str:
    if not re.fullmatch(f"[0-9A-Fa-f]{{{FEWEST_DIGITS},64}}", text):
        raise DecodeError(f"expected {FEWEST_DIGITS} to 64 hexadecimal digits")
    return text.lower()
