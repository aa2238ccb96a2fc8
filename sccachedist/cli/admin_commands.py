"""The commands with which administrators act: from parsed arguments to what is printed of the answer."""

import argparse
import time
from collections.abc import Collection

from sccachedist.cli.admin_client import OlderScheduler, act, administrator_place, set_drained
from sccachedist.cli.farm.api import ask
from sccachedist.cli.scheduler_address import Given, SchedulerPlace
from sccachedist.errors import DecodeError, PeerError
from sccachedist.printable import printable
from sccachedist.records.documents import ServersDocument
from sccachedist.wire.addresses import ServerId

#: Seconds from a drain to the first look at the jobs that are left, and from one look to the next: a scheduler shows
#: its build servers as they were a second ago.
FIRST_LOOK_SECS, LOOK_SECS = 1.5, 1.0
#: Seconds for which a scheduler may be away while its build servers are waited for.
AWAY_SECS = 60.0
_KEYS = ("servers", "reason", "until", "job", "client", "toolchain")


def run_admin_command(parsed: argparse.Namespace) -> None:
    """Do something, or say what that would do.

    :raises ConfigError: no scheduler, or no token of an administrator is found.
    :raises PeerError: the scheduler did not do it, or there is nothing at the moment to which it was done.
    """
    place = administrator_place(Given(parsed.scheduler, parsed.config, parsed.token_file, parsed.ca))
    body = {key: value for key in _KEYS if (value := getattr(parsed, key, None)) not in (None, [])}
    try:
        document = act(place, {"action": parsed.action, "preview": parsed.preview} | body)
    except OlderScheduler as error:
        if parsed.action not in ("drain", "undrain") or parsed.preview or body.keys() != {"servers"} or parsed.wait:
            raise PeerError(f"{error}: it drains and undrains by whole addresses, and does nothing else") from error
        for name in parsed.servers:
            print(printable(set_drained(place, parsed.action, _address(name))))
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
        _wait(place, {row["about"] for row in found})


def _address(name: str) -> ServerId:
    try:
        return ServerId.parse(name)
    except DecodeError as error:
        raise PeerError(f"{error}: the scheduler is older, and knows whole addresses only") from error


def _wait(place: SchedulerPlace, drained: Collection[str]) -> None:
    """Wait until the last job of some build servers is over.

    :raises PeerError: the scheduler is away for long, or one of them is drained no longer.
    """
    began = heard = time.monotonic()
    shown = None
    time.sleep(FIRST_LOOK_SECS)
    while True:
        try:
            rows = [row for row in ask(place, "servers", {}, ServersDocument)["servers"] if row["address"] in drained]
        except PeerError as error:
            if error.status is not None or time.monotonic() - heard > AWAY_SECS:
                raise
        else:
            heard = time.monotonic()
            for row in rows:
                if row["drain"] is None:
                    raise PeerError(f"{row['address']} is drained no longer")
            left = sum(row["jobs"] for row in rows)
            if not left:
                print(f"no job is left, after {heard - began:.0f} s")
                return
            if left != shown:
                print(f"{left} job{'' if left == 1 else 's'} left", flush=True)
                shown = left
        time.sleep(LOOK_SECS)
