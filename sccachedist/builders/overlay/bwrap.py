"""From a compile command to the arguments of bubblewrap: a pure function.

What is meant to hold inside stands in PROTOCOL's "What a sandboxed compile sees today". The network is not
bubblewrap's: a sandbox worker keeps an empty one for all its jobs, which saves making one for each.
"""

from collections.abc import Collection

from sccachedist.builders.command import refuse_nul, variables
from sccachedist.wire.messages import CompileCommand


def bwrap_arguments(
    bwrap: str,
    root: str,
    block_fd: int,
    status_fd: int,
    filter_fd: int,
    command: CompileCommand,
    masked: Collection[str] = (),
) -> list[str]:
    """Give the whole command line that runs ``command`` with ``root`` as its ``/``.

    :param root: an absolute path; the job may write there. It has its ``/dev``.
    :param block_fd: the command begins when there is something to read, or nothing to come.
    :param status_fd: gets bubblewrap's JSON lines; only a command that was executed gives one with
        ``exit-code``.
    :param filter_fd: a seccomp filter, for the command and its children alone.
    :param masked: files of the kernel, there for sure, that shall look empty.
    :raises BuildError: some text cannot be an argument.
    """
    arguments = [
        bwrap,
        # Ends with the worker, whatever kills it, and is out of reach of its terminal.
        *("--die-with-parent", "--new-session"),
        # Run by uid 0, bubblewrap leaves all capabilities unless told otherwise.
        *("--unshare-user", "--uid", "0", "--gid", "0", "--cap-drop", "ALL"),
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"),
        # The root comes first: what is mounted before it would be hidden by it. Nobody can have made a device in it.
        *("--dev-bind", root, "/"),
        # A build server that is root has jobs whose uid outside is root's, and to root the kernel's own files are
        # writable without any capability: nothing in /proc is.
        *("--proc", "/proc", *_masks(masked), "--remount-ro", "/proc"),
        *("--chdir", command.cwd),
        *("--block-fd", str(block_fd), "--json-status-fd", str(status_fd), "--seccomp", str(filter_fd)),
        *_environment(command),
        "--",
        command.executable,
        *command.arguments,
    ]
    refuse_nul(arguments)
    return arguments


def _masks(masked: Collection[str]) -> list[str]:
    return [argument for file in masked for argument in ("--ro-bind", "/dev/null", file)]


def _environment(command: CompileCommand) -> list[str]:
    return [argument for name, value in variables(command) for argument in ("--setenv", name, value)]
