"""What an operator may choose about what becomes of compiles.

In a module of its own, so that the configuration and a worker, the smallest process, can both load it.
"""

import enum


class OnFailure(enum.Enum):
    """What happens to a compile that failed."""

    REPORT = "report"
    SUSPICIOUS = "suspicious"
    VERIFY = "verify"


class PlacementRule(enum.Enum):
    """Which build server gets a job, of those that have room."""

    LEAST_LOADED = "least_loaded"
    FASTEST = "fastest"
