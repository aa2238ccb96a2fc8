"""Free memory, as hosts and control groups of each kind show it."""

from pathlib import Path

import pytest

from sccachedist.memory import FreeMemory, host_memory, least_free_memory, least_memory

MEMINFO = "MemTotal:       24683656 kB\nMemFree:        17975364 kB\nMemAvailable:   24077216 kB\n"
MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (MEMINFO, (24077216 << 10, 24683656 << 10)),
        ("MemTotal: 9 kB\nMemFree: 5 kB\n", (None, 9 << 10)),
        ("MemTotal: many kB\nMemAvailable: -1 kB\nMemTotal: 9 MB\nnonsense\n", (None, None)),
        ("", (None, None)),
    ],
)
def test_memory(tmp_path: Path, text: str, found: tuple[int | None, int | None]) -> None:
    """A line that is missing, or has another form, is no number."""
    (file := tmp_path / "meminfo").write_text(text)
    assert host_memory(file) == found


CASES: dict[str, tuple[dict[str, str | tuple[int, int, int]], int | None]] = {
    "version 2": ({"memory.max": "300", "memory.high": "max", "memory.current": "290"}, 10),
    "version 2, held back before its limit": ({"memory.max": "300", "memory.high": "200", "memory.current": "190"}, 10),
    "version 2, over its limit": ({"memory.max": "300", "memory.high": "200", "memory.current": "210"}, -10),
    "version 2, files in memory are free": (
        {"memory.max": "300", "memory.current": "290", "memory.stat": (20, 30, 40)},
        100,
    ),
    "version 2, without a limit": ({"memory.max": "max", "memory.high": "max", "memory.current": "290"}, None),
    "version 2, the root": ({"memory.stat": (20, 30, 40)}, None),
    "version 1": ({"memory.limit_in_bytes": "300", "memory.usage_in_bytes": "250"}, 50),
    "version 1, files in memory are free": (
        {"memory.limit_in_bytes": "300", "memory.usage_in_bytes": "290", "memory.stat": (20, 30, 0)},
        60,
    ),
    "version 1, without a limit": (
        {"memory.limit_in_bytes": "9223372036854771712", "memory.usage_in_bytes": "250"},
        None,
    ),
    "a group that is gone": ({"memory.max": "300"}, None),
}


def group(directory: Path, shown: dict[str, str | tuple[int, int, int]]) -> tuple[int, str]:
    """A control group whose files show these MiB; three numbers: active and inactive files, and the kernel's own."""
    directory.mkdir()
    for name, value in shown.items():
        match value:
            case (active, inactive, slab):
                own = f"active_file {active * MIB}\ninactive_file {inactive * MIB}\nslab_reclaimable {slab * MIB}\n"
                below = f"total_active_file {active * MIB}\ntotal_inactive_file {inactive * MIB}\n"
                text = own + below
            case str():
                text = f"{int(value) * MIB if value.isdigit() and len(value) < 5 else value}\n"
        (directory / name).write_text(text)
    return (1 if any("_in_bytes" in name for name in shown) else 2), str(directory)


@pytest.mark.parametrize("case", CASES)
def test_control_groups(tmp_path: Path, case: str) -> None:
    """A group with a limit has what is below that; what the kernel only keeps because there is room counts as free."""
    shown, free = CASES[case]
    (host := tmp_path / "meminfo").write_text(MEMINFO)
    _, directory = place = group(tmp_path / "group", shown)
    expected = FreeMemory(24077216 << 10, "this host")
    if free is not None:
        expected = FreeMemory(free * MIB, f"the control group {directory}")
    assert least_free_memory([place, (2, str(tmp_path / "gone"))], host) == expected


def test_the_least_along_the_path(tmp_path: Path) -> None:
    """All groups above hold for a process, and so does the host; where neither tells anything, nothing is known."""
    inner = group(tmp_path / "inner", {"memory.max": "500", "memory.current": "100"})
    outer = group(tmp_path / "outer", {"memory.max": "600", "memory.current": "300"})
    found = least_free_memory([inner, outer], tmp_path / "nowhere")
    assert found == FreeMemory(300 * MIB, f"the control group {tmp_path}/outer")
    (host := tmp_path / "meminfo").write_text("MemAvailable: 9 kB\n")
    assert least_free_memory([inner, outer], host) == FreeMemory(9 << 10, "this host")
    assert least_free_memory([], tmp_path / "nowhere") is None


def test_the_least_that_is_there(tmp_path: Path) -> None:
    """Limits of groups count as the host does; where neither tells anything, nothing is known."""
    (host := tmp_path / "meminfo").write_text(MEMINFO)
    inner = group(tmp_path / "inner", {"memory.max": "max", "memory.high": "max"})
    outer = group(tmp_path / "outer", {"memory.limit_in_bytes": "300"})
    assert least_memory([inner], host) == (24683656 << 10, "this host")
    assert least_memory([inner, outer], host) == (300 * MIB, f"the control group {outer[1]}")
    assert least_memory([inner], tmp_path / "gone") is None
