"""The series of one role with their values: plain numbers and histograms, which are read at each scrape.

A registry belongs to one role: several roles may live in one process. All of it runs in the reactor's thread.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from sccachedist.bounded import remember
from sccachedist.metrics.histogram import Histogram
from sccachedist.metrics.series import COLLECTION_SECONDS, Kind, Series

#: The value of a series, or one for each value of its label (a text), or for each combination of its labels (a tuple of
#: texts). What has no value is not exported.
Reading: TypeAlias = float | Mapping[Any, float] | None
Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

#: The most characters of an Accept that is read, and what stands for a longer one, or one with an odd version.
_LONGEST_ACCEPT, _PLAIN = 500, "text/plain"
#: How many texts are made in a second. To make one takes milliseconds, and who asks need not have shown a token: those
#: who ask beyond that get the last one. In how many forms it is kept.
MOST_PER_SEC, _MOST_FORMS = 20, 8

disable_created_metrics()  # else each counter is exported twice


class Registry:
    """The values of a role's series.

    :param rows: all series that there are, besides those of the process, which the library has.
    :param seconds: a monotonic clock.
    """

    def __init__(self, rows: Iterable[Series], seconds: Callable[[], float] = perf_counter) -> None:
        self._seconds, self._since, self._lately = seconds, -math.inf, 0
        self._made: dict[str, bytes] = {}
        self._without = {row.name: row for row in rows}
        self._read = _Read()
        self._took = 0.0
        self.library = CollectorRegistry()
        self.read(COLLECTION_SECONDS, lambda: self._took)
        self.library.register(self._read)
        ProcessCollector(registry=self.library)
        GCCollector(registry=self.library)

    @property
    def without_values(self) -> set[str]:
        """The names of series that have no source of values yet."""
        return set(self._without)

    def read(self, name: str, look: Callable[[], Reading]) -> None:
        """Have a function tell the value of a counter or gauge at each exposition."""
        self._read.looks.append((self._without.pop(name), look))

    def histogram(self, name: str) -> Histogram:
        """The histogram of a series without labels."""
        row = self._without.pop(name)
        self._read.histograms.append((row, {(): (made := Histogram(row.buckets))}))
        return made

    def histograms(self, name: str, values: Iterable[str] = ()) -> dict[str, Histogram]:
        """The histograms of a series, one for each known value of its label.

        :param values: of a label whose values the table does not know.
        """
        row = self._without.pop(name)
        made = {value: Histogram(row.buckets) for value in (*(value for (value,) in _known(row)), *values)}
        self._read.histograms.append((row, {(value,): histogram for value, histogram in made.items()}))
        return made

    def exposition(self, accept: str) -> tuple[str, bytes]:
        """All series as text: the media type and the bytes. Where very many ask, it may be a second old.

        :param accept: what the reader accepts.
        """
        try:
            encode, media_type = choose_encoder(accept if len(accept) <= _LONGEST_ACCEPT else _PLAIN)
        except (TypeError, ValueError):  # the library compares words with numbers then
            encode, media_type = choose_encoder(_PLAIN)
        if media_type not in self._made or self._may_make_one():
            began = perf_counter()
            remember(self._made, media_type, encode(self.library), _MOST_FORMS)
            self._took = perf_counter() - began
        return media_type, self._made[media_type]

    def _may_make_one(self) -> bool:
        """Count one more; returns whether these are not too many in this second."""
        now = self._seconds()
        if now - self._since >= 1:
            self._since, self._lately = now, 0
        self._lately += 1
        return self._lately <= MOST_PER_SEC


class _Read(Collector):
    """All of it, as the library wants it."""

    def __init__(self) -> None:
        self.looks: list[tuple[Series, Callable[[], Reading]]] = []
        self.histograms: list[tuple[Series, Mapping[tuple[str, ...], Histogram]]] = []

    def describe(self) -> Iterator[Family]:
        """Nothing: what is exported is known when the values are."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        """The families with their values now."""
        for row, look in self.looks:
            family = _family(row)
            for labels, value in _values(row, look()):
                family.add_metric(labels, value)
            yield family
        for row, histograms in self.histograms:
            shown = HistogramMetricFamily(row.name, row.about, labels=tuple(row.labels))
            for labels, histogram in histograms.items():
                buckets = [(floatToGoString(bound), float(count)) for bound, count in histogram.buckets]
                shown.add_metric(labels, buckets, histogram.sum)
            yield shown


def _family(row: Series) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if row.kind is Kind.COUNTER else GaugeMetricFamily
    return kind(row.name, row.about, labels=tuple(row.labels))


def _values(row: Series, reading: Reading) -> Iterator[tuple[tuple[str, ...], float]]:
    if reading is None:
        return
    if not isinstance(reading, Mapping):
        yield (), reading
        return
    known: dict[tuple[str, ...], float] = dict.fromkeys(_known(row), 0.0)
    for labels, value in reading.items():
        known[(labels,) if isinstance(labels, str) else labels] = value
    yield from known.items()


def _known(row: Series) -> Iterator[tuple[str]]:
    """The known values of the label of a series that has one."""
    if len(row.labels) == 1:
        yield from ((value,) for value in next(iter(row.labels.values())))
