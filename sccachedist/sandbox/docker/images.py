"""Makes and removes the images and containers of the docker builder, in a sandbox worker: synchronous.

An image holds only a toolchain and the busybox of a base image. It gets its name when it is whole. The names of images
and containers have the run of the builder in them that has made them: so those that another one has left are in no way,
and are removed whenever there is time. How a job runs in a container is in :mod:`sccachedist.sandbox.docker.job`.
"""

import posixpath
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from sccachedist.builders.worker_protocol import SANDBOX_PREFIX, Grown, Size, Unpacked, UnpackToolchain
from sccachedist.errors import BuildError, DecodeError, ToolchainError
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.archive.opened import opened_toolchain
from sccachedist.sandbox.archive.repack import END, directory_member, file_member, repacked
from sccachedist.sandbox.archive.tally import Tally
from sccachedist.sandbox.docker.commands import ADVICE, BUSYBOX, busybox_arguments, container_name, image_name
from sccachedist.sandbox.processes import call, called

#: Counted for each image beside its content, so that there are never more images than Docker handles well.
IMAGE = Size(4 * 1024 * 1024, 1000)
_BUSYBOX_BYTES = 64 * 1024 * 1024
#: Seconds in which Docker has to say what there is.
ANSWER_SECS = 10.0


def make_image(request: UnpackToolchain, run: str, base: str, grown: Grown) -> Unpacked:
    """Make the image of a toolchain; returns what there is to say of that.

    :param run: of the builder; ``base``: the image that has a busybox.
    :param grown: called with the size so far.
    :raises BuildError: Docker fails.
    :raises ToolchainError: it is no archive that may be unpacked.
    :raises LimitExceeded: it is too large.
    """
    busybox = _busybox(_base_container(request.toolchain, run), base)
    try:
        with opened_toolchain(request) as (stream, limits):
            tally = Tally(limits, grown)
            docker("import", "-", image_name(request.toolchain, run), stdin=_content(stream, tally, busybox))
    except DecodeError as error:
        raise ToolchainError(f"toolchain {request.toolchain} cannot be unpacked: {error}") from error
    size = Size(tally.size.bytes + IMAGE.bytes, tally.size.inodes + IMAGE.inodes)
    return Unpacked(size, tally.unpacked.machine)


def has_image(name: str) -> bool:
    """Whether an image is there."""
    return bool(_lines("images", "--quiet", name))


def remove_image(toolchain: str, run: str, base: str) -> None:
    """Remove a toolchain's image, if there is one, and the container that was used to make it."""
    remove_container(_base_container(toolchain, run), base)
    if has_image(image_name(toolchain, run)):
        docker("rmi", "--force", image_name(toolchain, run))


def remove_container(name: str, base: str) -> None:
    """Kill and remove a container, even one that Docker still has to make for a program that was killed.

    It makes a container of that name itself: when that succeeds, no other has the name or will get it.

    :param base: any image that exists.
    """
    remove_finished(name)
    while not _taken(name, base):
        remove_finished(name)
    remove_finished(name)


def remove_finished(name: str) -> None:
    """Kill and remove a container, if there is one, after the program that made it has ended."""
    ended = call(["docker", "rm", "--force", "--volumes", name], ADVICE)
    if ended.exit_code and _lines("ps", "--all", "--quiet", "--filter", f"name=^/?{name}$"):
        raise BuildError(SentLocal.SANDBOX, f"container {name} cannot be removed: {ended.last_words}")


def written_by(name: str) -> int:
    """Return how many bytes a container has written to its file system; 0 if it does not exist yet or any more."""
    asked = ["docker", "inspect", "--type", "container", "--size", "--format", "{{.SizeRw}}", name]
    said = call(asked, ADVICE).stdout.strip()
    return int(said) if said.isdigit() else 0


def _taken(name: str, base: str) -> bool:
    ended = call(["docker", "create", "--pull", "never", "--name", name, base, "none"], ADVICE)
    if ended.exit_code and b"is already in use" not in ended.stderr:
        raise BuildError(SentLocal.SANDBOX, f"nobody can tell whether container {name} is there: {ended.last_words}")
    return not ended.exit_code


def see_containers() -> None:
    """See that Docker answers.

    :raises BuildError: it does not, within :data:`ANSWER_SECS`.
    """
    _lines("ps", "--quiet")


def sweep(run: str) -> None:
    """Remove all containers and images with builders' names, but for this run's: a published builder does so first.

    :raises BuildError: some are left.
    """
    stuck: list[BuildError] = []
    for line in _lines("ps", "--all", "--format", "{{.Names}} {{.Image}}"):
        name, _, image = line.partition(" ")  # of a container that goes just now, Docker may know no name
        is_ours = name.startswith(SANDBOX_PREFIX) or image.startswith(SANDBOX_PREFIX)
        if name and is_ours and not name.endswith(f"-{run}"):
            with _noting(stuck):
                remove_finished(name)
    for image in _lines("images", "--format", "{{.Repository}}:{{.Tag}}", f"{SANDBOX_PREFIX}*"):
        if not image.endswith(f":{run}"):
            with _noting(stuck):
                docker("rmi", "--force", image)
    if stuck:
        raise stuck[0]


@contextmanager
def _noting(stuck: list[BuildError]) -> Iterator[None]:
    """Go on after a failure."""
    try:
        yield
    except BuildError as error:
        stuck.append(error)


def docker(*arguments: str, stdin: Iterable[bytes] = ()) -> bytes:
    """Run ``docker``; returns its stdout.

    :raises BuildError: it fails.
    """
    return called(["docker", *arguments], ADVICE, stdin)


def _lines(*arguments: str) -> list[str]:
    """What Docker says there is, in lines."""
    said = called(["docker", *arguments], ADVICE, watch=_patience(arguments[0]))
    return said.decode(errors="replace").splitlines()


def _patience(what: str) -> Callable[[], None]:
    until = time.monotonic() + ANSWER_SECS

    def watch() -> None:
        if time.monotonic() > until:
            raise BuildError(SentLocal.SANDBOX, f"docker {what} has not answered within {ANSWER_SECS:g} seconds")

    return watch


def _base_container(toolchain: str, run: str) -> str:
    return container_name(f"{SANDBOX_PREFIX}{toolchain}-base", run)


def _busybox(container: str, base: str) -> bytes:
    ended = call(busybox_arguments(container, base), ADVICE, stdio_bytes=_BUSYBOX_BYTES)
    if ended.exit_code or not ended.stdout:
        raise BuildError(SentLocal.SANDBOX, f"no busybox in image {base} (docker.image): {ended.last_words}")
    return ended.stdout


def _content(stream: BinaryIO, tally: Tally, busybox: bytes) -> Iterator[bytes]:
    yield from repacked(stream, tally, whole=True)
    yield directory_member(posixpath.dirname(BUSYBOX).lstrip("/"))
    yield file_member(BUSYBOX.lstrip("/"), busybox, 0o755)
    yield END
