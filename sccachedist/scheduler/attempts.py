"""How often one may try to sign in.

Pure: it counts, by the network that the tries come from.
"""

from collections import OrderedDict

#: So many tries that failed, or are not decided, in so many seconds.
MOST_ATTEMPTS, ATTEMPTS_SECS = 10, 60.0
#: Networks that are remembered; the one whose minute began first is forgotten first.
MOST_NETWORKS = 10_000


class Attempts:
    """Tries of the last minute.

    :param schedulers: by how many of them one may sign in: each lets a part of the tries through.
    """

    def __init__(self, schedulers: int = 1) -> None:
        self._most = max(1, MOST_ATTEMPTS // schedulers)
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def begin(self, network: str, now: float) -> float:
        """Count a try.

        :returns: 0.0, or after how many seconds the next one is allowed: then it is not counted.
        """
        began, count = self._counts.get(network, (now, 0))
        if now - began >= ATTEMPTS_SECS:
            began, count = now, 0
        if count >= self._most:
            return began + ATTEMPTS_SECS - now
        if not count:
            self._counts.pop(network, None)
        self._counts[network] = began, count + 1
        if len(self._counts) > MOST_NETWORKS:
            self._counts.popitem(last=False)
        return 0.0

    def forget(self, network: str) -> None:
        """Do not count one of them: it was no guess."""
        began, count = self._counts.get(network, (0.0, 0))
        if count > 1:
            self._counts[network] = began, count - 1
        else:
            self._counts.pop(network, None)
