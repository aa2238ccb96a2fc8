"""Versions of TLS before 1.2, where the policy of a host permits them: neither side of any connection of ours does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from OpenSSL import SSL

from tests.peers.old_tls import WAYS

pytestmark = pytest.mark.functional

#: As a host has it whose operator once needed something old.
_LAX = """openssl_conf = here
[here]
ssl_conf = tls
[tls]
system_default = lax
[lax]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
"""


def told(place: Path, way: str, version: int) -> str:
    (place / "openssl.cnf").write_text(_LAX)
    words = [sys.executable, "-W", "ignore", "-m", "tests.peers.old_tls", way, str(version)]
    environment = {**os.environ, "OPENSSL_CONF": str(place / "openssl.cnf")}
    return subprocess.run(words, check=True, capture_output=True, text=True, env=environment).stdout.strip()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_older_than_1_2(tmp_path: Path, way: str) -> None:
    """Whatever a host's OpenSSL is told to do, a peer that speaks TLS 1.1 is not met; one that speaks 1.2 is."""
    assert told(tmp_path, way, SSL.TLS1_2_VERSION) == "met"
    assert told(tmp_path, way, SSL.TLS1_1_VERSION) == ("met" if way == "no guard" else "refused")
