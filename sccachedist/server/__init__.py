"""The build server: it keeps toolchains, runs jobs and reports to its scheduler.

It does not know how a compile is isolated (:mod:`sccachedist.builders`), and imports nothing of the scheduler.
"""
