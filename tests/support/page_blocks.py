"""The blocks of a page that its readers follow: commands, programs, files."""

import re
from pathlib import Path

import attrs

from farmkit.launch import CHECKOUT

#: A block: how far it is indented, its language, its name if it has one, its lines.
_BLOCK = re.compile(r"^( *)\.\. code-block:: (\w+)\n(?:\1   :name: ([\w-]+)\n)?\n((?:\1   .*\n|\n)+)", re.MULTILINE)


@attrs.frozen
class PageBlock:
    """A block of a page; ``name`` is empty if it has none."""

    language: str
    name: str
    text: str


def blocks(page: str) -> list[PageBlock]:
    """Those of a page of ``doc/``, in their order."""
    text = (CHECKOUT / "doc" / f"{page}.rst").read_text()
    return [
        PageBlock(language, name, "\n".join(line[len(indent) + 3 :] for line in body.strip("\n").splitlines()))
        for indent, language, name, body in _BLOCK.findall(text)
    ]


def pages_with(language: str) -> set[str]:
    """The pages that have such blocks."""
    names = {path.stem for path in Path(CHECKOUT / "doc").glob("*.rst")}
    return {name for name in names if any(block.language == language for block in blocks(name))}
