"""Each error that can end a job says why the job has no result, from where it is raised."""

import ast
import functools
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import sccachedist
from sccachedist import errors as e
from sccachedist.toolchains.fetching import NoLongerWanted
from sccachedist.web.responses import UnknownRoute

PACKAGE = Path(sccachedist.__file__).parent
#: Errors that refuse a request of which no job is known yet, or are of the scheduler, of a start or of a peer.
END_NO_JOB = {
    *(
        e.SccachedistError,
        e.ConfigError,
        e.OtherRoleError,
        e.Refused,
        e.ClientRefused,
        e.ClientTokenEnded,
        e.PeerRefused,
        e.ServerRevoked,
        e.Forbidden,
        e.AuthUnavailable,
    ),
    *(e.NoLeader, e.DecidedElsewhere, e.SessionOver, NoLongerWanted),
    *(e.AmbiguousRequest, e.UntrustedPath, e.UnknownServer, e.NoCapacity, e.BadTransition, e.PeerError, UnknownRoute),
}
#: What a job passes through.
ON_THE_WAY = (
    "sandbox",
    "builders",
    "budgets.py",
    "disks.py",
    "files.py",
    "server",
    "web/bodies.py",
    "web/file_sender.py",
)
#: Modules there that are about the start of a build server, its identity, its scheduler and other build servers.
BESIDE_THE_WAY = {
    "sandboxes",
    "cache_lock",
    "farm_source",
    "heartbeat",
    "identity",
    "sandbox_service",
    "scheduler_session",
    "self_description",
    "service",
    "spare_capacity",
    "spent_token_file",
}
#: Other errors of those modules: what the system says, which becomes a broken sandbox or disk where it is caught.
OF_THE_SYSTEM = {"OSError", "FileNotFoundError"}


def kinds_of(root: type[e.SccachedistError]) -> Iterator[type[e.SccachedistError]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds_of(kind)


@functools.cache
def loaded() -> set[type[e.SccachedistError]]:
    """All errors that a build server may raise, but those that do not leave their module."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "sccachedist."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    rooms = ("scheduler", "cluster", "cli", "client")
    others = ("tests.", *(f"sccachedist.{room}." for room in rooms))
    found = {kind for kind in kinds_of(e.SccachedistError) if not kind.__module__.startswith(others)}
    return {kind for kind in found if not kind.__name__.startswith("_")}


def calls(*places: str) -> Iterator[tuple[str, ast.Call, bool]]:
    """Each call of some modules, with the module's path, and whether its value is raised at once."""
    for path in sorted(each for place in places for each in PACKAGE.glob(place)):
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            tree = ast.parse(file.read_text())
            raised = {node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Call):
                    yield str(file.relative_to(PACKAGE)), node, node in raised


def test_each_class_of_errors_is_decided() -> None:
    """A new one either ends no job, or has a reason."""
    known = loaded()
    assert known >= END_NO_JOB
    for kind in known:
        decided = issubclass(kind, e.BuildError) or getattr(kind, "sent_local", None) is not None
        assert decided is (kind not in END_NO_JOB), kind


def test_a_failed_build_says_why_where_it_is_raised() -> None:
    """One class stands for many reasons, so none is a default; what carries the errors of workers passes them on."""
    found = 0
    for path, call, _ in calls("*"):
        if getattr(call.func, "id", getattr(call.func, "attr", "")) == "BuildError":
            reason = call.args[0]
            passed_on = path == "builders/worker_protocol.py"
            assert passed_on or (isinstance(reason, ast.Attribute) and ast.unparse(reason.value) == "SentLocal"), path
            found += 1
    assert found >= 30


@pytest.mark.parametrize("place", ON_THE_WAY)
def test_what_is_raised_on_the_way_of_a_job(place: str) -> None:
    """Each error has a reason there; what the system says gets one where it is caught."""
    with_reason = {kind.__name__ for kind in loaded() - END_NO_JOB} | {"raised"} | OF_THE_SYSTEM
    of_requests = {kind.__name__ for kind in END_NO_JOB - {e.SccachedistError}}
    for path, call, is_raised in calls(place):
        if is_raised and Path(path).stem not in BESIDE_THE_WAY:
            name = ast.unparse(call.func)
            allowed = with_reason | (
                of_requests if path in ("server/routes.py", "server/lending.py", "server/jobs.py") else set()
            )
            assert name in allowed or path == "disks.py", f"{path}: {name}"
