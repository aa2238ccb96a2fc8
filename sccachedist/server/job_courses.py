"""All jobs that clients have come for and that are not over; tells observers what becomes of each.

Which job a request is for, and whether it is over, :mod:`sccachedist.server.job_runner` decides.
"""

from collections.abc import Callable, Container, Sequence

from sccachedist.errors import NoPlace
from sccachedist.outcomes import Lack
from sccachedist.server.job_course import Ending, JobCourse, SlotNumbers
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import JobId

#: Called with each job that has ended, its client and what became of it, as a value and in bytes. The job is None for a
#: request that was turned away and ended no job; then there are no bytes.
JobObserver = Callable[[JobId | None, str, JobSummary, bytes], None]
_UNKNOWN = "unknown"


class JobCourses:
    """What is known of each job.

    :param seconds: the time.
    :param observers: are told of each job that ends.
    """

    def __init__(self, seconds: Callable[[], float], observers: Sequence[JobObserver]) -> None:
        self._seconds, self._observers = seconds, observers
        self._courses: dict[JobId, JobCourse] = {}
        self._slots = SlotNumbers()

    def __getitem__(self, job_id: JobId) -> JobCourse:
        return self._courses[job_id]

    def client(self, job_id: JobId) -> str:
        """The address of a job's client."""
        course = self._courses.get(job_id)
        return _UNKNOWN if course is None else course.client

    def enter(self, job_id: JobId, client: str) -> JobCourse:
        """Return what is known of a job whose client has come."""
        if (course := self._courses.get(job_id)) is None:
            course = self._courses[job_id] = JobCourse(client, self._seconds)
        return course

    def take_slot(self, course: JobCourse) -> None:
        """Give a number to a job that runs now."""
        course.slot = self._slots.take()

    def end(self, job_id: JobId, ending: Ending) -> bytes:
        """Forget a job: it is over. What it holds is released, and all observers are told.

        Returns what became of it, in bytes (:mod:`sccachedist.wire.job_summary`).
        """
        course = self._courses.pop(job_id, None) or JobCourse(_UNKNOWN, self._seconds)
        if course.holds is not None:
            course.input_bytes = course.input_bytes or course.holds[1].amount
            for hold in course.holds:
                hold.close()
        if course.slot is not None:
            self._slots.give_back(course.slot)
        return self._tell(job_id, course, ending)

    def give_back(self) -> None:
        """Send the jobs home that run, and those that wait for their turn to: others want all CPUs of the host."""
        for course in tuple(self._courses.values()):
            if course.stop is not None:
                course.kill(NoPlace(f"the job was given back. {Lack.BUSY.means}", Lack.BUSY))

    def keep_only(self, jobs: Container[JobId]) -> None:
        """Forget jobs that are no longer here and that no observer was told of: too many were waiting."""
        for job_id in [job_id for job_id in self._courses if job_id not in jobs]:
            del self._courses[job_id]

    def turned_away(self, client: str, ending: Ending) -> None:
        """Tell of a request that was refused and ended no job. Anyone may send some, so no job is named."""
        self._tell(None, JobCourse(client, self._seconds), ending)

    def _tell(self, job_id: JobId | None, course: JobCourse, ending: Ending) -> bytes:
        summary = course.summary(ending, self._seconds())
        octets = b"" if job_id is None else packed(summary)
        for observe in self._observers:
            observe(job_id, course.client, summary, octets)
        return octets
