"""``python -m tests.hostile ROW --scheduler IP:PORT --client-token=TOKEN``: an attack on your own daemons here.

Run it against ours and against the published ones to see the difference; a published daemon may need a restart after
it. A line begins with HARM where the attack came to something.
"""

import argparse
import tempfile
from pathlib import Path

from farmkit.raw_client import RawClient
from sccachedist.wire.addresses import ServerId
from tests.hostile.attacks import Attack, jobs, lengths, paths

ROWS: dict[int, Attack] = {
    1: paths.archive_ids,
    2: jobs.short_ids,
    3: paths.climbing_outputs,
    4: paths.symlinks,
    5: paths.odd_outputs,
    6: jobs.wrong_bytes,
    8: lengths.lengths,
    15: jobs.swapped_toolchain,
    27: jobs.environment,
}


def main(arguments: list[str] | None = None) -> int:
    """Attack, and return 1 where it did harm."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=(__doc__ or "").partition(":")[2])
    parser.add_argument("row", type=int, choices=sorted(ROWS), help="the row of the table in doc/security")
    parser.add_argument("--scheduler", type=ServerId.parse, required=True, metavar="IP:PORT")
    parser.add_argument("--client-token", required=True, metavar="TOKEN")
    chosen = parser.parse_args(arguments)
    if not chosen.scheduler.host.is_loopback:
        parser.error("only daemons on a loopback address are attacked")
    harm = False
    with tempfile.TemporaryDirectory() as ground:
        for seen in ROWS[chosen.row](RawClient(chosen.scheduler, chosen.client_token), Path(ground)):
            print(seen)
            harm = harm or seen.harm
    return int(harm)


if __name__ == "__main__":
    raise SystemExit(main())
