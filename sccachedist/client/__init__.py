"""A farm, for scripts: what its scheduler shows, and what administrators have it do. ``doc/python`` is about its use.

What is named here stays as it is from one release to the next; the modules below may not. It is plain and synchronous,
loads no Twisted, and runs wherever Python does: what only Linux has is not needed to ask. The commands ask in the same
way.
"""

from sccachedist.client.actions import OlderScheduler
from sccachedist.client.farm import Farm
from sccachedist.client.scheduler_address import SchedulerPlace
from sccachedist.client.web_client import Trust
from sccachedist.errors import ConfigError, PeerError, SccachedistError

__all__ = ["ConfigError", "Farm", "OlderScheduler", "PeerError", "SccachedistError", "SchedulerPlace", "Trust"]
