"""The lock in a Redis or Valkey.

Each answer of the store is a script's, which looks and changes in one step. Those for one that would
take the lock write first of all: a read-only replica shows itself also while another scheduler leads.
"""

from sccachedist.cluster.election import STEP
from sccachedist.cluster.leadership import Candidate
from sccachedist.cluster.lock import Holder
from sccachedist.cluster.redis_store import RedisStore
from sccachedist.cluster.store import StoreError

#: Who has the lock, and who had it last, as "NUMBER INCARNATION URL". The first one lapses.
LEADER, LAST = "sccachedist:leader", "sccachedist:last-leader"
#: A number is a time; others may not make job ids that are too large.
_MOST_NUMBER = 1 << 52
#: Begins a script: no more is read of who has it than that may have. Others may write hundreds of megabytes.
_BOUND = "if redis.call('STRLEN', KEYS[1]) > 4096 then return '' end\n"

# Numbers come back as texts: a number of a script is a double, and ".." writes large ones with an exponent.
_TAKE = (
    """
local incarnation, url, least, step, ttl = unpack(ARGV)
redis.call('SETNX', KEYS[2], '')
"""
    + _BOUND
    + """
local held = redis.call('GET', KEYS[1])
local number, last = string.match(held or redis.call('GET', KEYS[2]), '^(%d+) (%S+) ')
number = tonumber(number or 0)
if last ~= incarnation then
  if held then
    return held
  end
  number = number + tonumber(step)
end
held = string.format('%.0f', math.max(tonumber(least), number)) .. ' ' .. incarnation .. ' ' .. url
redis.call('SET', KEYS[2], held)
redis.call('SET', KEYS[1], held, 'PX', ttl)
return held
"""
)
_OFFERED = """
redis.call('SETNX', KEYS[2], '')
return redis.call('GET', KEYS[1])
"""
_HOLDER = _BOUND + "return redis.call('GET', KEYS[1])"
_RELEASE = """
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+ (%S+) ') == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
"""


class RedisLock:
    """A :class:`~sccachedist.cluster.lock.Lock` in a store."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def take(self, candidate: Candidate, least: int, ttl: float) -> Holder:
        """As :meth:`sccachedist.cluster.lock.Lock.take`."""
        arguments = candidate.incarnation, candidate.url, least, STEP, int(ttl * 1000)
        return self._holder(await self._store.ask("EVAL", _TAKE, 2, LEADER, LAST, *arguments))

    async def offered(self) -> Holder | None:
        """As :meth:`sccachedist.cluster.lock.Lock.offered`."""
        return self._found(await self._store.ask("EVAL", _OFFERED, 2, LEADER, LAST))

    async def holder(self) -> Holder | None:
        """As :meth:`sccachedist.cluster.lock.Lock.holder`."""
        return self._found(await self._store.ask("EVAL", _HOLDER, 1, LEADER))

    async def release(self, candidate: Candidate) -> None:
        """As :meth:`sccachedist.cluster.lock.Lock.release`."""
        await self._store.ask("EVAL", _RELEASE, 1, LEADER, candidate.incarnation)

    def close(self) -> None:
        """Keep no connection."""
        self._store.close()

    def _found(self, said: object) -> Holder | None:
        return None if said is None else self._holder(said)

    def _holder(self, said: object) -> Holder:
        number, incarnation, url = [*(said.split(b" ") if isinstance(said, bytes) else ()), b"", b"", b""][:3]
        if not number.isdigit() or len(number) > 16 or int(number) >= _MOST_NUMBER or not url:
            raise StoreError(f"{self._store}: another program has written to the key {LEADER}")
        return Holder(Candidate(url.decode(errors="replace"), incarnation.decode(errors="replace")), int(number))
