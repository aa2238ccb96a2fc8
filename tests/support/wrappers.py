"""Programs in the place of others, which they become after they have changed their own command line."""

import sys
from collections.abc import Mapping
from pathlib import Path

Words = tuple[str, ...]

_WRAPPER = """\
#!{python} -IS
import os, subprocess, sys
words = sys.argv[1:]
for old, new in {changes!r}:
    for at in range(len(words)):
        if words[at:at + len(old)] == list(old):
            words[at:at + len(old)] = new
            break
before = {before!r}
if before:
    subprocess.run(before, check=True)
os.execv({program!r}, [{program!r}, *words])
"""


def wrapper(place: Path, program: str, changes: Mapping[Words, Words], before: Words = ()) -> Path:
    """Make one.

    :param changes: words in a row, and those that stand there instead, where they first occur.
    :param before: a command that it runs first.
    """
    text = _WRAPPER.format(python=sys.executable, changes=list(changes.items()), before=before, program=program)
    place.write_text(text)
    place.chmod(0o755)
    return place
