"""Why a system refuses namespaces to the overlay builder's sandboxes: one cause, and what would mend it.

Pure: :mod:`sccachedist.cli.doctor.probes` collects the facts.
"""

import errno
from collections.abc import Mapping

import attrs

#: The kinds of namespaces that a sandbox needs, in the order in which the probe asks for them.
KINDS = ("user", "mnt", "net", "pid", "ipc", "uts", "cgroup")
#: The probe's steps after those: to change mounts, and to mount a ``/proc``.
MOUNT, PROC = "mount", "proc"

_FILTER = 2
_UNIT = "RestrictNamespaces= and SystemCallFilter= of its unit"
_PROFILE = "docker run --security-opt seccomp=seccomp.json"


@attrs.frozen
class RefusedStep:
    """The first step that the system refused to a process of the user whom compiles run as.

    :param step: one of :data:`KINDS`, :data:`MOUNT` or :data:`PROC`.
    :param number: its ``errno``.
    """

    step: str
    number: int


@attrs.frozen
class Restrictions:
    """What a system says of its own restrictions.

    :param limits: ``user.max_KIND_namespaces`` by kind.
    :param userns_clone: ``kernel.unprivileged_userns_clone``, which Debian's kernels had; None if there is none.
    :param apparmor_userns: ``kernel.apparmor_restrict_unprivileged_userns``, Ubuntu's; None if there is none.
    :param profile: the AppArmor profile that confines this process, such as ``docker-default``; empty if none does.
    :param seccomp: ``Seccomp`` of ``/proc/self/status``; 2 is a filter.
    :param proc: whether a ``/proc`` is mounted.
    :param masked: what is mounted over parts of ``/proc``, so that these are hidden or read-only.
    :param devices: the device files that sandboxes show and that this host lacks.
    """

    limits: Mapping[str, int] = attrs.field(factory=dict)
    userns_clone: int | None = None
    apparmor_userns: int | None = None
    profile: str = ""
    seccomp: int = 0
    proc: bool = True
    masked: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()


@attrs.frozen
class Cause:
    """What stands in the way of sandboxes.

    :param mend: what the operator can do about it.
    """

    text: str
    mend: str


def cause_of(refusal: RefusedStep | None, facts: Restrictions) -> Cause | None:
    """The one cause why there can be no sandboxes here; None if nothing stands in their way."""
    if not facts.proc:
        return Cause("there is no /proc", "mount it: mount -t proc proc /proc")
    if facts.devices:
        names = ", ".join(facts.devices)
        return Cause(f"missing, or no device: {names}", "have /dev of this host or container complete, without nodev")
    if refusal is None:
        return None
    if refusal.number in (errno.ENOSPC, errno.EUSERS) and refusal.step in KINDS:
        return _limit(refusal.step, facts)
    if refusal.step == "user" and facts.userns_clone == 0:
        return Cause("kernel.unprivileged_userns_clone is 0", "sysctl -w kernel.unprivileged_userns_clone=1")
    if refusal.step == PROC and facts.masked:
        return _masks(facts.masked)
    return _forbidden(refusal, facts)


def _limit(kind: str, facts: Restrictions) -> Cause:
    name, limit = f"user.max_{kind}_namespaces", facts.limits.get(kind)
    if limit == 0:
        return Cause(f"{name} is 0", f"raise it: sysctl -w {name}=10000")
    here = "" if limit is None else f", {limit} here,"
    return Cause(f"the limit {name}{here} is reached, or that of a container around", "raise it by sysctl")


def _masks(masked: tuple[str, ...]) -> Cause:
    shown = ", ".join(masked[:3]) + (f" and {len(masked) - 3} more" if len(masked) > 3 else "")
    return Cause(
        f"masks on /proc ({shown}) keep a sandbox from having a /proc of its own",
        "docker run --security-opt systempaths=unconfined, podman run --security-opt unmask=ALL, procMount: Unmasked "
        "of a pod, or no ProtectKernelTunables= and the like in the unit",
    )


def _forbidden(refusal: RefusedStep, facts: Restrictions) -> Cause:
    """The cause of a refusal that is a matter of rights.

    A profile of AppArmor answers EACCES. Ubuntu's restriction grants a user namespace, in which nothing else is. A
    filter answers EPERM or ENOSYS, as a rule to the first step.
    """
    what = "mounts" if refusal.step in (MOUNT, PROC) else f"{refusal.step} namespaces"
    apparmor = _apparmor(what, facts)
    filtered = facts.seccomp == _FILTER and refusal.number in (errno.EPERM, errno.ENOSYS)
    if apparmor and (refusal.number == errno.EACCES or not filtered or (refusal.step != "user" and not facts.profile)):
        return apparmor
    if filtered:
        return Cause(
            f"a seccomp filter forbids {what} (Seccomp: {facts.seccomp} in /proc/self/status)",
            f"run the container with a profile that allows them, such as that of contrib/containers ({_PROFILE}), "
            f"or see {_UNIT}",
        )
    if refusal.step in KINDS and refusal.number in (errno.ENOSYS, errno.EINVAL):
        return Cause(f"this kernel has no {what}", "use one with them")
    if refusal.step == "user" and refusal.number == errno.EPERM:
        return Cause("user namespaces are forbidden here", "leave the chroot, or see this host's security modules")
    words = errno.errorcode.get(refusal.number, str(refusal.number))
    return Cause(f"{what} are refused here: {words}", "see this host's security modules")


def confining(label: str) -> str:
    """The AppArmor profile that confines a process, from its label, such as ``docker-default (enforce)``.

    Empty if none does: there are profiles whose mode is unconfined, such as that of ``contrib/apparmor``.
    """
    name, _, mode = label.strip("\0\n").partition(" ")
    return "" if "unconfined" in (name, mode.strip("()")) else name


def _apparmor(what: str, facts: Restrictions) -> Cause | None:
    if facts.profile:
        return Cause(
            f"the AppArmor profile {facts.profile} forbids {what}",
            "run the container with --security-opt apparmor=unconfined, or another profile",
        )
    if facts.apparmor_userns:
        return Cause(
            "kernel.apparmor_restrict_unprivileged_userns is 1",
            "load the AppArmor profile contrib/apparmor/sccachedist, which permits them, or set it to 0 by sysctl",
        )
    return None
