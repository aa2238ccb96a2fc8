"""Which one cause the doctor names for sandboxes that cannot be."""

import errno

import pytest

from sccachedist.cli.doctor.restrictions import KINDS, MOUNT, PROC, RefusedStep, Restrictions, cause_of, confining

UBUNTU = Restrictions(apparmor_userns=1)
DOCKER = Restrictions(
    profile="docker-default", seccomp=2, masked=("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/sys")
)


def test_nothing_in_the_way() -> None:
    """Whatever may forbid something does not matter where nothing was refused."""
    everything = Restrictions({"user": 0}, 0, 1, "docker-default", 2, masked=("/proc/sys",))
    assert cause_of(None, everything) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_of_namespaces(kind: str) -> None:
    """Its sysctl is named, also where it is another namespace's limit that is reached."""
    refused, name = RefusedStep(kind, errno.ENOSPC), f"user.max_{kind}_namespaces"
    cause = cause_of(refused, Restrictions({kind: 0}, 0, 1, "docker-default", 2))
    assert cause is not None
    assert (cause.text, cause.mend) == (f"{name} is 0", f"raise it: sysctl -w {name}=10000")
    for limits in ({kind: 7}, {}):
        cause = cause_of(refused, Restrictions(limits))
        assert cause is not None
        assert name in cause.text
        assert "reached" in cause.text


@pytest.mark.parametrize(
    ("step", "number", "facts", "named", "mend"),
    [
        ("user", errno.EPERM, Restrictions(proc=False), "no /proc", "mount -t proc"),
        ("user", errno.EPERM, Restrictions(devices=("/dev/tty", "/dev/full")), "/dev/tty, /dev/full", "/dev"),
        ("user", errno.EPERM, Restrictions(userns_clone=0, seccomp=2), "kernel.unprivileged_userns_clone is 0", "=1"),
        ("user", errno.EPERM, Restrictions(userns_clone=1, seccomp=2), "Seccomp: 2", "SystemCallFilter="),
        ("user", errno.ENOSYS, Restrictions(seccomp=2), "Seccomp: 2", "--security-opt seccomp=seccomp.json"),
        ("net", errno.EPERM, Restrictions(seccomp=2), "forbids net namespaces", "RestrictNamespaces="),
        (MOUNT, errno.EPERM, Restrictions(seccomp=2), "forbids mounts", "profile"),
        ("user", errno.EPERM, DOCKER, "Seccomp: 2", "profile"),
        (MOUNT, errno.EACCES, DOCKER, "docker-default forbids mounts", "apparmor=unconfined"),
        (PROC, errno.EPERM, DOCKER, "/proc/acpi, /proc/kcore, /proc/keys and 1 more", "systempaths=unconfined"),
        (PROC, errno.EPERM, Restrictions(seccomp=2), "forbids mounts", "profile"),
        ("user", errno.EACCES, UBUNTU, "kernel.apparmor_restrict_unprivileged_userns is 1", "sysctl"),
        ("user", errno.EPERM, UBUNTU, "kernel.apparmor_restrict_unprivileged_userns is 1", "sysctl"),
        ("mnt", errno.EPERM, Restrictions(apparmor_userns=1, seccomp=2), "apparmor_restrict", "profile"),
        ("user", errno.EINVAL, Restrictions(), "this kernel has no user namespaces", "with them"),
        ("user", errno.ENOSYS, Restrictions(), "this kernel has no user namespaces", "with them"),
        ("user", errno.EPERM, Restrictions(), "user namespaces are forbidden here", "chroot"),
        ("user", errno.EPERM, Restrictions(apparmor_userns=0), "user namespaces are forbidden here", "chroot"),
        (MOUNT, errno.EPERM, Restrictions(), "mounts are refused here: EPERM", "security modules"),
        ("pid", 9999, Restrictions(), "pid namespaces are refused here: 9999", "security modules"),
    ],
)
def test_one_cause(step: str, number: int, facts: Restrictions, named: str, mend: str) -> None:
    """What was refused, and with which error, tells apart what may forbid it. Root is not told to be root."""
    cause = cause_of(RefusedStep(step, number), facts)
    assert cause is not None
    assert named in cause.text
    assert mend in cause.mend
    assert "root" not in cause.mend.replace("chroot", "")


@pytest.mark.parametrize(
    ("label", "profile"),
    [
        ("", ""),
        ("unconfined\n", ""),
        ("sccachedist (unconfined)\n", ""),
        ("docker-default (enforce)\n", "docker-default"),
        ("docker-default (enforce)\0", "docker-default"),
        ("unconfined-looking (complain)\n", "unconfined-looking"),
    ],
)
def test_profiles_that_confine(label: str, profile: str) -> None:
    """One whose mode is to confine nothing is not taken for the cause."""
    assert confining(label) == profile


def test_what_is_missing_is_named_before_a_trial() -> None:
    """Also where every namespace is granted."""
    for facts in (Restrictions(proc=False), Restrictions(devices=("/dev/null",))):
        assert cause_of(None, facts) is not None
