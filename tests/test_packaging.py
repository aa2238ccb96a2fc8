"""What ``setup.py`` says: all that is imported is declared, and a wheel has what is there and nothing else."""

import ast
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import setuptools

CHECKOUT = Path(__file__).parents[1]
#: What is imported by another name than that of the distribution.
DISTRIBUTIONS = {
    "jwt": "pyjwt",
    "OpenSSL": "pyopenssl",
    "zope": "zope-interface",
    "attr": "attrs",
    "docutils": "sphinx",
    "yaml": "pyyaml",
}
#: What is of use with an extra alone.
TOP, REDIS, SIGNING = WITH_EXTRAS = (
    "sccachedist/cli/top", "sccachedist/cluster/redis_store.py", "sccachedist/objects/signing.py"
)  # fmt: skip
#: The packages of this checkout.
OWN = {"sccachedist", "tests", "farmkit", "demo", "bench", "fuzz", "scripts"}


def imported(*folders: str) -> set[str]:
    """The distributions that the modules of some folders, or single ones, import from."""
    paths = [path for place in folders for path in _modules(CHECKOUT / place)]
    for other in set(WITH_EXTRAS) - set(folders):
        paths = [path for path in paths if not path.is_relative_to(CHECKOUT / other)]
    found = {name for path in paths for name in _imports(path)}
    third_party = found - OWN - sys.stdlib_module_names
    return {_normal(DISTRIBUTIONS.get(name, name)) for name in third_party}


def _modules(place: Path) -> list[Path]:
    return [place] if place.is_file() else list(place.rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def asked_for() -> dict[str, Any]:
    """What ``setup.py`` tells setuptools."""
    told: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **arguments: told.update(arguments))
        runpy.run_path(str(CHECKOUT / "setup.py"))
    return told


def declared(*extras: str) -> set[str]:
    """The distributions that the package asks for, by itself or with some extras."""
    told = asked_for()
    lines = [*told["install_requires"], *(line for extra in extras for line in told["extras_require"][extra])]
    return {_normal(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in lines}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (["sccachedist"], []),
        ([TOP], ["top"]),
        ([REDIS], ["cluster"]),
        ([SIGNING], ["s3"]),
        (["farmkit", "demo", "scripts"], ["test"]),
        (["bench", "doc", "tests"], ["dev"]),
        (["fuzz"], ["fuzz"]),
    ],
)
def test_declared(folders: list[str], extras: list[str]) -> None:
    """What is imported does not depend on what others happen to need, and nothing is asked for in vain."""
    assert imported(*folders) <= declared(*extras)
    if not extras:
        assert declared() <= imported(*folders) | {"service-identity"}  # Twisted's TLS asks for that one
