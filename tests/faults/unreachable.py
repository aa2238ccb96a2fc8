"""``python -m tests.faults.unreachable``: a build server that reaches the scheduler, and that nobody can connect to.

A client that tries waits in vain. No client may be sent there, nor wait long for it: status 0 says that it was so.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from farmkit import program
from farmkit.processes import wait_until
from tests.faults.alone import be_alone
from tests.faults.build import FILES, PARALLEL
from tests.faults.farm import Server
from tests.faults.run import Range, prepared, with_toolchains

#: Seconds that a compile may take: the scheduler tries the address for three of them.
_LONGEST_SECS = 10
#: Seconds in which a build server has jobs again that can be reached again.
_BACK_SECS = 60


def main(arguments: Sequence[str]) -> int:
    """Try it; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.unreachable")
    with_toolchains(parser)
    options = parser.parse_args(arguments)
    be_alone("tests.faults.unreachable", arguments)
    with (
        tempfile.TemporaryDirectory(prefix="sccachedist-faults-") as folder,
        prepared("ours", Path(folder), options.toolchains) as where,
    ):
        trouble = list(_trouble(where))
    sys.stdout.writelines(f"{line}\n" for line in trouble)
    return 1 if trouble else 0


def _trouble(where: Range) -> Iterator[str]:
    lost, other = where.farm.all_of(Server)
    lost.daemon.stop()
    wait_until(lambda: where.farm.asked.status().num_servers == 1, _BACK_SECS, "it has gone")
    with lost.host.mute(lost.farm.server_port):
        lost.launch()
        where.farm.wait_until_whole()
        outcome = where.build.run(where.client, (), where.farm.befall)
        if outcome.wrong or outcome.servers != {str(other.farm.server_id)} or outcome.remote < FILES:
            yield f"not all was compiled by the other build server: {outcome}"
        if outcome.longest > _LONGEST_SECS:
            yield f"a compile took {outcome.longest:.0f} s"
    few = where.build.beginning(PARALLEL)
    wait_until(
        lambda: str(lost.farm.server_id) in few.run(where.client, (), where.farm.befall).servers,
        _BACK_SECS,
        "a build server that can be reached again has jobs",
    )


if __name__ == "__main__":
    program.run(partial(main, sys.argv[1:]))
