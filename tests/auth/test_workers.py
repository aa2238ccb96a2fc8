"""Which workers are let in."""

import pytest

from sccachedist.auth.workers import WorkerTokens
from sccachedist.errors import PeerRefused

TOKENS = WorkerTokens(("first", "second"))


def test_good() -> None:
    """Each of the tokens is good, and they can be told apart."""
    digests = {TOKENS.identify(token) for token in TOKENS.tokens}
    assert len(digests) == 2
    assert all(TOKENS.knows(digest) for digest in digests)
    assert not TOKENS.knows("x")


@pytest.mark.parametrize("token", [None, "", "firs", "third"])
def test_refused(token: str | None) -> None:
    """None other is, and the refusal does not repeat it."""
    with pytest.raises(PeerRefused) as refused:
        TOKENS.identify(token)
    assert "third" not in str(refused.value)
