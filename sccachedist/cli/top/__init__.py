"""``top``: a farm on the whole terminal, to look at and to act on. Only the command itself imports what is in here."""
