"""Pods of the chart as containers of Docker: what a kubelet would make of them, as far as Docker has a word for it.

User namespaces of pods it has none for; volumes are folders that each user may write, as an ``emptyDir`` is.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from farmkit.launch import CHECKOUT
from tests.packages.chart import Workload
from tests.support.docker_engine import DockerEngine

_GROUP = 10600
#: Where the nodes have the profile, as ``doc/kubernetes`` has it copied.
_PROFILES = {"profiles/sccachedist": CHECKOUT / "contrib/containers/seccomp.json"}


@attrs.frozen
class Pod:
    """One pod.

    :param folder: holds its volumes; ``secrets`` and ``maps`` what the Secret and other ConfigMaps have, by key.
    :param network: that of all pods; ``hosts``: names of Services, with addresses.
    """

    engine: DockerEngine
    workload: Workload
    name: str
    address: str
    image: str
    network: str
    folder: Path
    secrets: Mapping[str, str]
    hosts: Mapping[str, str]
    maps: Mapping[str, str] = attrs.field(factory=dict)

    def start(self) -> None:
        """Its first container, to its end, then the one with the daemon."""
        for volume in self.workload.spec["volumes"]:
            self._fill(volume)
        [init] = self.workload.spec["initContainers"]
        given = {"POD_NAME": self.name, "ADDRESS": self.address}
        variables = [f"--env={each['name']}={given[each['name']]}" for each in init["env"]]
        [program, *options] = init["command"]
        run = ("run", "--rm", "--network=none", *self._options(init), *variables, f"--entrypoint={program}")
        self.engine.docker(*run, self.image, *options, *init["args"])
        container = self.workload.container
        names = [f"--add-host={name}:{address}" for name, address in self.hosts.items()]
        place = (f"--network={self.network}", f"--ip={self.address}", f"--name={self.name}", *names)
        self.engine.docker("run", "--detach", *place, *self._options(container), self.image, *container["args"])

    def _fill(self, volume: Mapping[str, Any]) -> None:
        """Make a volume as a kubelet does with ``fsGroup``."""
        place = self.folder / volume["name"]
        place.mkdir(parents=True)
        content: Mapping[str, str] = {}
        match volume:
            case {"secret": {"items": items}}:
                content = {item["path"]: self.secrets[item["key"]] for item in items}
            case {"name": "templates"}:
                content = self.workload.settings
            case {"configMap": _}:
                content = self.maps
        for name, text in content.items():
            (place / name).write_text(text)
            (place / name).chmod(0o440 if "secret" in volume else 0o444)
            os.chown(place / name, 0, _GROUP)
        os.chown(place, 0, _GROUP)
        place.chmod(0o2777)

    def _options(self, container: Mapping[str, Any]) -> list[str]:
        """What Docker is told of the rights of a container, and of its volumes."""
        pod, own = self.workload.spec["securityContext"], container["securityContext"]
        options = [f"--user={pod['runAsUser']}:{pod['runAsGroup']}", f"--group-add={pod['fsGroup']}"]
        assert (own["readOnlyRootFilesystem"], own["allowPrivilegeEscalation"]) == (True, False)
        options += ["--read-only", "--security-opt=no-new-privileges"]
        options += [f"--cap-drop={name}" for name in own["capabilities"]["drop"]]
        if pod["seccompProfile"]["type"] == "Localhost":
            options.append(f"--security-opt=seccomp={_PROFILES[pod['seccompProfile']['localhostProfile']]}")
        if own.get("procMount") == "Unmasked":
            options.append("--security-opt=systempaths=unconfined")
        if own.get("appArmorProfile", {}).get("type") == "Unconfined":
            options.append("--security-opt=apparmor=unconfined")
        for mount in container["volumeMounts"]:
            source = self.folder / mount["name"] / mount.get("subPath", "")
            options.append(f"--volume={source}:{mount['mountPath']}:{'ro' if mount.get('readOnly') else 'rw'}")
        return options
