"""A TCP relay in front of a daemon: what passes can be slowed down, delayed or not answered for a while.

It passes bytes on and knows nothing of them. For tests of what real networks do, and those who listen there.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import attrs

from farmkit.processes import LOOPBACK, free_port

_PIECE = 1 << 16
_TICKS_PER_SEC = 10


@attrs.define
class Relay:
    """Listens on a port of its own for whom it passes on to the target's port, as long as it runs.

    :param bytes_per_sec: how fast each direction of a connection may be; None for as fast as it goes.
    :param answer_delay_secs: how much later than they came the target's bytes are passed on.
    :param heard: where all that passes is written down, for those who listen.
    """

    target: int
    port: int = attrs.field(factory=free_port)
    bytes_per_sec: int | None = None
    answer_delay_secs: float = 0.0
    heard: bytearray | None = attrs.field(default=None, repr=False)
    _listener: socket.socket = attrs.field(init=False)

    @contextlib.contextmanager
    def running(self) -> Iterator["Relay"]:
        """Pass on while this lasts; connections end by themselves afterwards."""
        with socket.create_server((LOOPBACK, self.port)) as self._listener:
            threading.Thread(target=self._accept, daemon=True).start()
            yield self
            self._listener.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            target = socket.create_connection((LOOPBACK, self.target))
        except OSError:  # nobody listens there now
            client.close()
            return
        answering = threading.Thread(target=self._pass, args=(target, client), daemon=True)
        answering.start()
        self._pass(client, target)
        answering.join()
        client.close()
        target.close()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        back = sink.getsockname()[1] == self.port
        with contextlib.suppress(OSError):
            while piece := source.recv(self._piece):
                if self.heard is not None:
                    self.heard += piece
                time.sleep(self.answer_delay_secs if back else 0)
                sink.sendall(piece)
                if self.bytes_per_sec is not None:
                    time.sleep(len(piece) / self.bytes_per_sec)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    @property
    def _piece(self) -> int:
        return _PIECE if self.bytes_per_sec is None else max(1, self.bytes_per_sec // _TICKS_PER_SEC)
