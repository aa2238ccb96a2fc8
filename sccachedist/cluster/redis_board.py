"""The board in a Redis or Valkey, beside the lock: who has that may write.

Build servers are fields of a hash, which lapses when no leader has written for long; what is out of service is one
text, which stays. Values that are larger than any of ours are left where they are.
"""

import hashlib

from sccachedist.cluster.board import MOST_BYTES, MOST_SERVERS, MOST_STATE_BYTES, BoardChanges, Posted
from sccachedist.cluster.redis_lock import LEADER
from sccachedist.cluster.redis_store import RedisStore
from sccachedist.cluster.store import StoreError

SERVERS, STATE = "sccachedist:servers", "sccachedist:out-of-service"
#: Milliseconds after which build servers are forgotten if no leader writes: none is silent for so long.
_LAPSE_MS = 24 * 3600 * 1000
#: About how many build servers are read at a time, and how many times: a hash that has shrunk has empty pages, too.
_PAGE_SERVERS, _MOST_PAGES = 200, 2000
#: The most bytes of an address, and the most digits of a time.
_MOST_NAME, _DIGITS = 64, 20

_WRITE = """
local incarnation, replaces_all, state, lapse, digest = unpack(ARGV, 1, 5)
local held = redis.call('GET', KEYS[1])
if not held or string.match(held, '^%d+ (%S+) ') ~= incarnation then
  return 'another'
end
local before = redis.sha1hex(redis.call('GET', KEYS[3]) or '')
if state ~= '' then
  redis.call('SET', KEYS[3], state)
end
if replaces_all == '1' then
  redis.call('DEL', KEYS[2])
end
for index = 6, #ARGV, 2 do
  if ARGV[index + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[index])
  else
    redis.call('HSET', KEYS[2], ARGV[index], ARGV[index + 1])
  end
end
redis.call('PEXPIRE', KEYS[2], lapse)
return before == digest and 'there' or 'other'
"""
# The cursor and all build servers are one text: for each text, the protocol takes a turn of the reactor.
_PAGE = """
local most_name, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local page = {found[1], '\\n'}
for index = 1, #found[2], 2 do
  local name, value = found[2][index], found[2][index + 1]
  if #name <= most_name and string.match(name, '^[%x.:%[%]]+$') and #value <= most then
    page[#page + 1] = name .. ' ' .. #value .. '\\n'
    page[#page + 1] = value
  end
end
return table.concat(page)
"""
_STATE = """
if redis.call('STRLEN', KEYS[1]) <= tonumber(ARGV[1]) then
  return redis.call('GET', KEYS[1])
end
return false
"""


class RedisBoard:
    """A :class:`~sccachedist.cluster.board.Board` in a store.

    :param incarnation: of the candidate that writes, see :class:`~sccachedist.cluster.leadership.Candidate`.
    """

    def __init__(self, store: RedisStore, incarnation: str) -> None:
        self._store, self._incarnation = store, incarnation
        self._digest = ""

    async def time(self) -> float:
        """As :meth:`sccachedist.cluster.board.Board.time`."""
        match await self._store.ask("TIME"):
            case [bytes(secs), bytes(micros)] if (secs + micros).isdigit() and len(secs + micros) <= _DIGITS:
                return int(secs or b"0") + int(micros or b"0") / 1e6
        raise self._confused()

    async def read(self) -> Posted:
        """As :meth:`sccachedist.cluster.board.Board.read`."""
        now, state = await self.time(), await self._store.ask("EVAL", _STATE, 1, STATE, MOST_STATE_BYTES)
        servers: dict[str, bytes] = {}
        cursor = b"0"
        for _ in range(_MOST_PAGES):
            page = await self._store.ask("EVAL", _PAGE, 1, SERVERS, cursor, _PAGE_SERVERS, _MOST_NAME, MOST_BYTES)
            try:
                cursor, found = _parts(page)
            except ValueError as error:
                raise self._confused() from error
            servers |= found
            if cursor == b"0" or len(servers) > MOST_SERVERS:
                break
        return Posted(now, servers, state if isinstance(state, bytes) else None)

    async def write(self, changes: BoardChanges) -> bool:
        """As :meth:`sccachedist.cluster.board.Board.write`.

        It is known by what is out of service. If that is not what this one wrote last, the store was emptied, or is
        another one now, or another program has written there.
        """
        pairs = [part for address, octets in changes.servers.items() for part in (address, octets or b"")]
        first = self._incarnation, int(changes.replaces_all), changes.state or b"", _LAPSE_MS, self._digest
        answer = await self._store.ask("EVAL", _WRITE, 3, LEADER, SERVERS, STATE, *first, *pairs)
        if answer == b"another":
            raise StoreError(f"{self._store}: another scheduler has the lock, or it is free")
        if changes.state is not None:
            self._digest = hashlib.sha1(changes.state, usedforsecurity=False).hexdigest()
        return answer == b"there"

    def close(self) -> None:
        """As :meth:`sccachedist.cluster.board.Board.close`."""
        self._store.close()

    def _confused(self) -> StoreError:
        return StoreError(f"{self._store}: an answer that no store gives")


def _parts(page: object) -> tuple[bytes, dict[str, bytes]]:
    """The cursor of a page, and the build servers on it.

    :raises ValueError: it is no page.
    """
    if not isinstance(page, bytes):
        raise ValueError(page)
    end = page.index(b"\n")
    cursor, servers = page[:end], {}
    while (start := end + 1) < len(page):
        begin = page.index(b"\n", start) + 1
        name, size = page[start : begin - 1].split(b" ")
        end = begin + int(size) - 1
        if not begin <= end + 1 <= len(page):
            raise ValueError(size)
        servers[name.decode()] = page[begin : end + 1]
    return cursor, servers
