"""What makes a scheduler one of several."""

import sys

import pytest

from farmkit.memory_reactor import Reactor
from sccachedist.config import ClusterSettings
from sccachedist.config.cluster import StoreAddress
from sccachedist.errors import ConfigError
from sccachedist.scheduler.membership import Membership

URL = "http://10.0.0.1:10600"


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler whose environment lacks the extra ends with a line that says what to install."""
    monkeypatch.setitem(sys.modules, "txredisapi", None)
    for module in ("redis_board", "redis_lock", "redis_store"):
        monkeypatch.delitem(sys.modules, f"sccachedist.cluster.{module}", raising=False)
    settings = ClusterSettings(lock=StoreAddress.parse("redis://127.0.0.1"), schedulers=(URL,), address=URL)
    with pytest.raises(ConfigError, match=r"^cluster: .*pip install 'sccachedist\[cluster\]'"):
        Membership(settings, Reactor(), lambda: 0.0, str)
