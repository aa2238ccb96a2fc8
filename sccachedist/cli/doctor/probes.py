"""Facts about this host and its peers, collected one after the other. It blocks, and it judges nothing."""

import contextlib
import ctypes
import os
import re
import socket
import ssl
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sccachedist.auth.bearer import IPAddress
from sccachedist.cli.doctor.restrictions import KINDS, MOUNT, PROC, RefusedStep, Restrictions, confining
from sccachedist.daemon.privileges import Account
from sccachedist.peers.source_address import binding
from sccachedist.wire.addresses import ServerId

_SECS = 10

_NEW = dict(zip(KINDS, (0x10000000, 0x20000, 0x40000000, 0x20000000, 0x8000000, 0x4000000, 0x2000000), strict=True))
_MS_REC_PRIVATE, _MS_NOSUID_NODEV_NOEXEC = 0x4000 | 0x40000, 0xE
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
#: Where the kernel lets something be mounted on ``/proc``: these directories are always empty.
_MOUNT_POINTS = frozenset({"/proc", "/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd"})


def said_by(*command: str) -> str | None:
    """The output of a program, None if it cannot be run or fails."""
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_SECS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.decode(errors="replace")


def free_space(directory: Path) -> int:
    """The free bytes on the disk of a directory, which may not exist yet. Writes a small file, to see if that works.

    :raises OSError: nothing can be written.
    """
    while not directory.exists():
        directory = directory.parent
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
    state = os.statvfs(directory)
    return state.f_bavail * state.f_frsize


def leaves_from(url: str, source: IPAddress | None) -> IPAddress | None:
    """The address of this host that calls to a URL leave from, None if there is no way to it. It sends nothing.

    :param source: the one that is asked for; None if the kernel chooses it.
    """
    split = urlsplit(url)
    if binding(source, split.hostname or "") is not None:
        return source
    port = split.port or (443 if split.scheme == "https" else 80)
    with contextlib.suppress(OSError, UnicodeError):
        for family, kind, protocol, _, address in socket.getaddrinfo(split.hostname, port, type=socket.SOCK_DGRAM):
            with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as unsent:
                unsent.connect(address)
                return ip_address(unsent.getsockname()[0])
    return None


def shown_certificate(address: ServerId) -> bytes | None:
    """The DER form of the certificate that is shown at an address, None if there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is only looked at, not trusted
    with (
        contextlib.suppress(OSError),
        socket.create_connection((str(address.host), address.port), timeout=_SECS) as plain,
        context.wrap_socket(plain) as secured,
    ):
        return secured.getpeercert(binary_form=True)
    return None


def own_certificate(cache_dir: Path) -> bytes | None:
    """The DER form of the certificate that a build server keeps, None if there is none.

    :raises OSError: this user may not read it.
    """
    try:
        pem = (cache_dir / "identity" / "tls.pem").read_bytes()
        return x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERTIFICATE") :]).public_bytes(Encoding.DER)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def restrictions() -> Restrictions:
    """What this system says of namespaces, as far as it can be read."""
    label = _text("/proc/self/attr/apparmor/current")
    seccomp = re.search(r"(?m)^Seccomp:\s*(\d+)", _text("/proc/self/status"))
    mounted = [line.split(" ")[4] for line in _text("/proc/self/mountinfo").splitlines()]
    limits = {kind: _number(f"/proc/sys/user/max_{kind}_namespaces") for kind in KINDS}
    return Restrictions(
        limits={kind: limit for kind, limit in limits.items() if limit is not None},
        userns_clone=_number("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor_userns=_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        profile=confining(label),
        seccomp=int(seccomp[1]) if seccomp else 0,
        proc=os.path.exists("/proc/self"),
        masked=tuple(sorted({place for place in mounted if place.startswith("/proc/")} - _MOUNT_POINTS)),
        devices=tuple(f"/dev/{name}" for name in _DEVICES if not _is_device(f"/dev/{name}")),
    )


def refused_namespace(account: Account | None) -> RefusedStep | None:
    """Take the steps of a sandbox's set-up that systems forbid, in a process of its own; return the first one refused.

    :param account: the user whom compiles run as, if not this process's.
    :raises OSError: there can be no further process.
    """
    reading, writing = os.pipe()
    with open(reading, encoding="ascii") as answer:
        if (child := os.fork()) == 0:
            try:
                for refusal in _refused(account):
                    os.write(writing, f"{refusal.step} {refusal.number}".encode())
                    break
            finally:
                os._exit(0)
        os.close(writing)
        said = answer.read()
        os.waitpid(child, 0)
    step, _, number = said.partition(" ")
    return RefusedStep(step, int(number)) if said else None


def _refused(account: Account | None) -> Iterator[RefusedStep]:
    """Take the steps in this process, which has to end afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    if account is not None:
        account.become()
    users = {"setgroups": "deny", "uid_map": f"0 {os.geteuid()} 1", "gid_map": f"0 {os.getegid()} 1"}
    for kind, flag in _NEW.items():
        if libc.unshare(flag):
            yield RefusedStep(kind, ctypes.get_errno())
    try:
        for name, text in users.items():
            Path("/proc/self", name).write_text(text, encoding="ascii")
    except OSError as error:
        yield RefusedStep("user", error.errno or 0)
    if libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC_PRIVATE), None):
        yield RefusedStep(MOUNT, ctypes.get_errno())
    if os.fork() == 0:  # the first process of the new PID namespace, to which its /proc belongs
        if libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(_MS_NOSUID_NODEV_NOEXEC), None):
            yield RefusedStep(PROC, ctypes.get_errno())
        for kind, flag in _NEW.items():  # each job has namespaces of its own in its worker's
            if libc.unshare(flag):
                yield RefusedStep(kind, ctypes.get_errno())
        os._exit(0)
    os.wait()


def _is_device(path: str) -> bool:
    """Whether there is a character device, on a file system that lets it be opened."""
    try:
        if not stat.S_ISCHR(os.stat(path).st_mode) or os.statvfs(path).f_flag & os.ST_NODEV:
            return False
    except OSError:
        return False
    return True


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _text(path: str) -> str:
    """The text of a file of the kernel, empty if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
