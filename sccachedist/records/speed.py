"""How fast build servers compile, compared with the farm: with the same toolchain, for toolchains differ.

Pure. It is made on demand, of some of the latest records of each build server.
"""

from collections import defaultdict
from collections.abc import Iterator

from sccachedist.errors import DecodeError
from sccachedist.outcomes import Outcome
from sccachedist.records.ring import OUTCOME, OUTCOMES, SERVER, SUMMARY, TOOLCHAIN, Entry
from sccachedist.wire.job_summary import compile_us

#: Compiles by one toolchain that count: of one build server, and of the farm.
MOST_OF_SERVER, MOST_OF_FARM = 50, 1000
#: The least compiles that say anything of a build server.
LEAST = 5


class SpeedSums:
    """Times of compiles, grown by one record at a time, the latest first."""

    def __init__(self) -> None:
        self._farm: defaultdict[str, list[int]] = defaultdict(list)
        self._servers: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._shared: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, entry: Entry) -> None:
        """Count a request."""
        server, toolchain = entry[SERVER], entry[TOOLCHAIN]
        if server is None or not toolchain or not entry[SUMMARY] or OUTCOMES[entry[OUTCOME]] is not Outcome.COMPILED:
            return
        own, farm = self._servers[server][toolchain], self._farm[toolchain]
        if len(own) >= MOST_OF_SERVER:
            return
        try:
            took = compile_us(entry[SUMMARY])
        except DecodeError:
            return
        if took:
            own.append(took)
            self._shared[toolchain].add(server)
            if len(farm) < MOST_OF_FARM:
                farm.append(took)

    def speeds(self) -> Iterator[tuple[str, float]]:
        """Build servers, each with its speed: 2 if it compiles in half the time that the farm takes.

        It is the median over its compiles. What only one build server compiles with says nothing.
        """
        usual = {toolchain: _median(self._farm[toolchain]) for toolchain, by in self._shared.items() if len(by) > 1}
        for server, times in self._servers.items():
            found = [usual[toolchain] / took for toolchain, own in times.items() if toolchain in usual for took in own]
            if len(found) >= LEAST:
                yield server, round(_median(found), 2)


def _median(values: list[int] | list[float]) -> float:
    return sorted(values)[len(values) // 2]
