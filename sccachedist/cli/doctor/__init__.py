"""``sccachedist doctor``: what is wrong with a host or a configuration, before a daemon or a user finds out.

``findings`` and ``restrictions`` decide what facts mean, and are pure; ``probes`` asks the system, a peer or a program;
``checks`` uses them for a build server or a scheduler. The doctor changes nothing and disturbs no running daemon.
"""
