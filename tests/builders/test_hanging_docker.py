"""A Docker that takes what it is told and does not answer: neither a start nor a stop waits for it."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from sccachedist.builders.interface import Builder
from sccachedist.builders.worker_builder import WorkerBuilder
from sccachedist.builders.worker_pool import Program
from sccachedist.errors import BuildError
from sccachedist.sandbox.docker.images import ANSWER_SECS
from tests.builders.farms import LIMITS, SCRATCH_BYTES, in_reactor, named, the_reactor, until

pytestmark = pytest.mark.functional

#: What it hangs at, as nothing else on this machine says it.
HANGS = f"8{os.getpid()}"
OLD = tuple(f"sccache-builder-{number:064x}:latest" for number in range(500))
#: Seconds for a sweep when the builder stops.
SWEEP_SECS = 1.0

_FAKE = """\
#!/bin/sh
case " {hangs} " in *" $1 "*) exec sleep {marker};; esac
case "$1" in images) printf '%s\\n' {images};; esac
"""


async def works(_: Builder) -> None:
    """No job is tried: this Docker runs none."""


def builder(place: Path, *hangs: str) -> WorkerBuilder:
    """One whose Docker hangs at some commands, and has 500 images of an earlier run."""
    program = place / "docker"
    program.write_text(_FAKE.format(hangs=" ".join(hangs), marker=HANGS, images=" ".join(OLD)))
    program.chmod(0o755)
    worker = Program(
        "sccachedist.sandbox.docker.worker", ("image",), {"PATH": f"{place}:{os.environ['PATH']}"}, names_runs=True
    )
    reactor: Any = the_reactor()
    return WorkerBuilder(reactor, worker, works, LIMITS, SCRATCH_BYTES, 3, sweep_at_stop_secs=SWEEP_SECS)


@in_reactor
async def test_many_images_that_do_not_go(tmp_path: Path) -> None:
    """Their removal hangs: the builder is ready all the same, and stops when it is told to."""
    made = builder(tmp_path, "rmi")
    await made.start()
    await until(lambda: named(f"sleep\0{HANGS}"))
    began = time.monotonic()
    await made.stop()
    assert time.monotonic() - began < SWEEP_SECS + 10
    assert named(f"sleep\0{HANGS}") == []


@in_reactor
async def test_nothing_is_answered(tmp_path: Path) -> None:
    """The start fails after a while, and says why; a stop ends, too."""
    made = builder(tmp_path, "ps", "images")
    began = time.monotonic()
    with pytest.raises(BuildError, match=f"docker ps has not answered within {ANSWER_SECS:g} seconds"):
        await made.start()
    await made.stop()
    assert time.monotonic() - began < 2 * ANSWER_SECS + SWEEP_SECS + 10
    assert named(f"sleep\0{HANGS}") == []
