"""How the series of a role get their values, and what is shown of them."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sccachedist.metrics.registry import MOST_PER_SEC, Registry
from sccachedist.metrics.series import COLLECTION_SECONDS, Kind, Series

ROWS = (
    Series(COLLECTION_SECONDS, Kind.GAUGE, "How long."),
    Series("events_total", Kind.COUNTER, "Events.", {"how": ("good", "bad")}),
    Series("pairs_total", Kind.COUNTER, "Pairs.", {"left": (), "right": ()}),
    Series("height", Kind.GAUGE, "Height."),
    Series("phase_seconds", Kind.HISTOGRAM, "Time.", {"phase": ("first", "last")}, (0.1, 1)),
    Series("wait_seconds", Kind.HISTOGRAM, "Time.", {}, (0.1, 1)),
)


def samples(registry: Registry) -> dict[str, float]:
    """All that is exported, but for what the library has."""
    _, text = registry.exposition("")
    return {
        f"{sample.name}{','.join(sample.labels[name] for name in sorted(sample.labels))}": sample.value
        for family in text_string_to_metric_families(text.decode())
        if not family.name.startswith(("process_", "python_", COLLECTION_SECONDS))
        for sample in family.samples
    }


def test_values() -> None:
    """Known values of a label are there from the start; numbers are read when somebody asks."""
    registry, events = Registry(ROWS), {"bad": 1}
    registry.read("events_total", lambda: events)
    registry.read("pairs_total", lambda: {("a", "b"): 2})
    registry.read("height", lambda: None)
    assert registry.without_values == {"phase_seconds", "wait_seconds"}
    phases = registry.histograms("phase_seconds")
    registry.histogram("wait_seconds").observe(0.5)
    assert registry.without_values == set()
    phases["last"].observe(3)
    events["bad"] = 5
    found = samples(registry)
    assert (found["events_totalgood"], found["events_totalbad"]) == (0, 5)
    assert found["pairs_totala,b"] == 2
    assert "height" not in found
    assert (found["phase_seconds_countfirst"], found["phase_seconds_countlast"]) == (0, 1)
    assert (found["phase_seconds_bucket1.0,last"], found["phase_seconds_bucket+Inf,last"]) == (0, 1)
    assert (found["wait_seconds_sum"], found["wait_seconds_bucket1.0"]) == (0.5, 1)
    assert not [name for name in found if "_created" in name]


def test_of_the_process() -> None:
    """The library's series of the process are there, and the time that the last exposition took."""
    registry = Registry(ROWS[:1])
    registry.exposition("")
    _, text = registry.exposition("")
    assert b"process_resident_memory_bytes" in text
    assert b"python_gc_collections_total" in text
    (took,) = [line.split()[1] for line in text.splitlines() if line.startswith(COLLECTION_SECONDS.encode() + b" ")]
    assert 0 < float(took) < 1


def test_two_roles() -> None:
    """Registries in one process share nothing."""
    for value in (1, 2):
        registry = Registry((ROWS[0], ROWS[3]))
        registry.read("height", lambda value=value: value)  # type: ignore[misc]
        assert samples(registry) == {"height": value}


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("text/plain; version=1..x", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=1.0.0," * 100, "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_forms(accept: str, media_type: str) -> None:
    """A reader gets the form that it asks for; one that asks for something odd gets the oldest."""
    registry = Registry(ROWS[:1])
    found, text = registry.exposition(accept)
    assert found.startswith(media_type)
    assert text.endswith(b"# EOF\n") is ("openmetrics" in media_type)


def test_an_odd_version() -> None:
    """Some releases of the library fail at a version that is none; the reader gets one of the forms all the same."""
    media_type, text = Registry(ROWS[:1]).exposition("application/openmetrics-text; version=x")
    assert media_type.startswith(("text/plain", "application/openmetrics-text"))
    assert text


def test_a_crowd() -> None:
    """Those who ask very often get what was made in the last second, in the form that each asks for."""
    times, values = iter([0.0] * (2 * MOST_PER_SEC) + [1.0]), iter(range(1000))
    registry = Registry((ROWS[0], ROWS[3]), lambda: next(times))
    registry.read("height", lambda: next(values))
    shown = [samples(registry)["height"] for _ in range(2 * MOST_PER_SEC + 1)]
    assert shown == [*range(MOST_PER_SEC + 1), *[MOST_PER_SEC] * (MOST_PER_SEC)]
    assert registry.exposition("application/openmetrics-text; version=1.0.0")[1].endswith(b"# EOF\n")
    assert samples(registry)["height"] == MOST_PER_SEC + 2
