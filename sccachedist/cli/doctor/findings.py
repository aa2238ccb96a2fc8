"""What facts about a host mean to an operator, and what to do about each. Pure: it collects no facts."""

import enum
import errno
import json
import os
import re
import stat
from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from sccachedist.auth.bearer import IPAddress
from sccachedist.builders.cgroups import WITHOUT_GROUPS
from sccachedist.builders.cpus import Quota
from sccachedist.daemon.privileges import JOBS_OF_ROOT

GIB = 2**30
#: Seconds by which two clocks may differ without a warning, and before a fresh certificate is not yet valid.
_SKEW_SECS, _WORST_SKEW_SECS = 60, 12 * 3600
#: The time left to a certificate that is to be renewed.
SOON = timedelta(days=14)
_OLDEST_BWRAP = (0, 3)
#: What a refusal by a filter reads like, by the kernel's error or in the words of bubblewrap.
_REFUSED = (os.strerror(errno.EPERM), os.strerror(errno.ENOSYS), "No permissions to create new namespace")
_IN_A_CONTAINER = (
    "docker run --security-opt writable-cgroups=true (28 or newer), podman run --security-opt unmask=/sys/fs/cgroup; "
    "or bound the container itself: --memory, --pids-limit"
)


class Level(enum.Enum):
    """How bad a finding is, as it is printed."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


@attrs.frozen
class Finding:
    """What was checked, and what was found.

    :param mend: what the operator can do about it.
    """

    check: str
    level: Level
    text: str
    mend: str = ""

    def __str__(self) -> str:
        """One line."""
        return f"{self.level.value:<8} {self.check}: {self.text}{f'; {self.mend}' if self.mend else ''}"


def good(check: str, text: str) -> Finding:
    """A finding that all is well."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, mend: str = "") -> Finding:
    """A finding of something that works, but less well than it might."""
    return Finding(check, Level.WARNING, text, mend)


def failed(check: str, text: str, mend: str = "") -> Finding:
    """A finding of something that does not work."""
    return Finding(check, Level.FAILED, text, mend)


def exit_status(findings: Iterable[Finding]) -> int:
    """1 if a check failed, otherwise 0."""
    return int(any(finding.level is Level.FAILED for finding in findings))


def permissions(mode: int) -> Finding:
    """Whether other users can read a configuration file, which holds secrets.

    :param mode: the file's, as ``stat`` reports it.
    """
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        return warning("configuration", "others than its owner can read the secrets in it", "chmod 600")
    return good("configuration", "complete, and its owner's alone")


def bwrap_version(said: str | None) -> Finding:
    """Whether bubblewrap is installed and new enough.

    :param said: the output of ``bwrap --version``, None if it cannot be run.
    """
    mend = "install bubblewrap 0.3 or newer, or correct builder.bwrap_path"
    match = re.search(r"(\d+)\.(\d+)(?:\.\d+)*", said or "")
    if match is None:
        return failed("bubblewrap", "it cannot be run", mend)
    if (int(match[1]), int(match[2])) < _OLDEST_BWRAP:
        return failed("bubblewrap", f"version {match[0]} is too old", mend)
    return good("bubblewrap", f"version {match[0]}")


def clocks(here: datetime, there: datetime) -> Finding:
    """Whether this host's clock and the scheduler's agree; both times are aware."""
    seconds = abs((here - there).total_seconds())
    text = f"{seconds:.0f} s between this host's and the scheduler's"
    if seconds > _WORST_SKEW_SECS:
        return failed("clocks", text, "set the clocks: certificates are good for a time only")
    if seconds > _SKEW_SECS:
        return warning("clocks", text, "set the clocks, by NTP")
    return good("clocks", text)


def space(check: str, free: int, wanted: int) -> Finding:
    """Whether a disk has enough room; ``free`` and ``wanted`` are in bytes."""
    text = f"{free / GIB:.1f} GiB free"
    if free < wanted // 100:
        return failed(check, text, "make room")
    if free < wanted:
        return warning(check, text, f"{wanted / GIB:.1f} GiB may be needed")
    return good(check, text)


def unwritable(check: str, directory: str, number: int, uid: int) -> Finding:
    """A directory that the system does not let a daemon write to.

    :param number: the ``errno`` of its refusal.
    :param uid: the daemon's user.
    """
    mend = "correct it, or its owner"
    if number == errno.EROFS:
        mend = (
            "mount something there that may be written: docker run --volume, a pod's volumes, ReadWritePaths= of a unit"
        )
    elif number == errno.EACCES:
        mend = f"give it to this user: chown {uid}, on the host for a directory of it that a container is shown"
    return failed(check, f"{directory} cannot be written: {os.strerror(number)}", mend)


def limit_of(controller: str, parent: str, reason: str, *, root: bool) -> Finding:
    """What limits a job's memory or processes: control groups below ``parent``, or else the kernel for each process.

    :param root: whether it is root who could not make any.
    """
    check = f"limit of {controller}"
    if parent:
        return good(check, f"by control groups, below {parent}")
    mend = "start by systemd with Delegate=yes, or in a container that may write to its control groups"
    if os.strerror(errno.EROFS) in reason:
        mend = _IN_A_CONTAINER
    elif not root:
        mend = "start as root, or by systemd with Delegate=yes"
    return warning(check, f"{WITHOUT_GROUPS[controller]}, no control groups ({reason})", mend)


def cpus(configured: int | None, allowed: int, quota: Quota | None) -> Finding:
    """How many CPUs a build server offers, and what decides that."""
    usable = allowed if quota is None else min(allowed, quota.whole)
    why = f"{allowed} CPUs, and no quota of a control group"
    if quota is not None:
        why = f"{allowed} CPUs, and a quota of {quota.cpus:.3g} by {quota.group}"
    if configured is None:
        return good("capacity.cpus", f"offers {usable}: the process may use {why}")
    if configured > usable:
        text = f"offers {configured}, but the process may use {why}"
        return warning("capacity.cpus", text, f"lower it to {usable}, or let the process use more")
    return good("capacity.cpus", f"offers {configured}: the process may use {why}")


def jobs_user(uid: int) -> Finding:
    """Which user compiles run as, as the host sees it.

    :param uid: the build server's own, if it does not become another user.
    """
    if uid == 0:
        return warning("sandbox.user", JOBS_OF_ROOT, "name a user who owns nothing else, or start as one")
    return good("sandbox.user", "compiles run without root's rights to files")


def broken_sandbox(why: str, seccomp: int) -> Finding:
    """What a trial job failed for, with a word about a seccomp filter if that may have refused what it needs.

    :param seccomp: ``Seccomp`` of ``/proc/self/status``.
    """
    if seccomp and any(words in why for words in _REFUSED):
        mend = (
            f"perhaps the seccomp filter in force here forbids it (Seccomp: {seccomp} in /proc/self/status); that of "
            "contrib/containers does not: docker run --security-opt seccomp=seccomp.json"
        )
        return failed("sandbox", why, mend)
    return failed("sandbox", why)


def farm(check: str, status: int, body: bytes) -> Finding:
    """Whether it is a scheduler that answered, and how many build servers it has."""
    match _told(body) if status == 200 else None:
        case {"num_servers": int(number)}:
            return good(check, f"it answers, and has {_number(number, 'build server')}")
    return failed(check, f"no scheduler answers there, but something else{_whether(status)}", "correct the address")


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def keys(check: str, status: int, body: bytes) -> Finding:
    """Whether an identity provider published keys."""
    match _told(body) if status == 200 else None:
        case {"keys": [*items]}:
            return good(check, f"it has {_number(len(items), 'key')}")
    return failed(check, f"it answers without keys{_whether(status)}", "correct it")


def answers(check: str, status: int, _: bytes) -> Finding:
    """A token service that was shown no token may answer anything."""
    return good(check, f"it answers, {status} to who shows no token")


def _whether(status: int) -> str:
    return "" if status == 200 else f", with status {status}"


def _told(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def token(status: int | None) -> Finding:
    """Whether the scheduler accepts this build server's token.

    :param status: that of the answer to a request for a job that does not exist, None if there was no answer.
    """
    if status is None:
        return failed("token", "nobody can tell", "see the scheduler")
    if status == 401:
        return failed(
            "token",
            "the scheduler refuses it, or this host's address",
            "its log says which, of several schedulers that of the one that leads",
        )
    return good("token", "the scheduler takes it")


def sender(left: IPAddress, own: IPAddress, status: int | None) -> Finding:
    """Whether calls to the scheduler leave from the address that the scheduler is told, which it compares.

    :param left: the address that they leave from, before anything in between changes it.
    :param own: that of ``public_addr``.
    :param status: as for :func:`token`.
    """
    if left == own:
        return good("sender", f"calls to the scheduler leave from public_addr's address, {own}")
    text = f"calls to the scheduler leave from {left}, and public_addr is at {own}"
    if status == 401:
        return failed("sender", text, "correct public_addr, or the route")
    if status is None:
        return warning("sender", text, "correct public_addr, or the route, unless a proxy is in between")
    return good("sender", f"{text}, as which the scheduler knows them")


def certificate(expires: datetime, now: datetime) -> Finding:
    """Whether a certificate that an operator keeps is good for a while yet."""
    left, day = expires - now, f"{expires:%Y-%m-%d}"
    if left <= timedelta():
        return failed("certificate", f"it ended on {day}", "renew it, and send the scheduler SIGHUP")
    if left < SOON:
        return warning("certificate", f"it ends on {day}", "renew it, and send the scheduler SIGHUP")
    return good("certificate", f"it is good until {day}")


def public_address(shown: bytes | None, own: bytes | None) -> Finding:
    """Whether it is this build server that answers at the public address.

    :param shown: the DER form of the certificate there, None if there is no answer.
    :param own: the DER form of this build server's certificate, None if it has not made one yet.
    """
    if shown is None:
        return warning("public_addr", "nobody answers there", "start the build server, or see what is in between")
    if shown != own:
        return failed("public_addr", "somebody else answers there", "correct public_addr, or end who it is")
    return good("public_addr", "this build server answers there")


def gateway(url: str, status: int | None, said: str) -> Finding:
    """What a gateway answers a worker that asks for a toolchain which it does not have.

    :param status: None if there is no answer.
    """
    match status:
        case None:
            return failed(
                "gateway", said, "correct gateway.urls or gateway.certificate_file, or see what is in between"
            )
        case 401:
            return failed("gateway", f"{url} does not take the token", "have gateway.token among its builder.tokens")
        case 404:
            return failed(
                "gateway", f"{url} is no gateway", 'give it [builder] type = "remote", or correct gateway.urls'
            )
    return good("gateway", f"{url} answers, and takes the token")
