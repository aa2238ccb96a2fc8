"""Files that an operator names and that are none, or have no end: nothing is waited for, and no memory is taken."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from sccachedist.cluster.redis_store import authorities
from sccachedist.config import load_scheduler_settings, load_server_settings, load_worker_settings
from sccachedist.config.clients import load_clients
from sccachedist.errors import ConfigError
from sccachedist.given_files import MOST_BYTES, read_given
from sccachedist.web.tls import CertificateFiles
from sccachedist.worker.trusted import TrustedCertificates


def pipe(path: Path) -> None:
    """Nobody writes to it."""
    os.mkfifo(path)


def endless(path: Path) -> None:
    """A link to a device that gives zeros without end."""
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    """A file of a tebibyte, of which the disk has nothing."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


def a_loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path)


#: What stands where a file should be, with what is said of it.
NO_FILES: dict[Callable[[Path], object], str] = {
    pipe: "expected a regular file",
    endless: "expected a regular file",
    huge: "larger than",
    Path.mkdir: "Is a directory",
    a_loop: "Too many levels of symbolic links",
}


def with_secret(path: Path) -> object:
    """A configuration with a secret in a file."""
    config = path.with_name("server.conf")
    config.write_text(f'public_addr = "127.0.0.1:1"\n[scheduler_auth]\ntoken_file = "{path.name}"\n')
    return load_server_settings(config)


READERS: tuple[Callable[[Path], object], ...] = (
    load_scheduler_settings,
    load_server_settings,
    load_worker_settings,
    load_clients,
    with_secret,
    lambda path: CertificateFiles(path, path),
    lambda path: TrustedCertificates(path, path.parent),
    authorities,
)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("make", "why"), NO_FILES.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_what_is_no_file(
    reader: Callable[[Path], object], make: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    """Each reader says so, in one line, at once."""
    path = tmp_path / "given"
    make(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ConfigError, match=why) as told:
        reader(path)
    assert "\n" not in str(told.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10, "KiB"


def test_the_largest(tmp_path: Path) -> None:
    """A file may have so many bytes, and a link may lead to it, as in Kubernetes."""
    path, link = tmp_path / "given", tmp_path / "link"
    path.write_bytes(b"x" * MOST_BYTES)
    link.symlink_to(path)
    assert read_given(link) == b"x" * MOST_BYTES
    with path.open("ab") as file:
        file.write(b"y")
    with pytest.raises(OSError, match="larger than"):
        read_given(link)
