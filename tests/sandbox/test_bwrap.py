"""The command line of bubblewrap."""

from sccachedist.sandbox.overlay.bwrap import bwrap_arguments
from sccachedist.sandbox.overlay.masks import Masked


def test_the_whole_command_line() -> None:
    """Every flag is there for a reason, and so is their order."""
    assert bwrap_arguments("/usr/bin/bwrap", "/b/root", 6, 7, 8, Masked(("/proc/kcore",), ("/proc/tty/driver",))) == [
        *["/usr/bin/bwrap", "--die-with-parent", "--new-session"],
        *["--unshare-user", "--uid", "0", "--gid", "0", "--cap-drop", "ALL"],
        *["--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"],
        *["--dev-bind", "/b/root", "/"],
        *["--proc", "/proc", "--ro-bind", "/b/root/dev/null", "/proc/kcore"],
        *["--ro-bind", "/b/root/dev/shm", "/proc/tty/driver", "--remount-ro", "/proc"],
        *["--chdir", "/", "--json-status-fd", "6", "--seccomp", "7", "--", "/proc/self/fd/8"],
    ]
