"""Make ``contrib/containers/seccomp.json``: what Docker allows to any container, and what sandboxes need.

``python -m scripts.container_seccomp BUNDLE``: the ``config.json`` of a container that runs with Docker's own profile
and without capabilities, as Docker keeps it below ``/run/docker/containerd`` while it runs. What Docker allows there is
taken as it is, but for a few calls with a history of holes that no daemon or compiler makes.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Where it is kept.
PROFILE = Path(__file__).parents[1] / "contrib/containers/seccomp.json"
#: The calls that sandboxes are made of: namespaces and mounts, without which Docker's profile leaves a container.
NEEDED = ("clone", "mount", "pivot_root", "setns", "umount2", "unshare")
#: Calls that Docker's older profiles allow.
REFUSED = ("io_uring_enter", "io_uring_register", "io_uring_setup")
#: Calls that Docker allows on aarch64 alone.
OF_AARCH64 = ("arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2")
_MACHINES = {
    "SCMP_ARCH_X86_64": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "SCMP_ARCH_AARCH64": ["SCMP_ARCH_ARM"],
}
_ALLOW = "SCMP_ACT_ALLOW"


def profile(default: Mapping[str, Any]) -> dict[str, Any]:
    """The profile, in the form that ``docker run --security-opt seccomp=FILE`` reads.

    :param default: ``linux.seccomp`` of a bundle's ``config.json``.
    """
    free, bound = allowed(default)
    others = [rule for rule in default["syscalls"] if rule["action"] != _ALLOW]
    names = (free | set(NEEDED) | set(OF_AARCH64)) - set(REFUSED)
    return {
        "defaultAction": default["defaultAction"],
        "defaultErrnoRet": default.get("defaultErrnoRet", 1),
        "archMap": [{"architecture": name, "subArchitectures": more} for name, more in _MACHINES.items()],
        "syscalls": [
            {"names": sorted(names), "action": _ALLOW},
            *(rule for rule in bound if rule["names"][0] not in names),
            *others,
        ],
    }


def allowed(rules: Mapping[str, Any]) -> tuple[set[str], list[dict[str, Any]]]:
    """The calls that a profile or a bundle allows with any arguments, and its rules for others."""
    free: set[str] = set()
    bound: list[dict[str, Any]] = []
    for rule in rules["syscalls"]:
        if rule["action"] != _ALLOW:
            continue
        if arguments := rule.get("args"):
            bound += [{"names": [name], "action": _ALLOW, "args": arguments} for name in rule["names"]]
        else:
            free.update(rule["names"])
    return free, bound


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the profile."""
    parser = argparse.ArgumentParser(description="Make contrib/containers/seccomp.json.")
    parser.add_argument("bundle", type=Path, help="config.json of a running container without capabilities")
    bundle = json.loads(parser.parse_args(arguments).bundle.read_text(encoding="utf-8"))
    PROFILE.write_text(json.dumps(profile(bundle["linux"]["seccomp"]), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
