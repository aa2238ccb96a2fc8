"""The commands with which administrators act: from parsed arguments to what is printed of the answer."""

import argparse
import time
from collections.abc import Collection

from sccachedist.client.actions import OlderScheduler, set_drained
from sccachedist.client.farm import Farm
from sccachedist.errors import DecodeError, PeerError
from sccachedist.printable import printable
from sccachedist.wire.addresses import ServerId

_KEYS = ("servers", "reason", "until", "job", "client", "toolchain")


def run_admin_command(parsed: argparse.Namespace) -> None:
    """Do something, or say what that would do.

    :raises ConfigError: no scheduler, or no token of an administrator is found.
    :raises PeerError: the scheduler did not do it, or there is nothing at the moment to which it was done.
    """
    farm = administered(parsed)
    body = {key: value for key in _KEYS if (value := getattr(parsed, key, None)) not in (None, [])}
    try:
        document = farm.act({"action": parsed.action, "preview": parsed.preview} | body)
    except OlderScheduler as error:
        if parsed.action not in ("drain", "undrain") or parsed.preview or body.keys() != {"servers"} or parsed.wait:
            raise PeerError(f"{error}: it drains and undrains by whole addresses, and does nothing else") from error
        for name in parsed.servers:
            print(printable(set_drained(farm.place, parsed.action, _address(name))))
        return
    if parsed.preview:
        print("This would be done:")
    found = [row for row in document["done"] if row["found"]]
    for row in found:
        print(printable(row["text"]))
    if len(document["done"]) > 1:
        print(printable(document["text"]))
    if missing := [row["text"] for row in document["done"] if not row["found"]]:
        raise PeerError("; ".join(missing))
    if getattr(parsed, "wait", False) and not parsed.preview:
        _wait(farm, {row["about"] for row in found})


def administered(parsed: argparse.Namespace) -> Farm:
    """The farm that is meant, and the token of an administrator.

    :raises ConfigError: no scheduler, or no such token is found.
    """
    return Farm.find(
        parsed.scheduler,
        config=parsed.config,
        token_file=parsed.token_file,
        authorities=parsed.ca,
        administrator=True,
    )


def _address(name: str) -> ServerId:
    try:
        return ServerId.parse(name)
    except DecodeError as error:
        raise PeerError(f"{error}: the scheduler is older, and knows whole addresses only") from error


def _wait(farm: Farm, drained: Collection[str]) -> None:
    """Wait until the last job of some build servers is over.

    :raises PeerError: the scheduler is away for long, or one of them is drained no longer.
    """
    began = time.monotonic()
    for left in farm.jobs_left(drained):
        if left:
            print(f"{left} job{'' if left == 1 else 's'} left", flush=True)
    print(f"no job is left, after {time.monotonic() - began:.0f} s")
