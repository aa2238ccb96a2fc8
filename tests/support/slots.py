"""The slots of a farm."""

from farmkit.farm import Farm


def all_slots_free(farm: Farm, seconds: float = 5) -> None:
    """Wait until no job is in progress: the end of one is told a moment later."""
    farm.scheduler.wait_until(lambda: farm.status().in_progress == 0, seconds, "no slot is taken")
