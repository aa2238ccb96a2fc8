"""The arguments of the commands with which administrators act. What they do is in ``admin_commands``."""

import argparse
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from sccachedist.cli.farm.options import argument, job_number
from sccachedist.cli.farm.times import secs_ahead
from sccachedist.errors import DecodeError

_NAMES = "its public_addr, with or without the port, the name of its host, or a pattern such as '10.0.0.*'"

Add = Callable[[str, str], argparse.ArgumentParser]


def add_admin_commands(
    add: Add,
    group: Callable[[str, str], Add],
    url: Callable[[str], str],
    add_authorities: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Declare them all.

    :param add: makes a command with a name, of which it is told what it is about; ``group`` makes one of several.
    :param url: reads a scheduler's URL.
    :param add_authorities: declares ``--ca``.
    """
    finish = partial(_finish, url=url, add_authorities=add_authorities)
    drain = add("drain", "give build servers no more jobs; those that they have go on")
    _name_servers(drain, "+")
    drain.add_argument(
        "--until", type=argument(_until), metavar="TIME", help="when that ends: 90s, 10m, 2h, 7d, 14:05, a date"
    )
    drain.add_argument("--wait", action="store_true", help="end when the last of their jobs is over")
    finish(drain, "drain")
    for name, about in (
        ("undrain", "give build servers jobs again"),
        ("forgive", "use build servers again that are avoided because they failed"),
    ):
        command = add(name, about)
        _name_servers(command, "+")
        finish(command, name)
    kill = group("kill", "end jobs; their clients compile locally")
    job = kill("job", "end one job")
    job.add_argument("job", type=argument(job_number), metavar="ID", help="its number, or how that ends")
    finish(job, "kill")
    client = kill("client", "end all jobs of a client")
    client.add_argument("client", metavar="NAME", help="as sccachedist clients has it")
    finish(client, "kill")
    pause = add("pause", "give nobody a slot: all clients compile locally, and what runs goes on")
    finish(pause, "pause")
    finish(add("resume", "end a pause"), "resume")
    finish(add("reload", "have the scheduler read its configuration again, as SIGHUP does"), "reload")
    forget = group("forget", "forget build servers or toolchains")
    servers = forget("server", "drop silent build servers at once, and miss those no longer that fell silent")
    _name_servers(servers, "+")
    finish(servers, "forget_server")
    toolchain = forget("toolchain", "have build servers remove a toolchain as soon as no job uses it")
    toolchain.add_argument("toolchain", metavar="ID", help="its archive id, or how that begins: six characters or more")
    _name_servers(toolchain, "*")
    finish(toolchain, "forget_toolchain")


def _name_servers(command: argparse.ArgumentParser, count: str) -> None:
    command.add_argument("servers", nargs=count, metavar="SERVER", help=_NAMES)


def _finish(
    command: argparse.ArgumentParser,
    action: str,
    url: Callable[[str], str],
    add_authorities: Callable[[argparse.ArgumentParser], None],
) -> None:
    """What all of them take."""
    why = "why; clients are told it" if action == "pause" else "why, for those who look"
    command.add_argument("--reason", required=action == "pause", metavar="TEXT", help=why)
    command.add_argument("--preview", action="store_true", help="say what it would do, and do nothing")
    add_place(command, action, "with admin.token, if it is here", url, add_authorities)


def add_place(
    command: argparse.ArgumentParser,
    action: str,
    config: str,
    url: Callable[[str], str],
    add_authorities: Callable[[argparse.ArgumentParser], None],
    *,
    is_needed: bool = False,
) -> None:
    """Declare what a command does, and the configuration that says where the scheduler is, or the options that do.

    :param config: what of the scheduler's configuration is read; ``is_needed``: whether it has to be here.
    """
    command.set_defaults(action=action)
    command.add_argument(
        "--config", required=is_needed, type=Path, metavar="PATH", help=f"the scheduler's configuration, {config}"
    )
    command.add_argument(
        "--scheduler",
        type=argument(url),
        metavar="URL",
        help="where the scheduler is, http or https, if not at its public_addr",
    )
    command.add_argument(
        "--token-file", type=Path, metavar="FILE", help="the token of an administrator, in a file of its own"
    )
    add_authorities(command)


def _until(text: str) -> float:
    secs = secs_ahead(text, datetime.now().astimezone())
    if secs < 1:
        raise DecodeError("expected a time that is yet to come")
    return secs
