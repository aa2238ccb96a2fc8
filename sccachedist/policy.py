"""What an operator may choose about results that users see.

In a module of its own, so that the configuration and a worker, the smallest process, can both load it.
"""

import enum


class OnFailure(enum.Enum):
    """What happens to a compile that failed."""

    REPORT = "report"
    SUSPICIOUS = "suspicious"
    VERIFY = "verify"
