"""Records as a scheduler's API gives them, for tests of what reads them."""

from typing import Any, cast

from sccachedist.records.documents import JobRow


def job_row(**changed: Any) -> JobRow:
    """A compile of one second that succeeded; ``input`` and ``out`` are the bytes that came and went."""
    if "input" in changed:
        changed["in"] = changed.pop("input")
    row = {
        "v": 1,
        "id": "18012345678901234567",
        "asked": 1000.0,
        "ended": 1001.0,
        "client": "10.0.0.1",
        "server": "10.0.0.2:10501",
        "toolchain": "ab" * 32,
        "outcome": "compiled",
        "reason": None,
        "kind": None,
        "detail": None,
        "exit": 0,
        "output": "obj/x.o",
        "compiler": "gcc",
        "phases": {"queue_wait": 0.0, "assign": 0.1, "client": 0.2, "inputs_receive": 0.1, "compile": 0.6},
        "slot": 0,
        "cpu_user": 0.5,
        "cpu_system": 0.1,
        "memory": 50_000_000,
        "in": 4096,
        "out": 2048,
        "uploaded": 0,
        "prewarmed": True,
        "scheduler": None,
        "term": None,
    }
    return cast("JobRow", row | changed)


def refused_row(**changed: Any) -> JobRow:
    """A request that waited a minute and got no slot."""
    without = dict.fromkeys(("id", "server", "exit", "output", "compiler", "slot", "memory", "in", "out", "uploaded"))
    without |= dict.fromkeys(("cpu_user", "cpu_system", "prewarmed"))
    refused = {"outcome": "refused", "reason": "queue_timeout", "detail": "no slot came free within 60 seconds"}
    return job_row(**(without | refused | {"ended": 1060.0, "phases": {"queue_wait": 60.0}} | changed))
