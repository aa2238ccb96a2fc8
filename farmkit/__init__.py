"""A farm of one machine and all who talk to it: what ``demo/``, ``bench/``, ``fuzz/`` and ``tests/`` share.

Daemons are started here, the published client and clients of our own ask them, and fakes stand in for either. Nothing
here knows a test, a measurement or a fuzzer. Of the package it knows the command lines and the files that an operator
knows, and values of the protocol; only what stands in for a part of the package knows that part's interface.
"""
