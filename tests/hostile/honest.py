"""An honest client: ``python -m tests.hostile.honest SCHEDULER ADDRESS ARCHIVE``.

It sends from ADDRESS, has the client token in TOKEN, and reads its stdin: when there is a line, with a number, it runs
a job and prints a line. Then it runs a small job after the other until the next line is there, and that many at least,
and prints what each of these took, in seconds, as a line of JSON.
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
    scheduler, address, archive = sys.argv[1:]
    client = RawClient(ServerId.parse(scheduler), os.environ["TOKEN"], address)
    toolchain = id_of(Path(archive))
    with open(0, "rb", buffering=0) as told:
        while least := told.readline():
            run_job(client, Path(archive), toolchain)
            print("ready", flush=True)
            took: list[float] = []
            while len(took) < int(least) or not select.select([told], [], [], 0)[0]:
                took.append(run_job(client, Path(archive), toolchain))
            told.readline()
            print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main()
