"""The command line of bubblewrap: a pure function.

What must hold inside is in ``doc/protocol``, "What a sandboxed compile sees". What bubblewrap leaves open in
``/proc``, :mod:`sccachedist.sandbox.overlay.masks` closes, before a command is told. The network is not bubblewrap's:
the sandbox worker enters an empty network namespace once, for all its jobs, which saves making one for each
(:mod:`sccachedist.sandbox.overlay.namespaces`).
"""


def bwrap_arguments(bwrap: str, root: str, status_fd: int, block_fd: int, filter_fd: int, program_fd: int) -> list[str]:
    """Return the whole command line that runs a program with ``root`` as its ``/``.

    :param root: an absolute path; the program may write there. ``/dev`` is mounted in it already.
    :param status_fd: gets bubblewrap's JSON lines.
    :param block_fd: is read from and closed when all mounts are there.
    :param filter_fd: a seccomp filter, for the program and its children only.
    :param program_fd: the program, the first process of the sandbox; it inherits only descriptors.
    """
    return [
        bwrap,
        # Ends when the worker ends for any reason, and cannot reach the worker's terminal.
        *("--die-with-parent", "--new-session"),
        # If uid 0 runs bubblewrap, it keeps all capabilities unless told otherwise.
        *("--unshare-user", "--uid", "0", "--gid", "0", "--cap-drop", "ALL"),
        # The program can be the first process: bubblewrap need not fork one.
        *("--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"),
        # The root comes first: it would hide what is mounted before it. Devices work in it, for its /dev; neither a
        # toolchain nor a job can have made another one.
        *("--dev-bind", root, "/"),
        *("--proc", "/proc", "--chdir", "/"),
        *("--json-status-fd", str(status_fd), "--block-fd", str(block_fd), "--seccomp", str(filter_fd)),
        *("--", f"/proc/self/fd/{program_fd}"),
    ]
