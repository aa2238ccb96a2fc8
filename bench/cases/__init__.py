"""The cases, each a :class:`bench.run.Case`, in the order of the table."""

from bench.cases.allocations import AllocationLatency, AllocationRate
from bench.cases.beside_distcc import BesideDistcc
from bench.cases.busy_machine import BusyMachine
from bench.cases.capacity import CAPACITY_CASES
from bench.cases.failures import VerifiedFailures
from bench.cases.gateways import GatewayLatency, GatewayThroughput
from bench.cases.grown_farm import GrownFarms
from bench.cases.job_path import JobLatency, JobThroughput
from bench.cases.large import LargeJob, LargeUpload
from bench.cases.placement import Placement
from bench.cases.projects import PROJECT_BUILDS
from bench.cases.questions import Questions
from bench.cases.scrapes import Scrapes
from bench.cases.slow_requests import MemoryUnderSlowRequests, StatusUnderSlowRequests
from bench.cases.toolchains import TOOLCHAIN_CASES
from bench.cases.uploads import Uploads
from bench.cases.viewers import Viewers
from bench.cases.watching import Watching
from bench.run import Case

CASES: tuple[Case, ...] = (
    JobLatency(),
    JobThroughput(),
    GatewayLatency(),
    GatewayThroughput(),
    *PROJECT_BUILDS,
    BesideDistcc(),
    *TOOLCHAIN_CASES,
    AllocationLatency(),
    AllocationRate(),
    StatusUnderSlowRequests(),
    MemoryUnderSlowRequests(),
    Scrapes(),
    Questions(),
    LargeUpload(),
    LargeJob(),
    Uploads(),
    VerifiedFailures(),
    Watching(),
    Viewers(),
    GrownFarms(),
    *CAPACITY_CASES,
    Placement(),
    BusyMachine(),
)
