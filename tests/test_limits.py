"""Every limit that an error names is a key of the configuration, under the name by which an operator finds it."""

import ast
from pathlib import Path

import attrs

import sccachedist
from sccachedist.config import SchedulerLimits, SchedulerSettings, ServerLimits, ServerSettings
from sccachedist.config.schema import Table, keys_of

#: The calls whose first argument is the key of a limit.
_NAMING = ("LimitExceeded", "Budget")


def named_limits() -> set[str]:
    """All keys that stand in the code as the limit of an error or a budget."""
    found = set()
    for module in Path(sccachedist.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(key)), *_]) if name in _NAMING:
                    found.add(key)
    return found


def dotted_keys() -> set[str]:
    """All keys of the tables in both files."""
    return {
        f"{table}.{key}"
        for settings in (SchedulerSettings, ServerSettings)
        for table, declared in keys_of(settings).items()
        if isinstance(declared.shape, Table)
        for key in keys_of(declared.shape.settings)
    }


def test_limits_that_errors_name() -> None:
    """A name alone stands under ``[limits]``; others are dotted."""
    under_limits = {field.name for limits in (SchedulerLimits, ServerLimits) for field in attrs.fields(limits)}
    named = named_limits()
    assert {"inputs_bytes", "unclaimed_jobs", "sandbox.scratch_bytes", "queue.max_waiting"} <= named
    assert named <= under_limits | dotted_keys()
