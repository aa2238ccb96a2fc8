"""Schedulers find out that their configurations differ before the other one leads."""

import os

import attrs
from twisted.logger import capturedLogs, formatEvent

from sccachedist.cluster.agreement import Agreement
from sccachedist.cluster.roll import Roll
from sccachedist.config import TokenAuth
from sccachedist.scheduler.membership import Others
from tests.cluster.conftest import Pair


def test_a_secret_that_differs(pair: Pair) -> None:
    """A scheduler tells its log, once, and those who look, until the two agree."""
    settings = another = attrs.evolve(pair.leader.settings, client_auth=TokenAuth("another"))
    url, agreement = pair.leader.candidate.url, Agreement(lambda: settings, os.urandom)
    others, roll = Others([url], 1.0, agreement.proofs, pair.network), Roll([url], 0.0)

    def look() -> list[str]:
        with capturedLogs() as events:
            others.look(roll, lambda: 0.0)
            pair.network.turn()
        return [formatEvent(event) for event in events if "compare" in event["log_format"]]

    said = f"{url} has another client_auth than this scheduler: compare the configuration files"
    assert look() == [said]
    assert look() == []
    assert [row["differs"] for row in roll.rows()] == [["client_auth"]]
    settings = pair.leader.settings
    assert look() == []
    assert [row["differs"] for row in roll.rows()] == [[]]
    settings = another
    assert look() == [said]
