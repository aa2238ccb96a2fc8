"""What a daemon exports, as a test reads it."""

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

from sccachedist.metrics.series import Series


def exposed(text: bytes) -> dict[str, float]:
    """Each sample by its name and the values of its labels, in the order of their names: ``name{a,b}``."""
    return {
        f"{sample.name}{{{','.join(sample.labels[label] for label in sorted(sample.labels))}}}"
        if sample.labels
        else sample.name: sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def families(text: bytes) -> set[str]:
    """The names of all series, but for those that the library has of the process."""
    named = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text.decode())
    }
    return {name for name in named if not name.startswith(("process_", "python_"))}


def named(rows: Iterable[Series]) -> set[str]:
    """The names of the rows of the table."""
    return {row.name for row in rows}
