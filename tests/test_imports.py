"""Which rooms import which, and which stay clear of Twisted."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sccachedist

PACKAGE = Path(sccachedist.__file__).parent
LOOK = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"twisted", "klein", "treq"}))
"""
#: Rooms, and modules of the root, each line above what it may import. Those of one line do not know each other.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"worker"},
    {"scheduler", "server"},
    {"gateway"},
    {"toolchains"},
    {"metrics", "monitor", "cluster", "client", "objects"},
    {"web", "peers", "builders", "records"},
    {"auth", "files"},
    {"daemon"},
    {"config", "singleflight", "tls_records", "waiters"},
    {"directories", "disks", "given_files", "memory", "bounded", "budgets", "printable", "job_phases"},
    {"wire"},
    {"errors"},
    {"outcomes", "policy"},
)
MOST_LINES = 400
#: The folders of the checkout beside the package, each with those that it imports.
BESIDE = {"farmkit": set[str](), "demo": {"farmkit"}, "bench": {"farmkit"}}
#: What the daemon and its sandbox workers share, as seen from either side.
SHARED_BY_BUILDERS = {"sandbox.overlay.layout", "sandbox.overlay.worker_groups", "sandbox.programs.probe"}
SHARED_BY_WORKERS = {"builders.worker_protocol"}


def modules(*patterns: str) -> list[str]:
    """The names of the package's modules at some paths."""
    paths = [path.relative_to(PACKAGE.parent) for pattern in patterns for path in PACKAGE.glob(pattern)]
    return sorted(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths)


def room(module: str) -> str:
    """The folder that a module lies in, or its own name where it lies in the root."""
    return module.split(".")[0]


def imports() -> Iterator[tuple[str, str]]:
    """Each module with each module that it imports, without the package's own name."""
    known = {name.removeprefix("sccachedist.") for name in modules("**/*.py")}
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sccachedist."):
                source = (node.module or "").removeprefix("sccachedist.")
                for each in node.names:
                    whole = f"{source}.{each.name}"
                    yield module, whole if whole in known else source


def test_no_twisted_in_what_decides() -> None:
    """The wire, the configuration, the errors, the cores and all that a sandbox worker has load no Twisted."""
    names = modules("wire/**/*.py", "config/**/*.py", "errors.py", "sandbox/**/*.py")
    names += ["sccachedist.scheduler.core", "sccachedist.server.jobs"]
    assert {"sccachedist.wire.tokens", "sccachedist.errors", "sccachedist.sandbox.archive.tar"} < set(names)
    found = subprocess.run(
        [sys.executable, "-c", LOOK, *names], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []


@pytest.mark.parametrize(
    ("importer", "imported", "shared"),
    [("builders", "sandbox", SHARED_BY_BUILDERS), ("sandbox", "builders", SHARED_BY_WORKERS)],
)
def test_builders_and_sandboxes_share_little(importer: str, imported: str, shared: set[str]) -> None:
    """The daemon's side and the worker's meet in the protocol between them, and in a few names."""
    assert {target for module, target in imports() if (room(module), room(target)) == (importer, imported)} == shared


def test_nothing_else_imports_what_a_sandbox_worker_is_made_of() -> None:
    """The daemons never touch what reads a stranger's archive."""
    assert {room(module) for module, target in imports() if room(target) == "sandbox"} == {"builders", "sandbox"}
    assert {room(target) for module, target in imports() if room(module) == "sandbox"} <= {
        "builders", "sandbox", "disks", "errors", "outcomes", "policy", "wire"
    }  # fmt: skip


def test_imports_point_downwards() -> None:
    """A room knows only those on floors below its own."""
    floors = {name: floor for floor, names in enumerate(FLOORS) for name in names}
    upwards = {
        (room(module), room(target))
        for module, target in imports()
        if "sandbox" not in (room(module), room(target)) and room(module) != room(target)
        if floors[room(module)] >= floors[room(target)]
    }
    assert upwards == set()


@pytest.mark.parametrize("folder", BESIDE)
def test_nothing_but_tests_imports_tests(folder: str) -> None:
    """What the demo, the benchmarks and the tests share knows none of them, and they share nothing else."""
    trees = (ast.parse(path.read_text()) for path in (PACKAGE.parent / folder).rglob("*.py"))
    modules = {node.module or "" for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    known = {"farmkit", "demo", "bench", "fuzz", "scripts", "tests"} - {folder}
    assert {room(module) for module in modules} & known == BESIDE[folder]


def test_no_private_names_of_others() -> None:
    """What a library calls its own is used in one module alone; ``os._exit`` is public, whatever its name."""
    paths = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "web/_twisted.py"]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    ours = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    ours |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    ours |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {name.name for node in nodes if isinstance(node, ast.ImportFrom) for name in node.names}
    assert {name for name in used - ours if name.startswith("_") and not name.endswith("__")} == {"_exit"}
    # Twisted's private methods have capitals inside: one that is overridden is no name of ours.
    assert [name for name in ours if re.match(r"_[a-z]+[A-Z]", name)] == []


def test_no_module_is_long() -> None:
    """A module that has more lines has a second reason to change."""
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_two_classes_of_one_name() -> None:
    """A public class can be told from every other by its name."""
    names = [
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted(names) == sorted(set(names))


def test_what_an_extra_brings_is_loaded_by_those_that_ask_for_it() -> None:
    """One module knows the library for Redis, one that for object stores, and a role by itself loads neither."""
    for library, only in (
        ("txredisapi", "cluster/redis_store.py"),
        ("import botocore|from botocore", "objects/signing.py"),
    ):
        paths = [path for path in PACKAGE.rglob("*.py") if re.search(library, path.read_text())]
        assert paths == [PACKAGE / only]
    program = f"{LOOK}\nprint(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program, "sccachedist.scheduler.service", "sccachedist.server.service"],
        cwd=PACKAGE.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "sccachedist.scheduler.service" in found.stdout.split()
    extra = {"txredisapi", "sccachedist.cluster.redis_store", "botocore", "sccachedist.objects.signing"}
    assert not extra & set(found.stdout.split())
