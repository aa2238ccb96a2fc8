"""What the doctor checks of ``[cluster]``: the store and all schedulers, asked as a scheduler asks them.

:mod:`sccachedist.cli.doctor.schedulers` decides what the answers mean.
"""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004

from sccachedist import __version__
from sccachedist.cli.doctor import schedulers
from sccachedist.cli.doctor.findings import Finding
from sccachedist.cluster.agreement import Agreement
from sccachedist.cluster.leader_calls import LeaderAway, LeaderCalls
from sccachedist.cluster.store import StoreError
from sccachedist.config import ClusterSettings, SchedulerSettings
from sccachedist.errors import DecodeError
from sccachedist.scheduler.membership import account_of, answer_secs

#: Seconds in which a scheduler has to answer, though it may be busy.
_SECS = 5.0


def cluster_checks(
    reactor: Any, settings: SchedulerSettings, cluster: ClusterSettings
) -> Iterator[tuple[str, AsyncIterator[Finding]]]:
    """The checks of a scheduler that is one of several."""
    yield schedulers.LOCK, _store(reactor, cluster)
    yield schedulers.SCHEDULERS, _schedulers(reactor, settings, cluster)


async def _store(reactor: Any, cluster: ClusterSettings) -> AsyncIterator[Finding]:
    # With the store's library, which may be missing: that is a finding then.
    from sccachedist.cluster.redis_lock import RedisLock
    from sccachedist.cluster.redis_rights import refused_commands
    from sccachedist.cluster.redis_store import RedisStore, authorities

    trusted = authorities(cluster.lock_ca)
    store = RedisStore(cluster.lock, cluster.lock_password, trusted, answer_secs(cluster), reactor)
    try:
        yield schedulers.store(await RedisLock(store).offered(), cluster.schedulers)
        if refused := await refused_commands(store):
            yield schedulers.few_rights(refused)
    except StoreError as error:
        yield schedulers.no_store(str(error))
    finally:
        store.close()


async def _schedulers(reactor: Any, settings: SchedulerSettings, cluster: ClusterSettings) -> AsyncIterator[Finding]:
    calls, agreement = LeaderCalls(reactor), Agreement(lambda: settings, os.urandom)
    try:
        for url in sorted(cluster.schedulers):
            is_own = url == cluster.address
            asked = Deferred.fromCoroutine(account_of(calls, url, agreement.proofs()))
            try:
                account = await asked.addTimeout(_SECS, reactor)
            except TimeoutError:
                yield schedulers.no_scheduler(url, f"no answer within {_SECS:g} s", is_own=is_own)
            except (LeaderAway, DecodeError) as error:
                yield schedulers.no_scheduler(url, str(error), is_own=is_own)
            else:
                yield schedulers.scheduler(url, account, __version__, is_own=is_own)
    finally:
        await calls.close()
