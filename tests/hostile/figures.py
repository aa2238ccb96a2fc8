"""What honest clients got beside each attack: ``python -m tests.hostile.figures FILE``.

FILE is what a run of the tests has noted with ``SCCACHEDIST_FIGURES=FILE``. Writes the table that ``doc/security``
includes: of each row the worst of its tests, of all users that the build server ran as; of the one without an attack
the median.
"""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from farmkit.launch import CHECKOUT

TABLE = CHECKOUT / "doc" / "security-figures.rst"
_HEAD = """\
Measured with Debian's Python on two cores, one module of tests at a time and nothing beside it: how many times as long
as alone an honest client's jobs took beside the attack (alone, 6 to 9 ms a job), and the longest turn of each reactor;
each the worst of a row's tests and of the three users. The attacker runs on the same two cores, and what it takes of
them is no attack: the first row has the median of what a process does that takes a core and asks nothing of anybody.
The tests take an alone of less than 50 ms, and for the percentile 150 ms, for that much.

.. list-table::
   :header-rows: 1

   * - Row
     - Median
     - 99th percentile
     - Longest turn, scheduler
     - Longest turn, build server
"""


def table(lines: list[dict[str, Any]]) -> str:
    """The table of what was noted."""
    rows: defaultdict[int, list[list[float]]] = defaultdict(list)
    for line in lines:
        alone, beside, turns = line["alone"], line["beside"], line["turns"]
        times = [beside[name] / alone[name] for name in ("median", "worst")]
        rows[line["row"]].append([*times, 1000 * turns["scheduler"], 1000 * turns["server"]])
    text = _HEAD
    for row, figures in sorted(rows.items()):
        pick = max if row else statistics.median
        median, worst, scheduler, server = (pick(column) for column in zip(*figures, strict=True))
        cells = (row or "none", f"{median:.2f}", f"{worst:.2f}", f"{scheduler:.1f} ms", f"{server:.1f} ms")
        text += "".join(f"   {'*' if n == 0 else ' '} - {cell}\n" for n, cell in enumerate(cells))
    return text


if __name__ == "__main__":
    TABLE.write_text(table([json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]))
