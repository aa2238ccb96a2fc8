"""Fuzzing with input that strangers could send, made up by the machine. :mod:`fuzz.targets` has what is attacked."""
