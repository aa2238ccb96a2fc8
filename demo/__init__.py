"""A farm of one machine, tried with the published client: ``make demo``, and what the functional tests drive.

It starts programs and reads what they say; of the package it knows the command lines and the files that
an operator knows, and values of the protocol.
"""
