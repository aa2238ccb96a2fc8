"""The body of a ``submit_toolchain``: it passes the bytes of a toolchain on, and says when it breaks off.

Where the bytes go is in :mod:`sccachedist.toolchains.uploads`.
"""

from collections.abc import Callable

from sccachedist.toolchains.uploads import Upload
from sccachedist.web.bodies import Body


class Delivery(Body[Upload | None]):
    """The body of a ``submit_toolchain``.

    :param upload: takes its bytes; None if there is no such job: then they are ignored.
    :param given_up: called with the error when it breaks off, see :meth:`abort`; after :meth:`complete`,
        :meth:`sccachedist.server.job_runner.JobRunner.submit` is responsible.
    """

    def __init__(self, upload: Upload | None, given_up: Callable[[BaseException | None], None]) -> None:
        self._upload, self._given_up, self._is_open = upload, given_up, True

    def write(self, chunk: bytes) -> None:
        """Pass the next bytes to the upload."""
        if self._upload is not None:
            self._upload.write(chunk)

    def complete(self) -> Upload | None:
        """Return the upload, which is at its end but not verified."""
        self._is_open = False
        return self._upload

    def abort(self, error: BaseException | None = None) -> None:
        """Abort the upload."""
        if self._upload is not None:
            self._upload.abort()
        if self._is_open:
            self._is_open = False
            self._given_up(error)
