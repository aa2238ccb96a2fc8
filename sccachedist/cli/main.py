"""The ``sccachedist`` command: each role in the foreground, keys and tokens, and what one asks of a scheduler.

It uses the name by which it is called, so that a link to it can replace the published ``sccache-dist`` in scripts
that know that name; the arguments, output and exit statuses of what both have are the same.
"""

from collections.abc import Sequence

from sccachedist.cli.parser import command_parser
from sccachedist.cli.standard_streams import ends_in_a_line, escape_what_cannot_be_written, open_missing_streams


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command, with the process's arguments if none are given."""
    open_missing_streams()
    escape_what_cannot_be_written()
    parser = command_parser()
    with ends_in_a_line(parser.prog):
        parsed = parser.parse_args(arguments)
        parsed.run(parsed)
