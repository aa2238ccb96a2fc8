"""Strangers' text made fit for a terminal and a log: one line, and no character that moves a cursor or hides a word."""

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
