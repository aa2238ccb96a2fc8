"""Programs whose clocks go wrong: by libfaketime, which stands between a program and the C library."""

from pathlib import Path

import attrs

from farmkit.launch import Launch
from farmkit.processes import Command

#: Seconds of a day.
DAY = 86_400


def skewed(seconds: int) -> dict[str, str]:
    """The variables of a program for which it is so many seconds later than it is; intervals stay true."""
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{seconds:+}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def with_skewed_clock(launch: Launch, seconds: int) -> Launch:
    """The same daemon with a clock that goes wrong."""

    def launch_skewed(config: Path) -> Command:
        command = launch(config)
        return attrs.evolve(command, environment={**command.environment, **skewed(seconds)})

    return launch_skewed


@attrs.frozen
class SteppedClock:
    """A wall clock that daemons share and a test sets while they run.

    :param file: where libfaketime reads how far it is off.
    """

    file: Path

    def __attrs_post_init__(self) -> None:
        self.step(0)

    def step(self, seconds: int) -> None:
        """From now on it is so many seconds later than it is."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+}\n")
        new.replace(self.file)

    def of(self, launch: Launch) -> Launch:
        """The same daemon with this clock."""
        variables = skewed(0) | {"FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1"}
        del variables["FAKETIME"]

        def launch_stepped(config: Path) -> Command:
            command = launch(config)
            return attrs.evolve(command, environment={**command.environment, **variables})

        return launch_stepped
