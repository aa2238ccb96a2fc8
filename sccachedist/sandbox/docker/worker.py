"""The docker builder's sandbox worker: ``python -m sccachedist.sandbox.docker.worker IMAGE``.

It owns no state: images and containers are Docker's. Killed at any moment, it may leave the container of its job;
whoever asked knows its name.
"""

import sys

import attrs

from sccachedist.builders.worker_protocol import Grown, RunJob, Size, UnpackToolchain
from sccachedist.errors import BuildError
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.sandbox.docker import images, job
from sccachedist.sandbox.serve import serve


@attrs.frozen
class DockerSandboxes:
    """Containers on the images of toolchains; see :class:`sccachedist.sandbox.serve.Sandboxes`.

    :param base: an image with a static busybox.
    """

    base: str

    def set_up(self) -> None:
        """Nothing is needed."""

    def run_job(self, request: RunJob) -> None:
        """Run a container."""
        job.run_job(request)

    def tidy(self) -> None:
        """Nothing is left."""

    def unpack_toolchain(self, request: UnpackToolchain, grown: Grown) -> Size:
        """Make an image."""
        return images.make_image(request, self.base, grown)

    def follow_toolchain(self, request: UnpackToolchain, growing: GrowingArchive, grown: Grown) -> Size:
        """Not here: an image is made of a whole one."""
        raise BuildError("an image is made of a whole archive")

    def remove_toolchain(self, toolchain: str) -> None:
        """Remove the image."""
        images.remove_image(toolchain, self.base)

    def remove_sandbox(self, sandbox: str) -> None:
        """Remove the container."""
        images.remove_container(sandbox, self.base)

    def remove_all(self) -> None:
        """Remove all images and containers."""
        images.remove_all()

    def sweep(self) -> None:
        """Nothing is left: what is removed is gone."""


def main() -> None:
    """Serve."""
    serve(DockerSandboxes(*sys.argv[1:]))


if __name__ == "__main__":
    main()
