"""Server-Sent Events, read as a browser reads them, and a connection that carries them to a viewer."""

import attrs

from sccachedist.web.responses import Source


def read(stream: bytes) -> list[tuple[str, str, str]]:
    """Events, read as the HTML standard says: name, data and id."""
    found = []
    name, number = "", ""
    data: list[str] = []
    for line in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            found.append((name or "message", "\n".join(data), number))
        if not line:
            name, data = "", []
        elif key == "event":
            name = value
        elif key == "data":
            data.append(value)
        elif key == "id":
            number = value
    return found


@attrs.define(eq=False)
class Line:
    """A connection that asks for a pause when more than ``room`` bytes wait on it."""

    viewer: Source
    room: int = 1 << 16
    waiting: bytes = b""
    taken: bytes = b""
    is_full: bool = False
    ended: bool = False

    def __attrs_post_init__(self) -> None:
        self.viewer.attach(self)

    def write(self, data: bytes) -> None:
        self.waiting += data
        if len(self.waiting) > self.room and not self.is_full:
            self.is_full = True
            self.viewer.pauseProducing()

    def read(self) -> bytes:
        """Take what waits; the connection goes on."""
        found, self.waiting = self.waiting, b""
        self.taken += found
        if self.is_full:
            self.is_full = False
            self.viewer.resumeProducing()
        return found

    def leave(self) -> None:
        """Go away."""
        self.viewer.stopProducing()
        self.viewer.detach()

    def end(self) -> None:
        self.ended = True
        self.viewer.detach()
