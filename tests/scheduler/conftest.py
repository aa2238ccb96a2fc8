"""A scheduler for each test, and a build server of ours at it."""

import pytest

from sccachedist.scheduler.core import SchedulerCore
from tests.scheduler.farms import FIRST_JOB, Ours


@pytest.fixture
def core() -> SchedulerCore:
    return SchedulerCore(FIRST_JOB, most_unclaimed=5)


@pytest.fixture
def ours(core: SchedulerCore) -> Ours:
    ours = Ours(core)
    ours.beat(ours.report())
    ours.proves_itself()
    return ours
