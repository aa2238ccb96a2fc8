"""Fuzzing: what strangers send, made up by the machine. :mod:`fuzz.targets` has what is attacked."""
