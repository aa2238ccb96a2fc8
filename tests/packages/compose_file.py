"""The services of a Compose file, as what ``docker run`` is told: so the shipped file itself is tried, without Compose.

It reads what that file uses, and refuses all else.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml

#: Keys of a service that say nothing of a single container, or nothing that a test wants.
_PASSED_OVER = frozenset({"image", "command", "depends_on", "ports", "profiles", "restart"})


@attrs.frozen
class Service:
    """One service; ``options`` are those of ``docker run``, before the name of the image."""

    name: str
    image: str
    command: tuple[str, ...]
    options: tuple[str, ...]
    profiles: tuple[str, ...]

    def without(self, option: str) -> "Service":
        """The same without one of its options."""
        assert option in self.options, self.options
        return attrs.evolve(self, options=tuple(each for each in self.options if each != option))

    def with_(self, *options: str) -> "Service":
        """The same with further options."""
        return attrs.evolve(self, options=(*self.options, *options))


def services(file: Path) -> dict[str, Service]:
    """All of them, in the order of the file."""
    document = yaml.safe_load(file.read_text())
    assert {key for key in document if not key.startswith("x-")} == {"services", "networks", "volumes"}
    return {name: _service(name, table, document, file.parent) for name, table in document["services"].items()}


def networks(file: Path) -> dict[str, str]:
    """The subnet of each network."""
    told = yaml.safe_load(file.read_text())["networks"]
    return {name: table["ipam"]["config"][0]["subnet"] for name, table in told.items()}


def _service(name: str, table: Mapping[str, Any], document: Mapping[str, Any], folder: Path) -> Service:
    options = []
    for key, value in table.items():
        match key, value:
            case "read_only", True:
                options.append("--read-only")
            case "cap_drop", [*names]:
                options += [f"--cap-drop={each}" for each in names]
            case "security_opt", [*each_one]:
                options += [f"--security-opt={_security(each, folder)}" for each in each_one]
            case "networks", [network]:
                options.append(f"--network={network}")
            case "networks", dict(tables):
                [(network, settings)] = tables.items()
                options += [f"--network={network}", f"--ip={settings['ipv4_address']}"]
            case "volumes", [*mounts]:
                options += [f"--volume={_mount(each, document, folder)}" for each in mounts]
            case "stop_grace_period", str(seconds) if seconds.endswith("s"):
                options.append(f"--stop-timeout={seconds.removesuffix('s')}")
            case _:
                assert key in _PASSED_OVER, key
    return Service(
        name, table["image"], tuple(table.get("command", ())), tuple(options), tuple(table.get("profiles", ()))
    )


def _security(option: str, folder: Path) -> str:
    kind, _, value = option.partition("=")
    return f"seccomp={folder / value}" if kind == "seccomp" else option


def _mount(mount: str, document: Mapping[str, Any], folder: Path) -> str:
    source, _, rest = mount.partition(":")
    if source.startswith("./"):
        return f"{folder / source}:{rest}"
    assert source in document["volumes"], source
    return mount
