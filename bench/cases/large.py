"""Large transfers: a toolchain of a gigabyte, a job with 20 MB in and out."""

import os
import time

from bench.jobs import Work, copying
from bench.meters import memory
from bench.quantities import Bar, Quantity, by_turns
from bench.run import Run
from bench.sides import Side, both
from farmkit.busybox_jobs import id_of
from sccachedist.wire.messages import SubmitToolchainResult

_MIB = 1 << 20


class LargeUpload:
    """An upload of a toolchain of 1 GiB."""

    name = "large-upload"
    title = "a toolchain upload of 1 GiB"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Throughput and memory."""
        size = run.scaled(1024, 128)
        with both(run.other) as (published, ours):
            rounds = by_turns(run.scaled(3, 2), published, ours, lambda side: _upload(side, size), warm_up=False)
        return [
            rounds.quantity("MiB/s", "MiB/s", Bar(1.0, reached=True)).named("throughput"),
            Quantity(
                "growth of the peak memory, all rounds together",
                "MiB",
                (sum(each["growth"] for each in rounds.published),),
                (sum(each["growth"] for each in rounds.ours),),
                Bar(32.0, of_ours=True),
            ),
        ]


class LargeJob:
    """A job with 20 MB of inputs and 20 MB of outputs."""

    name = "large-job"
    title = "a job with 20 MB of inputs and 20 MB of outputs"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """Wall time."""
        work = copying(run.folder, 20_000_000)
        with both(run.other) as (published, ours):
            for side in (published, ours):
                side.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
            rounds = by_turns(run.scaled(9, 4), published, ours, lambda side: _job(side, work))
        return [rounds.quantity("seconds", "s", Bar(0.9)).named("wall time")]


def _upload(side: Side, mebibytes: int) -> dict[str, float]:
    archive = side.farm.folder / "large"
    piece = os.urandom(_MIB)
    with archive.open("wb") as file:
        for n in range(mebibytes):
            file.write(n.to_bytes(8, "big") + piece[8:])
    toolchain = id_of(archive)
    before = memory(side.meter).peak
    allocated = side.client.alloc(toolchain)
    began = time.perf_counter()
    if side.client.submit(allocated, archive) is not SubmitToolchainResult.SUCCESS:
        raise RuntimeError("the upload was not taken")
    seconds = time.perf_counter() - began
    archive.unlink()
    return {"MiB/s": mebibytes / seconds, "growth": memory(side.meter).peak - before}


def _job(side: Side, work: Work) -> dict[str, float]:
    began = time.perf_counter()
    side.client.compile(work.toolchain, work.request, work.inputs)
    return {"seconds": time.perf_counter() - began}
