"""A farm that gives a secret away fails its test, whichever test that is."""

from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER
from farmkit.processes import Command

pytestmark = pytest.mark.functional


def test_in_a_log(tmp_path: Path) -> None:
    """A token that any daemon of ours has logged is found when the farm ends."""
    farm = Farm(tmp_path)
    farm.start_scheduler()
    with farm.scheduler.log.open("a") as log:
        log.write(f"no entry with {farm.client_token}\n")
    with pytest.raises(AssertionError, match=r"token of scheduler\.conf in scheduler\.log"):
        farm.stop()


def test_in_an_environment(tmp_path: Path) -> None:
    """So is one that stands where everybody on the machine can read it."""

    def exposing(config: Path) -> Command:
        command = OUR_SCHEDULER(config)
        return attrs.evolve(command, environment={**command.environment, "TOKEN": farm.client_token})

    farm = Farm(tmp_path, exposing)
    farm.start_scheduler()
    with pytest.raises(AssertionError, match=r"token of scheduler\.conf in environ of scheduler"):
        farm.stop()
