"""Whether the daemon of this container lives: it answers at ``[metrics] address`` of its configuration.

It does not ask whether the daemon takes jobs: one that drains, or whose scheduler is away, need not be started again.
"""

import sys
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import tomli

FOLDER = Path("/etc/sccachedist")
ROLES = ("scheduler", "server", "worker")
SECS = 5


def main() -> None:
    """Print what it answers; the exit status is 1 if it does not."""
    configs = [path for path in (FOLDER / f"{role}.conf" for role in ROLES) if path.exists()]
    if len(configs) != 1:
        sys.exit(f"one of {', '.join(f'{role}.conf' for role in ROLES)} has to be in {FOLDER}")
    address = tomli.loads(configs[0].read_text(encoding="utf-8")).get("metrics", {}).get("address")
    if address is None:
        sys.exit(f"{configs[0]} has no metrics.address, at which the daemon could be asked")
    try:
        with build_opener(ProxyHandler({})).open(f"http://{address}/healthz", timeout=SECS) as answer:
            sys.stdout.write(answer.read(1000).decode())
    except OSError as error:
        sys.exit(f"{address}: {error}")


if __name__ == "__main__":
    main()
