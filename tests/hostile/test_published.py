"""The attacks are real: the published daemons fall for them."""

from pathlib import Path

from farmkit.farm import Farm
from farmkit.launch import PUBLISHED_SCHEDULER, PUBLISHED_SERVER
from farmkit.raw_client import RawClient
from tests.hostile.__main__ import ROWS


def test_the_published_daemons_fall(tmp_path: Path) -> None:
    """Rows 27, 3, 4 and 1, in an order in which the farm lives through them; each does harm to it."""
    (tmp_path / "farm").mkdir()
    with Farm(tmp_path / "farm", PUBLISHED_SCHEDULER, PUBLISHED_SERVER) as farm:
        attacker = RawClient.of(farm, strict=False)
        for row in (27, 3, 4, 1):
            ground = tmp_path / f"row-{row}"
            ground.mkdir()
            steps = list(ROWS[row](attacker, ground))
            assert any(step.harm for step in steps), (row, [str(step) for step in steps])
