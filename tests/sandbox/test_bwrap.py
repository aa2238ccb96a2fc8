"""The command line of bubblewrap."""

from sccachedist.sandbox.overlay.bwrap import bwrap_arguments


def test_the_whole_command_line() -> None:
    """Every flag is there for a reason, and so is their order."""
    assert bwrap_arguments("/usr/bin/bwrap", "/b/root", 6, 9, 7, 8) == [
        *["/usr/bin/bwrap", "--die-with-parent", "--new-session"],
        *["--unshare-user", "--uid", "0", "--gid", "0", "--cap-drop", "ALL"],
        *["--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"],
        *["--dev-bind", "/b/root", "/", "--proc", "/proc", "--chdir", "/"],
        *["--json-status-fd", "6", "--block-fd", "9", "--seccomp", "7", "--", "/proc/self/fd/8"],
    ]
