"""The chart for Kubernetes, as ``helm`` renders it, and what its pods do before their daemons start."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import yaml

from farmkit.launch import CHECKOUT
from sccachedist.config import load_scheduler_settings, load_server_settings, load_worker_settings

CHART = CHECKOUT / "contrib/helm/sccachedist"
#: Whole examples of values, by name.
EXAMPLES = {path.stem: path for path in sorted((CHECKOUT / "contrib/helm/values").glob("*.yaml"))}
RELEASE, NAMESPACE = "farm", "builds"
MINIMAL = ("--set=image.repository=registry.example.org/sccachedist", "--set=image.tag=v1", "--set=secrets.name=farm")
#: The addresses of a pod and of its node.
POD, NODE = "10.244.1.7", "192.168.1.2"
_LOAD = {"scheduler": load_scheduler_settings, "server": load_server_settings, "worker": load_worker_settings}
#: Where a pod has what its daemon reads and keeps.
_FOLDERS = {"/etc/sccachedist": "etc", "/templates": "templates", "/volume": "volume"}
_SECRETS = "/run/secrets/sccachedist"
_SECS = 60


def found(program: str) -> str:
    """Where a program is."""
    path = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert path, f"{program} is not here: scripts/setup.sh dev gets it"
    return path


def ended(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What became of a program of the ``PATH``, or one that ``scripts/setup.sh`` has got."""
    command = [found(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECS, check=False)


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What ``helm template`` makes of some values."""
    return ended("helm", "template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", *arguments)


def said_by(made: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that ``helm`` has for who runs it, but for its remarks that files of the chart are links."""
    return [line for line in made.stderr.splitlines() if "found symbolic link" not in line]


@attrs.frozen
class Workload:
    """Pods of a role.

    :param spec: of a pod; ``settings``: what the role's ConfigMap has, by the name of the file.
    """

    role: str
    kind: str
    spec: Mapping[str, Any]
    settings: Mapping[str, str]

    @property
    def container(self) -> Mapping[str, Any]:
        """The one with the daemon."""
        [container] = self.spec["containers"]
        return container  # type: ignore[no-any-return]

    @property
    def secrets(self) -> list[str]:
        """The keys of the Secret that it is given."""
        [volume] = [each["secret"] for each in self.spec["volumes"] if each["name"] == "secrets"]
        return [item["key"] for item in volume["items"]]

    def prepared(self, folder: Path, pod: str, address: str) -> Path:
        """The file of a daemon in a pod, as the first container of the pod writes it.

        :param folder: stands for the pod's file system.
        :param address: that of the pod, or of its node.
        """
        [init] = self.spec["initContainers"]
        [script] = init["args"]
        for theirs, ours in _FOLDERS.items():
            folder.joinpath(ours).mkdir(parents=True)
            script = script.replace(theirs, str(folder / ours))
        for name, text in self.settings.items():
            (folder / "templates" / name).write_text(text)
        environment = {"POD_NAME": pod, "ADDRESS": address, "PATH": os.environ["PATH"]}
        given = {each["name"] for each in init["env"]}
        made = subprocess.run(
            [*init["command"], script],
            env={name: value for name, value in environment.items() if name in {*given, "PATH"}},
            capture_output=True,
            check=False,
        )
        assert made.returncode == 0, made
        assert (folder / "volume/own").stat().st_mode & 0o777 == 0o700
        [file] = (folder / "etc").iterdir()
        secrets = folder / "secrets"
        secrets.mkdir()
        for key in self.secrets:
            (secrets / key).write_text(f"secret of {key}\n".replace(" ", "-"))
            (secrets / key).chmod(0o600)
        file.write_text(file.read_text().replace(_SECRETS, str(secrets)))
        return file


@attrs.frozen
class Rendered:
    """What Kubernetes is given."""

    documents: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, *arguments: str) -> "Rendered":
        """Those of some values."""
        made = template(*arguments)
        assert (made.returncode, said_by(made)) == (0, []), made.stderr
        return cls(tuple(each for each in yaml.safe_load_all(made.stdout) if each))

    def kind(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Those of one kind."""
        return (each for each in self.documents if each["kind"] == name)

    def named(self, kind: str, name: str) -> Mapping[str, Any]:
        """One of them."""
        [document] = [each for each in self.kind(kind) if each["metadata"]["name"] == name]
        return document

    @property
    def workloads(self) -> dict[str, Workload]:
        """Its pods, by role."""
        pods = {}
        for document in self.documents:
            if document["kind"] in ("StatefulSet", "DaemonSet", "Deployment"):
                spec = document["spec"]["template"]["spec"]
                role = document["metadata"]["labels"]["app.kubernetes.io/component"]
                settings = self.named("ConfigMap", document["metadata"]["name"])["data"]
                pods[role] = Workload(role, document["kind"], spec, settings)
        return pods


@cache
def rendered(example: str) -> Rendered:
    """An example, as Kubernetes is given it."""
    return Rendered.of(f"--values={EXAMPLES[example]}")


def file_of(workload: Workload, folder: Path, ordinal: int = 0, pod: str = POD) -> Path:
    """The configuration of one of its daemons."""
    [init] = workload.spec["initContainers"]
    [source] = [each["valueFrom"]["fieldRef"]["fieldPath"] for each in init["env"] if each["name"] == "ADDRESS"] or [""]
    address = NODE if source == "status.hostIP" else pod
    return workload.prepared(folder, f"{RELEASE}-sccachedist-{workload.role}-{ordinal}", address)


def settings_of(workload: Workload, folder: Path, ordinal: int = 0, pod: str = POD) -> Any:
    """The same, as the daemon reads it."""
    return _LOAD[workload.container["args"][0]](file_of(workload, folder, ordinal, pod))
