"""The docker builder's sandbox worker: ``python -m sccachedist.sandbox.docker.worker RUN IMAGE``.

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
from sccachedist.sandbox.docker.commands import container_name, image_name
from sccachedist.sandbox.meter import Meter
from sccachedist.sandbox.serve import serve


@attrs.frozen
class DockerSandboxes:
    """Containers on the images of toolchains; see :class:`sccachedist.sandbox.serve.Sandboxes`.

    :param run: what the names of its containers and images end with.
    :param base: an image with a static busybox.
    """

    run: str
    base: str

    def set_up(self) -> None:
        """Do nothing."""

    def run_job(self, request: RunJob, meter: Meter) -> None:
        """Run a container."""
        named = attrs.evolve(request, sandbox=container_name(request.sandbox, self.run))
        job.run_job(named, image_name(request.toolchain, self.run), meter)

    def tidy(self) -> None:
        """Do nothing: the container is gone."""

    def unpack_toolchain(self, request: UnpackToolchain, grown: Grown) -> Unpacked:
        """Make an image."""
        return images.make_image(request, self.run, self.base, grown)

    def follow_toolchain(self, request: UnpackToolchain, growing: GrowingArchive, grown: Grown) -> Unpacked:
        """Refuse: an image is made of a whole archive."""
        raise BuildError(SentLocal.SANDBOX, "an image is made of a whole archive")

    def remove_toolchain(self, toolchain: str) -> None:
        """Remove the image."""
        images.remove_image(toolchain, self.run, self.base)

    def remove_sandbox(self, sandbox: str) -> None:
        """Remove the container."""
        images.remove_container(container_name(sandbox, self.run), self.base)

    def remove_all(self) -> None:
        """See that Docker answers: what was made before has other names."""
        images.see_containers()

    def sweep(self) -> None:
        """Remove all that other runs have made."""
        images.sweep(self.run)


def main() -> None:
    """Serve with the arguments of the command line."""
    serve(DockerSandboxes(*sys.argv[1:]))


if __name__ == "__main__":
    main()
