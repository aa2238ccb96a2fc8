"""Each private name of Twisted that we use is still there, and there are few."""

import re
from pathlib import Path

import pytest
from twisted.protocols.tls import TLSMemoryBIOProtocol

from sccachedist.web import _twisted

NAMES = [(TLSMemoryBIOProtocol, "_shutdownTLS")]
MOST = 6


@pytest.mark.parametrize(("owner", "name"), NAMES, ids=[name for _, name in NAMES])
def test_twisted_has(owner: type, name: str) -> None:
    """A release that drops it is found here, and not by a connection that hangs."""
    assert callable(getattr(owner, name))


def test_all_are_known() -> None:
    """The module has those of the list, and no others."""
    used = re.findall(r"def (_[a-z]\w*)|\)\.(_[a-z]\w*)", Path(_twisted.__file__).read_text())
    assert {name for pair in used for name in pair if name} == {name for _, name in NAMES}
    assert len(NAMES) <= MOST
