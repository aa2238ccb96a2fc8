"""Ends the work of a job for a reason that lies outside of it: its client compiles locally.

Which job that is, :mod:`sccachedist.server.job_runner` knows; how processes are ended, the builder.
"""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from sccachedist.server.job_course import JobCourse


async def until_killed(course: JobCourse, work: Coroutine[Deferred[Any], Any, None]) -> None:
    """Do some work, unless its job is killed before or meanwhile.

    :raises SccachedistError: it was, for this reason.
    """
    if course.killed is not None:
        work.close()
        raise course.killed
    doing = Deferred.fromCoroutine(work)
    course.stop = doing.cancel
    try:
        await doing
    except CancelledError:
        if course.killed is not None:
            raise course.killed from None
        raise
    finally:
        course.stop = None
