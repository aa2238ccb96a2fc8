"""What an operator may choose of what users are told: for the configuration, and for the smallest of our processes."""

import enum


class OnFailure(enum.Enum):
    """What becomes of a compile that failed."""

    REPORT = "report"
    SUSPICIOUS = "suspicious"
    VERIFY = "verify"
