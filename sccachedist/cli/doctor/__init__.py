"""``sccachedist doctor``: what is wrong with a host or a configuration, before a daemon or a user finds out.

``findings`` decides what facts mean, and is pure; ``probes`` asks the system, a peer or a program; ``checks`` uses both
for a build server or a scheduler. The doctor changes nothing and does not disturb a running daemon.
"""
