"""Reloads of real daemons, and what they say of them."""

import signal

from farmkit.processes import Daemon

#: How the line about a reload begins, when the file was taken and when it was not.
READ, KEPT = "the configuration was read again: ", "the configuration stays as it is: "


def reloaded(daemon: Daemon, begin: str, secs: float = 60) -> str:
    """The line that a daemon logs of a reload, without its beginning.

    :param begin: :data:`READ` or :data:`KEPT`; ``secs``: in which it has to come.
    """
    before = daemon.log.read_text().count(begin)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_until(lambda: daemon.log.read_text().count(begin) > before, secs, "the file is read")
    return daemon.log.read_text().rpartition(begin)[2].splitlines()[0]
