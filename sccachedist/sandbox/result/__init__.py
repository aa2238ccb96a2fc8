"""The result of a compile: which answer its client gets, and how that is written."""
