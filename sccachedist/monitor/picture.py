"""The farm as monitors of Icecream see it: hosts and running jobs, in messages that are made once for all monitors.

Pure. Hosts and jobs get numbers of their own here, because a monitor's have 32 bits. A host is told of before its first
job. Which hosts there are and what happens to jobs comes from the caller; :meth:`Picture.take` has what is new since
the last time, and :meth:`Picture.whole` what a monitor needs that comes now.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import attrs

from sccachedist.monitor.messages import (
    MOST_NUMBER,
    VERSION,
    HostTold,
    JobAsked,
    JobBegan,
    JobDone,
    LocalJobBegan,
    LocalJobDone,
    MonitorMessage,
    encoded,
)
from sccachedist.printable import printable

#: Clients without a running job that are still shown, and hosts whose numbers are remembered in case they come again.
MOST_IDLE_CLIENTS, MOST_NUMBERS_KEPT = 200, 10_000

_GONE = "State:Offline\n"
#: icemon counts jobs by platform, and says so in words.
_UNKNOWN_MACHINE = "farm"
_CLIENT, _SERVER = "client ", "server "


@attrs.frozen
class _Running:
    number: int
    server: str
    client: str
    told: bytes


class Picture:
    """What is shown of one farm."""

    def __init__(self) -> None:
        self._new = bytearray()
        self._hosts: dict[str, bytes] = {}
        self._numbers: dict[str, int] = {}
        self._jobs: dict[int, _Running] = {}
        self._busy, self._idle = Counter[str](), OrderedDict[str, None]()
        self._last_host = self._last_job = 0

    def take(self) -> bytes:
        """What has been told since the last time, in order."""
        new = bytes(self._new)
        self._new.clear()
        return new

    def whole(self) -> bytes:
        """All hosts, then all jobs that run."""
        return b"".join((*self._hosts.values(), *(job.told for job in self._jobs.values())))

    def server_is(
        self, address: str, ip: str, slots: int, load: int, name: str = "", machine: str | None = None
    ) -> None:
        """Tell of a build server, unless all of this was told before.

        :param load: which part of it is in use, in thousandths.
        :param name: what it is called; by default its address. ``machine``: as ``uname -m`` calls it, if that is known.
        """
        lines = {
            "Name": name or _dotless(address),
            "IP": ip,
            "MaxJobs": str(slots),
            "NoRemote": "false",
            "Load": str(load),
        }
        self._host_is(_SERVER + address, lines, machine)

    def server_gone(self, address: str) -> None:
        """A build server has gone, and what ran there has ended."""
        host = _SERVER + address
        for key in [key for key, job in self._jobs.items() if job.server == host]:
            self.job_ends(key, partial(JobDone, exit_status=1))
        self._host_gone(host)

    def job_begins(self, key: int, name: str, language: int, client: str, ip: str, server: str, at: float) -> None:
        """A job is compiled. It is not shown if its build server is not, and told once if this is called again.

        :param key: the job's number; ``name``: of what it compiles; ``language``: 0 for C, 1 for C++.
        :param client: its name; ``ip``: its address, empty if that is not to be shown.
        :param at: when it began, in seconds since 1970.
        """
        host = _SERVER + server
        if host not in self._hosts or key in self._jobs:
            return
        whose, number = self._client_is(client, ip), self._next_job()
        asked = JobAsked(printable(name), language, number, self._numbers[whose])
        told = _joined((asked, JobBegan(number, int(at), self._numbers[host])))
        self._jobs[key] = _Running(number, host, whose, told)
        self._busy[whose] += 1
        self._idle.pop(whose, None)
        self._new += told

    def job_ends(self, key: int, done: Callable[[int], JobDone]) -> None:
        """A job has ended. Nothing is told if it is not shown.

        :param done: makes the message, of the number that the job has here.
        """
        job = self._jobs.pop(key, None)
        if job is None:
            return
        self._new += encoded(done(job.number))
        self._busy[job.client] -= 1
        if not self._busy[job.client]:
            del self._busy[job.client]
            self._rests(job.client)

    def local_job(self, client: str, ip: str, name: str, at: float) -> None:
        """A client compiles by itself. How long that takes is not known, so it ends at once."""
        whose, number = self._client_is(client, ip), self._next_job()
        self._new += _joined((LocalJobBegan(self._numbers[whose], number, int(at), name), LocalJobDone(number)))
        if whose not in self._busy:
            self._rests(whose)

    def _client_is(self, client: str, ip: str) -> str:
        host = _CLIENT + client
        if host not in self._hosts:
            name = _dotless(client) if client == ip else client
            self._host_is(host, {"Name": name, "IP": ip, "MaxJobs": "0", "NoRemote": "true"})
        return host

    def _rests(self, client: str) -> None:
        """A client has nothing to do. The one that has rested longest makes room."""
        self._idle[client] = None
        self._idle.move_to_end(client)
        if len(self._idle) > MOST_IDLE_CLIENTS:
            self._host_gone(self._idle.popitem(last=False)[0])

    def _host_is(self, host: str, lines: dict[str, str], machine: str | None = None) -> None:
        lines |= {"Platform": machine or _UNKNOWN_MACHINE, "Version": str(VERSION)}
        text = "".join(f"{key}:{printable(value)}\n" for key, value in lines.items() if value)
        told = encoded(HostTold(self._number_of(host), text))
        if self._hosts.get(host) != told:
            self._hosts[host] = told
            self._new += told

    def _host_gone(self, host: str) -> None:
        if self._hosts.pop(host, None) is not None:
            self._new += encoded(HostTold(self._numbers[host], _GONE))

    def _number_of(self, host: str) -> int:
        if host not in self._numbers:
            self._last_host = self._last_host % MOST_NUMBER + 1
            self._numbers[host] = self._last_host
            if len(self._numbers) > MOST_NUMBERS_KEPT + len(self._hosts):
                del self._numbers[next(self._gone())]
        return self._numbers[host]

    def _gone(self) -> Iterator[str]:
        """Hosts that have a number and are not shown, the oldest first."""
        return (host for host in self._numbers if host not in self._hosts)

    def _next_job(self) -> int:
        self._last_job = self._last_job % MOST_NUMBER + 1
        return self._last_job


def _dotless(address: str) -> str:
    """An address as a name: icemon shows a host's name up to its first dot."""
    return address.replace(".", "-")


def _joined(messages: Iterable[MonitorMessage]) -> bytes:
    return b"".join(map(encoded, messages))
