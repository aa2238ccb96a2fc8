"""Text of strangers, fit for a terminal and a log: on one line, with nothing that moves a cursor or hides a word."""

#: Characters of a stranger's text that are shown.
LONGEST = 200


def printable(text: str) -> str:
    """The same text, with an escape for each character that cannot be seen: controls, line ends, turns of direction."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def excerpt(text: str, longest: int = LONGEST) -> str:
    """As much of a stranger's text as is worth showing; how long it is, where that is not all."""
    if len(text) <= longest:
        return printable(text)
    return f"{printable(text[:longest])}... ({len(text)} characters)"
