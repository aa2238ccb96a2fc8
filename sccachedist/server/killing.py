"""Ends the work of a job because an administrator wants that: its client compiles locally.

Which job that is, :mod:`sccachedist.server.job_runner` knows; how processes are ended, the builder.
"""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from sccachedist.errors import JobKilled
from sccachedist.server.job_course import JobCourse


async def until_killed(course: JobCourse, work: Coroutine[Deferred[Any], Any, None]) -> None:
    """Do some work, unless its job is killed before or meanwhile.

    :raises JobKilled: it was.
    """
    if course.killed:
        work.close()
        raise JobKilled()
    doing = Deferred.fromCoroutine(work)
    course.stop = doing.cancel
    try:
        await doing
    except CancelledError:
        if course.killed:
            raise JobKilled() from None
        raise
    finally:
        course.stop = None
