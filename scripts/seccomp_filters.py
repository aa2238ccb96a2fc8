"""Make the seccomp filters that the package ships: ``python -m scripts.seccomp_filters``, or ``make filters``.

A filter refuses what no compiler needs and a kernel has often been attacked by; anything else is allowed. It needs
pyseccomp and libseccomp, which make filters for machines of another kind too; a build server needs neither.
"""

import errno
import tempfile
from pathlib import Path

import pyseccomp as seccomp

import sccachedist

#: Where the package has them.
FILTERS = Path(sccachedist.__file__).parent / "builders/overlay/filters"

#: What a filter is for besides the machine itself: programs of its 32-bit ancestor.
MACHINES = {
    "x86_64": (seccomp.Arch.X86_64, seccomp.Arch.X86),
    "aarch64": (seccomp.Arch.AARCH64, seccomp.Arch.ARM),
}

_REFUSED = """
    mount umount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr
    ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd
    add_key request_key keyctl
    bpf userfaultfd perf_event_open io_uring_setup io_uring_enter io_uring_register
    init_module finit_module delete_module create_module query_module get_kernel_syms kexec_load kexec_file_load
    reboot swapon swapoff acct quotactl quotactl_fd nfsservctl syslog vhangup uselib lookup_dcookie
    settimeofday stime clock_settime clock_settime64 sethostname setdomainname
    iopl ioperm vm86 vm86old modify_ldt open_by_handle_at fanotify_init move_pages migrate_pages setns
"""

#: Mount, cgroup, uts, ipc, user, pid and network.
_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_WORD = 0xFFFFFFFF
#: Typing for whoever has the terminal: TIOCSTI and TIOCLINUX.
_TERMINAL = (0x5412, 0x541C)
#: Unix, IPv4, IPv6 and netlink; others are not kept apart by a network namespace, VSOCK above all, or have no use.
_FAMILIES = (1, 2, 10, 16)


def seccomp_filter(machine: str) -> bytes:
    """The program of a filter, as ``bwrap --seccomp`` reads it."""
    made = seccomp.SyscallFilter(seccomp.ALLOW)
    made.remove_arch(seccomp.Arch.NATIVE)
    for arch in MACHINES[machine]:
        made.add_arch(arch)
    made.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.ERRNO(errno.ENOSYS))
    made.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)  # few steps for each call
    _refuse(made)
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _refuse(made: "seccomp.SyscallFilter") -> None:
    no = seccomp.ERRNO(errno.EPERM)
    for name in _REFUSED.split():
        made.add_rule(no, name)
    for flag in _NAMESPACES:
        for name in ("clone", "unshare"):
            made.add_rule(no, name, seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    # Its flags lie where no filter can look; without it, programs use clone.
    made.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    made.add_rule(seccomp.ERRNO(errno.ENOSYS), "socketcall")
    for command in _TERMINAL:
        made.add_rule(no, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, _WORD, command))
    unknown = seccomp.ERRNO(errno.EAFNOSUPPORT)
    for family in set(range(max(_FAMILIES))).difference(_FAMILIES):
        made.add_rule(unknown, "socket", seccomp.Arg(0, seccomp.MASKED_EQ, _WORD, family))
    made.add_rule(unknown, "socket", seccomp.Arg(0, seccomp.GT, max(_FAMILIES)))


def main() -> None:
    """Write them all."""
    for machine in MACHINES:
        (FILTERS / f"{machine}.bpf").write_bytes(seccomp_filter(machine))


if __name__ == "__main__":
    main()
