"""HTML from texts: all that others have named is escaped, isolated from the writing direction around it, and short.

Pure. Elements are strings; what a function here returns is markup, and what it takes as text is not.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape

import attrs

from sccachedist.cli.farm.screen import Screen

_FIRST_STRONG, _END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


@attrs.frozen
class Heading:
    """The head of a column; ``right`` for numbers."""

    title: str
    right: bool = False


def strange(text: str | None, screen: Screen, longest: int = 200) -> str:
    """A stranger's text, as an element."""
    return f"<bdi>{escape(screen.text(text, longest))}</bdi>"


def strange_line(text: str | None, screen: Screen, longest: int) -> str:
    """A stranger's text where no element may stand, such as in a tooltip."""
    return f"{_FIRST_STRONG}{escape(screen.text(text, longest))}{_END}"


def section(name: str, title: str, *parts: str) -> str:
    """A part of a page under a heading.

    :param name: its id, which a link may lead to.
    """
    inner = "\n".join(part for part in parts if part)
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escape(title)}</h2>\n{inner}\n</section>'


def paragraph(markup: str) -> str:
    """A paragraph."""
    return f"<p>{markup}</p>"


def table(caption: str, heads: Sequence[Heading], rows: Iterable[Sequence[str]]) -> str:
    """A table, each of whose cells is markup; the first of a row is its head. Empty if it has no rows."""
    styles = [' class="n"' if head.right else "" for head in heads]
    lines = []
    for first, *cells in rows:
        inner = "".join(f"<td{style}>{cell}</td>" for style, cell in zip(styles[1:], cells, strict=True))
        lines.append(f'<tr><th scope="row">{first}</th>{inner}</tr>')
    if not lines:
        return ""
    titles = "".join(
        f'<th scope="col"{style}>{escape(head.title)}</th>' for head, style in zip(heads, styles, strict=True)
    )
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def page(title: str, style: str, *parts: str) -> str:
    """A whole page, in ASCII: it runs no script and loads nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(part for part in parts if part)
    whole = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
    return whole.encode("ascii", "xmlcharrefreplace").decode()
