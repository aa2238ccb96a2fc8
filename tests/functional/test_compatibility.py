"""Published releases from the oldest to the newest in each role; ``make compat`` runs all that there are."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farmkit.published_client import share_toolchains
from tests.compat.cells import Cell, Failed, Role, Seen, run_cell
from tests.compat.releases import NEWEST, OLDEST

pytestmark = pytest.mark.functional


@pytest.mark.parametrize("release", [OLDEST, "0.7.7", "0.8.2", "0.10.0", NEWEST])
def test_a_release_works_with_ours_in_every_role(release: str, all_toolchains: Path, tmp_path: Path) -> None:
    """C, C++, an error in the source, and C and C++ again after a restart: all remote, in three farms side by side."""

    def seen(role: Role) -> Seen | Failed:
        toolchains = tmp_path / role.name / "toolchains"
        if role is not Role.CLIENT or release not in (OLDEST, NEWEST):  # these pack their own
            share_toolchains(all_toolchains, toolchains)
        return run_cell(Cell(release, role), tmp_path / role.name / "cell", toolchains)

    with ThreadPoolExecutor(len(Role)) as at_once:
        outcomes = list(at_once.map(seen, Role))
    failed = [outcome.what for outcome in outcomes if isinstance(outcome, Failed)]
    assert not failed, "\n".join(failed)


def test_an_old_client_through_a_gateway(tmp_path: Path) -> None:
    """The oldest client's compiles are remote, also after its gateway was restarted."""
    outcome = run_cell(Cell(OLDEST, Role.CLIENT, has_gateway=True), tmp_path / "gateway", tmp_path / "toolchains")
    assert isinstance(outcome, Seen), outcome.what
