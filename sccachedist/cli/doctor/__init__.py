"""``sccachedist doctor``: what is wrong with a host or a configuration, before a daemon or a user finds out.

``findings`` decides what facts mean, pure; ``facts`` asks the system, a peer or a program; ``rounds`` goes through both
for a build server or a scheduler. None of it changes anything, and a running daemon is not disturbed.
"""
