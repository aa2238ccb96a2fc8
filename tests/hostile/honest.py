"""An honest client: ``python -m tests.hostile.honest SCHEDULER ADDRESS ARCHIVE [JOBS]``.

It sends from ADDRESS, has the client token in TOKEN, and runs a small job after the other: JOBS of them, or until its
stdin ends, and so many at least that there is a median. Then it prints what each took, in seconds, as JSON. Before the
first one that counts it prints a line.
"""

import json
import os
import select
import sys
import time
from pathlib import Path

from farmkit.busybox_jobs import id_of, shell
from farmkit.raw_client import RawClient
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobComplete
from tests.hostile.attacks import NO_INPUTS

#: An attack that lasts for two of its jobs says nothing of what it gets as a rule.
LEAST_JOBS = 20


def run_job(client: RawClient, archive: Path, toolchain: str) -> float:
    """Run a job, which has to succeed; give the seconds that it took."""
    began = time.monotonic()
    job = client.ready(archive, toolchain)
    result = client.run_job(job, shell("true"), NO_INPUTS)
    assert isinstance(result, JobComplete), result
    assert result.output.code == 0, result
    return time.monotonic() - began


def main() -> None:
    """Run jobs."""
    scheduler, address, archive, *most = sys.argv[1:]
    client = RawClient(ServerId.parse(scheduler), os.environ["TOKEN"], address)
    toolchain = id_of(Path(archive))
    run_job(client, Path(archive), toolchain)
    print("ready", flush=True)
    took: list[float] = []
    while len(took) < int(*most or ["1000000"]):
        took.append(run_job(client, Path(archive), toolchain))
        if not most and len(took) >= LEAST_JOBS and select.select([sys.stdin], [], [], 0)[0]:
            break
    json.dump(took, sys.stdout)


if __name__ == "__main__":
    main()
