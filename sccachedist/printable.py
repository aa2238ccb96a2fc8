"""Text for a terminal and a log: what strangers say, fit to be shown there, and how many there are of a thing.

A stranger's text is one line, and has no character that moves a cursor or hides a word.
"""

#: The most characters of a stranger's text that are shown.
LONGEST = 200


def printable(text: str) -> str:
    """The same text, with an escape for each invisible character: controls, line ends, changes of writing direction."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def excerpt(text: str, longest: int = LONGEST) -> str:
    """The first ``longest`` characters of a stranger's text, made printable, and its full length if it has more."""
    if len(text) <= longest:
        return printable(text)
    return f"{printable(text[:longest])}... ({len(text)} characters)"


def some(count: int, thing: str) -> str:
    """So many of a thing, whose word gets an s if it is not one."""
    return f"{count:,} {thing}{'s' * (count != 1)}"
