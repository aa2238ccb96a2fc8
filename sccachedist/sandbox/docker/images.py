"""The images and containers of the docker builder, from the side of a sandbox worker: synchronous.

An image holds a toolchain and, beside it, the busybox of a base image; nothing else. It has its name when it is
whole.
"""

import posixpath
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from sccachedist.builders.worker_protocol import SANDBOX_PREFIX, Grown, Size, UnpackToolchain
from sccachedist.errors import BuildError, DecodeError, ToolchainError
from sccachedist.sandbox.archive.opened import opened_toolchain
from sccachedist.sandbox.archive.repack import END, directory_member, file_member, repacked
from sccachedist.sandbox.archive.tally import Tally
from sccachedist.sandbox.docker.commands import ADVICE, BUSYBOX, busybox_arguments, image_name
from sccachedist.sandbox.processes import call, called

#: What an image takes beside what is in it, so that there are never more than Docker can handle well.
IMAGE = Size(4 * 1024 * 1024, 1000)
_BUSYBOX_BYTES = 64 * 1024 * 1024


def make_image(request: UnpackToolchain, base: str, grown: Grown) -> Size:
    """Make the image of a toolchain; returns what it takes, all in all.

    :param base: the image that has a busybox.
    :param grown: told meanwhile.
    :raises BuildError: Docker does not do what it should.
    :raises ToolchainError: it is no archive that may be unpacked.
    :raises LimitExceeded: it is too large.
    """
    busybox = _busybox(_base_container(request.toolchain), base)
    try:
        with opened_toolchain(request) as (stream, limits):
            tally = Tally(limits, grown)
            docker("import", "-", image_name(request.toolchain), stdin=_content(stream, tally, busybox))
    except DecodeError as error:
        raise ToolchainError(f"toolchain {request.toolchain} cannot be unpacked: {error}") from error
    return Size(tally.size.bytes + IMAGE.bytes, tally.size.inodes + IMAGE.inodes)


def has_image(toolchain: str) -> bool:
    """Whether a toolchain has an image."""
    return bool(_lines("images", "--quiet", image_name(toolchain)))


def remove_image(toolchain: str, base: str) -> None:
    """Remove a toolchain's image, if there is one, and what was begun of it."""
    remove_container(_base_container(toolchain), base)
    if has_image(toolchain):
        docker("rmi", "--force", image_name(toolchain))


def remove_container(name: str, base: str) -> None:
    """Kill and remove a container, if there is one, even one that Docker has yet to make for a program that was killed.

    A name can be taken when nothing has it and nothing is being made that will have it.

    :param base: any image that is there.
    """
    remove_finished(name)
    while not _taken(name, base):
        remove_finished(name)
    remove_finished(name)


def remove_finished(name: str) -> None:
    """Kill and remove a container, if there is one, when the program that made it has come to its end."""
    ended = call(["docker", "rm", "--force", "--volumes", name], ADVICE)
    if ended.exit_code and _lines("ps", "--all", "--quiet", "--filter", f"name=^/?{name}$"):
        raise BuildError(f"container {name} cannot be removed: {ended.last_words}")


def written_by(name: str) -> int:
    """How many bytes a container has written to its own file system; none where it is not made yet, or gone."""
    asked = ["docker", "inspect", "--type", "container", "--size", "--format", "{{.SizeRw}}", name]
    said = call(asked, ADVICE).stdout.strip()
    return int(said) if said.isdigit() else 0


def _taken(name: str, base: str) -> bool:
    ended = call(["docker", "create", "--pull", "never", "--name", name, base, "none"], ADVICE)
    if ended.exit_code and b"is already in use" not in ended.stderr:
        raise BuildError(f"nobody can tell whether container {name} is there: {ended.last_words}")
    return not ended.exit_code


def remove_all() -> None:
    """Remove all containers and images that have our names, as the published builder does at its start."""
    for line in _lines("ps", "--all", "--format", "{{.Names}} {{.Image}}"):
        name, image = line.split()
        if name.startswith(SANDBOX_PREFIX) or image.startswith(SANDBOX_PREFIX):
            remove_finished(name)
    for image in _lines("images", "--format", "{{.Repository}}", f"{SANDBOX_PREFIX}*"):
        docker("rmi", "--force", image)


def docker(*arguments: str, stdin: Iterable[bytes] = ()) -> bytes:
    """Have Docker do something; returns what it says.

    :raises BuildError: it does not do it.
    """
    return called(["docker", *arguments], ADVICE, stdin)


def _lines(*arguments: str) -> list[str]:
    return docker(*arguments).decode(errors="replace").splitlines()


def _base_container(toolchain: str) -> str:
    return f"{image_name(toolchain)}-base"


def _busybox(sandbox: str, base: str) -> bytes:
    ended = call(busybox_arguments(sandbox, base), ADVICE, stdio_bytes=_BUSYBOX_BYTES)
    if ended.exit_code or not ended.stdout:
        raise BuildError(f"no busybox in image {base} (docker.image): {ended.last_words}")
    return ended.stdout


def _content(stream: BinaryIO, tally: Tally, busybox: bytes) -> Iterator[bytes]:
    yield from repacked(stream, tally, whole=True)
    yield directory_member(posixpath.dirname(BUSYBOX).lstrip("/"))
    yield file_member(BUSYBOX.lstrip("/"), busybox, 0o755)
    yield END
