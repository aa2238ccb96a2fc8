"""The docker builder's sandbox worker: ``python -m sccachedist.sandbox.docker.worker IMAGE``.

It owns no state: Docker keeps images and containers. It may be killed at any moment, and then leave its job's
container; the builder knows its name and has another worker remove it.
"""

import sys

import attrs

from sccachedist.builders.worker_protocol import Grown, RunJob, Unpacked, UnpackToolchain
from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.archive.growing_archive import GrowingArchive
from sccachedist.sandbox.docker import images, job
from sccachedist.sandbox.meter import Meter
from sccachedist.sandbox.serve import serve


@attrs.frozen
class DockerSandboxes:
    """Containers on the images of toolchains; see :class:`sccachedist.sandbox.serve.Sandboxes`.

    :param base: an image with a static busybox.
    """

    base: str

    def set_up(self) -> None:
        """Do nothing."""

    def run_job(self, request: RunJob, meter: Meter) -> None:
        """Run a container."""
        job.run_job(request, meter)

    def tidy(self) -> None:
        """Do nothing: the container is gone."""

    def unpack_toolchain(self, request: UnpackToolchain, grown: Grown) -> Unpacked:
        """Make an image."""
        return images.make_image(request, self.base, grown)

    def follow_toolchain(self, request: UnpackToolchain, growing: GrowingArchive, grown: Grown) -> Unpacked:
        """Refuse: an image is made of a whole archive."""
        raise BuildError(SentLocal.SANDBOX, "an image is made of a whole archive")

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
        """Do nothing: Docker frees the disk when it removes an image."""


def main() -> None:
    """Serve with the arguments of the command line."""
    serve(DockerSandboxes(*sys.argv[1:]))


if __name__ == "__main__":
    main()
