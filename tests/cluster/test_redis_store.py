"""What is said of a store that refuses, in a few words of ours."""

import pytest
import txredisapi

from sccachedist.cluster.redis_store import _text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("DENIED Redis is running in protected mode because protected mode is enabled", "needs a password"),
        ("NOAUTH Authentication required.", "cluster.lock_password_file"),
        ("MISCONF Redis is configured to save RDB snapshots", "it says: MISCONF"),
    ],
)
def test_refusals(said: str, told: str) -> None:
    """Redis' own texts are long, and what mends it stands at their end."""
    assert told in _text(txredisapi.ResponseError(said))
