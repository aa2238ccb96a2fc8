"""The command line of bubblewrap: a pure function.

What is meant to hold inside stands in PROTOCOL's "What a sandboxed compile sees today". The network is not
bubblewrap's: a sandbox worker keeps an empty one for all its jobs, which saves making one for each.
"""

from sccachedist.sandbox.overlay.masks import Masked


def bwrap_arguments(
    bwrap: str, root: str, status_fd: int, filter_fd: int, program_fd: int, masked: Masked
) -> list[str]:
    """Give the whole command line that runs a program with ``root`` as its ``/``.

    :param root: an absolute path; the program may write there. It has its ``/dev``.
    :param status_fd: gets bubblewrap's JSON lines.
    :param filter_fd: a seccomp filter, for the program and its children alone.
    :param program_fd: the program, the first process of the sandbox, which has nothing from here but its descriptors.
    :param masked: what is there of the kernel's that shall look empty.
    """
    return [
        bwrap,
        # Ends with the worker, whatever kills it, and is out of reach of its terminal.
        *("--die-with-parent", "--new-session"),
        # Run by uid 0, bubblewrap leaves all capabilities unless told otherwise.
        *("--unshare-user", "--uid", "0", "--gid", "0", "--cap-drop", "ALL"),
        # The program knows how to be the first process: one less for bubblewrap to fork.
        *("--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"),
        # The root comes first: what is mounted before it would be hidden by it. Nobody can have made a device in it.
        *("--dev-bind", root, "/"),
        # A build server that is root has jobs whose uid outside is root's, and to root the kernel's own files are
        # writable without any capability: nothing in /proc is.
        *("--proc", "/proc", *masked.arguments(f"{root}/dev/null", f"{root}/dev/shm"), "--remount-ro", "/proc"),  # noqa: S108
        *("--chdir", "/", "--json-status-fd", str(status_fd), "--seccomp", str(filter_fd)),
        *("--", f"/proc/self/fd/{program_fd}"),
    ]
