"""Which outputs of a compile are brought back, and which of them a successful compile must have made: pure.

A client declares more outputs than a compiler writes, and does not say which it can do without. Without the object it
fails its user's build, so a success without the object is no result; without the others it accepts the result. A rule
of what is missed has to be right both ways: one output too few breaks builds, one too many compiles at home.

What real clients declare beside the object (0.16.0 with gcc, clang, rustc and nvcc):

- the dependency file of ``-MD``, which the client makes itself and the remote command does not name;
- coverage notes, and with ``-gsplit-dwarf`` a ``.dwo``, which clang leaves out without ``-g``;
- what the compiler reads: the profile of ``rustc -C profile-use``, which is among the inputs too;
- what a step of ``nvcc`` names for others to write: the ``--module_id_file_name`` of ``cicc``;
- a device, such as ``/dev/null``: what is written there is gone at home too.
"""

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest

import attrs

from sccachedist.errors import BuildError, LimitExceeded
from sccachedist.outcomes import SentLocal
from sccachedist.wire.messages import CompileCommand

#: Options whose operand is the file to make, as the next argument or joined. ``cudafe++`` has no shorter one.
_RESULT_NEXT = ("-o", "--output", "--output-file", "--gen_c_file_name")
_RESULT_JOINED = ("--output=", "--output-file=", "-o", "-Fo", "/Fo")
#: An argument of ``rustc`` that names a file to read, which clients declare as an output.
_READ = re.compile(r"(?:-C ?|--codegen=)?profile[-_]use=(.+)")


def returned_outputs(command: CompileCommand, outputs: Sequence[str]) -> list[str]:
    """Return the outputs that are brought back if they are there.

    Not what is written to a device, for the sandbox has a ``/dev`` of its own, and not what the compiler only reads: a
    client removes what was brought back if it cannot use the result.
    """
    read = set[str]()
    for argument in command.arguments:
        if (found := _READ.fullmatch(argument)) is not None:  # clients take a relative name for one in the directory
            made_in = posixpath.join(command.cwd, _out_dir(command.arguments) or "")
            read |= {_place(command.cwd, found[1]), _place(made_in, found[1])}
    return [each for each in outputs if not _is_device(place := _place(command.cwd, each)) and place not in read]


def required_outputs(command: CompileCommand, outputs: Sequence[str]) -> frozenset[str]:
    """Return the outputs that a successful compile must have made.

    They are those that an option names as the file to make, or else those that are an argument. If there is none, they
    are those in the directory that the command names for what is made (``rustc``), and if it names no directory, all.
    What is not brought back is never among them.
    """
    returned = frozenset(returned_outputs(command, outputs))
    places = {output: _place(command.cwd, output) for output in outputs}
    for named in (_results(command.arguments), command.arguments):
        told = {_place(command.cwd, name) for name in named}
        if not told.isdisjoint(places.values()):
            return frozenset(output for output in returned if places[output] in told)
    if (directory := _out_dir(command.arguments)) is None:
        return returned
    return frozenset(each for each in returned if posixpath.dirname(places[each]) == _place(command.cwd, directory))


def check_outputs(command: CompileCommand, outputs: tuple[str, ...], made: Collection[str], exit_code: int) -> None:
    """Check that a successful compile has made the required outputs; a failed one may leave any.

    :raises BuildError: one is missing.
    """
    if exit_code == 0 and (missing := required_outputs(command, outputs).difference(made)):
        raise BuildError(SentLocal.NO_OUTPUT, f"the compiler succeeded without making {min(missing)!r}")


def _is_device(place: str) -> bool:
    names = [name for name in place.split("/") if name]
    return names[:1] == ["dev"] and names[1:2] != ["shm"]


def _results(arguments: Sequence[str]) -> list[str]:
    """Return what options name as the file to make. ``cudafe++`` makes a module's id; ``cicc``, with -o, may not."""
    also = ("--module_id_file_name",) if "--gen_module_id_file" in arguments and "-o" not in arguments else ()
    return [*_operands(arguments, (*_RESULT_NEXT, *also), _RESULT_JOINED)]


def _out_dir(arguments: Sequence[str]) -> str | None:
    return next(_operands(arguments, ("--out-dir",), ("--out-dir=",)), None)


def _operands(arguments: Sequence[str], separate: tuple[str, ...], joined: tuple[str, ...]) -> Iterator[str]:
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        if argument in separate:
            yield following
        else:
            yield from (argument.removeprefix(start) for start in joined if argument.startswith(start))


def _place(cwd: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(cwd, name))


@attrs.define
class OutputSizes:
    """Adds up the sizes of a job's outputs.

    :param output_bytes: the most for one.
    :param outputs_bytes: the most for all together.
    """

    output_bytes: int
    outputs_bytes: int
    _total: int = attrs.field(default=0, init=False)

    def add(self, output: str, size: int) -> None:
        """Count one more output.

        :raises LimitExceeded: it is too large, or all together are.
        """
        self._total += size
        if size > self.output_bytes:
            raise LimitExceeded("output_bytes", f"the output {output!r} is too large")
        if self._total > self.outputs_bytes:
            raise LimitExceeded("outputs_bytes", f"the outputs up to {output!r} are too large together")
