"""What a monitor makes of the messages that it gets: it is as strict as the real ones."""

import attrs

from sccachedist.monitor.messages import (
    HostTold,
    JobAsked,
    JobBegan,
    JobDone,
    LocalJobBegan,
    LocalJobDone,
    MonitorMessage,
    decoded,
)


def messages_of(octets: bytes) -> list[MonitorMessage]:
    """All messages of whole bytes."""
    found = []
    while octets:
        end = 4 + int.from_bytes(octets[:4], "big")
        assert end <= len(octets), "the last message is not whole"
        found.append(decoded(octets[4:end]))
        octets = octets[end:]
    return found


@attrs.define
class Shown:
    """Hosts and jobs as they are on its screen.

    ``running`` has the name, client and host of each job by its number; ``ended`` those that are over.
    """

    hosts: dict[int, dict[str, str]] = attrs.field(factory=dict)
    asked: dict[int, JobAsked] = attrs.field(factory=dict)
    running: dict[int, tuple[str, str, str]] = attrs.field(factory=dict)
    ended: list[tuple[str, str, str, int]] = attrs.field(factory=list)
    local: list[tuple[str, str]] = attrs.field(factory=list)

    def take(self, octets: bytes) -> None:
        """Show what these bytes tell."""
        for message in messages_of(octets):
            self._show(message)

    @property
    def names(self) -> set[str]:
        """The hosts' names."""
        return {lines["Name"] for lines in self.hosts.values()}

    def host(self, name: str) -> dict[str, str]:
        """What is known of a host."""
        (found,) = (lines for lines in self.hosts.values() if lines["Name"] == name)
        return found

    def _show(self, message: MonitorMessage) -> None:
        match message:
            case HostTold(host=host, text=text):
                lines = dict(line.split(":", 1) for line in text.splitlines())
                if "Name" in lines:
                    self.hosts[host] = lines
                else:
                    assert lines == {"State": "Offline"}
                    gone = self.hosts.pop(host)["Name"]
                    assert gone not in {name for _, *names in self.running.values() for name in names}
            case JobAsked(job=job, client=client):
                assert job not in self.running
                assert client in self.hosts
                self.asked[job] = message
            case JobBegan(job=job, host=host):
                asked = self.asked.pop(job)  # else it is ignored
                assert host in self.hosts, "icemon ends with an assertion"
                self.running[job] = asked.name, self.hosts[asked.client]["Name"], self.hosts[host]["Name"]
            case JobDone(job=job, exit_status=status):
                self.ended.append((*self.running.pop(job), status))
            case LocalJobBegan(client=client, name=name):
                self.local.append((self.hosts[client]["Name"], name))
            case LocalJobDone():
                assert self.local
