"""Make the seccomp filters that the package ships: ``python -m scripts.seccomp_filters``, or ``make filters``.

A filter refuses the system calls that no compiler needs and that have often served to attack a kernel; it allows all
others. This program needs pyseccomp and libseccomp, which also make filters for other kinds of machine; a build server
needs neither.
"""

import errno
import struct
import tempfile
from pathlib import Path

import pyseccomp as seccomp

import sccachedist

#: Where the package keeps them.
FILTERS = Path(sccachedist.__file__).parent / "sandbox/overlay/filters"

#: The architectures that each filter covers: the machine itself, and its 32-bit ancestor, whose programs it also runs.
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
    mbind set_mempolicy
"""

#: Calls that libseccomp may not know by name. From 424 on, a call has the same number on every kind of machine.
REFUSED_NUMBERS = {
    "memfd_secret": 447,
    "set_mempolicy_home_node": 450,
    "statmount": 457,
    "listmount": 458,
    "open_tree_attr": 467,
    "listns": 470,
}
#: For each machine, its architectures as AUDIT_ARCH has them, with the number of ``personality`` in each.
PERSONALITY = {
    "x86_64": {0xC000003E: 135, 0x40000003: 136},
    "aarch64": {0xC00000B7: 92, 0x40000028: 136},
}
#: The allowed arguments of ``personality``: Linux of 64 and 32 bits, also with an old version number or without random
#: addresses, and the query. All others make memory executable, or the page at zero usable.
PERSONALITIES = (0, 8, 0x20000, 0x20008, 0x40000, 0x40008, 0xFFFFFFFF)

#: The flags for new namespaces: mount, cgroup, uts, ipc, user, pid and network.
_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_WORD = 0xFFFFFFFF
_NETLINK = 16
#: The kernel's filter language: load a word of the call, compare it, return.
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD, _EQUAL, _RETURN, _REFUSE = 0x20, 0x15, 0x06, 0x00050000
#: Commands that type into the terminal as if its user did: TIOCSTI and TIOCLINUX.
_TERMINAL = (0x5412, 0x541C)
#: Unix, IPv4, IPv6 and netlink. A network namespace does not isolate the others, above all VSOCK, or they have no use.
_FAMILIES = (1, 2, 10, 16)


def seccomp_filter(machine: str) -> bytes:
    """The program of a filter, in the form that ``bwrap --seccomp`` reads."""
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
        return _guard(machine) + file.read()


def _guard(machine: str) -> bytes:
    """Instructions that run before those of libseccomp, for rules that it cannot express."""
    number, arch, argument = ((_LOAD, 0, 0, offset) for offset in (0, 4, 16))
    refused = (_RETURN, 0, 0, _REFUSE | errno.EPERM)
    program = [number]
    for each in REFUSED_NUMBERS.values():
        program += [(_EQUAL, 0, 1, each), refused]
    for kind, personality in PERSONALITY[machine].items():
        left = [len(PERSONALITIES) - index for index in range(len(PERSONALITIES))]
        allowed = [(_EQUAL, skipped, 0, value) for skipped, value in zip(left, PERSONALITIES, strict=True)]
        checked = [number, (_EQUAL, 0, len(allowed) + 2, personality), argument, *allowed, refused]
        program += [arch, (_EQUAL, 0, len(checked), kind), *checked]
    return b"".join(_INSTRUCTION.pack(*each) for each in program)


def _refuse(made: "seccomp.SyscallFilter") -> None:
    no = seccomp.ERRNO(errno.EPERM)
    for name in _REFUSED.split():
        made.add_rule(no, name)
    for flag in _NAMESPACES:
        for name in ("clone", "unshare"):
            made.add_rule(no, name, seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    # The flags of clone3 lie in memory, where no filter can look; without clone3, programs use clone.
    made.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    made.add_rule(seccomp.ERRNO(errno.ENOSYS), "socketcall")
    for command in _TERMINAL:
        made.add_rule(no, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, _WORD, command))
    unknown = seccomp.ERRNO(errno.EAFNOSUPPORT)
    for family in set(range(max(_FAMILIES))).difference(_FAMILIES):
        made.add_rule(unknown, "socket", seccomp.Arg(0, seccomp.MASKED_EQ, _WORD, family))
    made.add_rule(unknown, "socket", seccomp.Arg(0, seccomp.GT, max(_FAMILIES)))
    # Of netlink, only the family that describes interfaces: the others are large parts of the kernel.
    netlink = seccomp.Arg(0, seccomp.MASKED_EQ, _WORD, _NETLINK), seccomp.Arg(2, seccomp.NE, 0)
    made.add_rule(seccomp.ERRNO(errno.EPROTONOSUPPORT), "socket", *netlink)


def main() -> None:
    """Write the filters for all machines."""
    for machine in MACHINES:
        (FILTERS / f"{machine}.bpf").write_bytes(seccomp_filter(machine))


if __name__ == "__main__":
    main()
