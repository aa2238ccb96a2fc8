"""Whether a Redis or Valkey lets its user do all that the lock and the board need: tried on keys of its own."""

from sccachedist.cluster.redis_store import RedisStore
from sccachedist.cluster.store import StoreError

#: What the scripts of the lock and of the board call. That EVAL itself is allowed shows in that there is an answer.
COMMANDS = ("SETNX", "SET", "GET", "STRLEN", "DEL", "TIME", "HSET", "HDEL", "HSCAN", "PEXPIRE")

_TEXT, _HASH = "sccachedist:trial-text", "sccachedist:trial-hash"
_TRIAL = """
local text, hash, refused = KEYS[1], KEYS[2], {}
local function try(name, ...)
  local answer = redis.pcall(name, ...)
  local said = type(answer) == 'table' and answer.err
  if said and (string.find(said, "NOPERM") or string.find(said, "can't run this command")) then
    refused[#refused + 1] = name
  elseif said then
    error(said, 0)
  end
end
try('SETNX', text, '')
try('SET', text, '', 'PX', 1000)
try('GET', text)
try('STRLEN', text)
try('TIME')
try('HSET', hash, 'a', 'b')
try('HDEL', hash, 'c')
try('HSCAN', hash, '0', 'COUNT', '1')
try('PEXPIRE', hash, '1000')
try('DEL', text, hash)
return table.concat(refused, ' ')
"""


async def refused_commands(store: RedisStore) -> tuple[str, ...]:
    """Which of :data:`COMMANDS` the store does not let its user run.

    :raises StoreError: it does not answer, or refuses for another reason.
    """
    said = await store.ask("EVAL", _TRIAL, 2, _TEXT, _HASH)
    names = tuple(said.decode(errors="replace").split()) if isinstance(said, bytes) else ("",)
    if not set(names) <= set(COMMANDS):
        raise StoreError(f"{store}: an answer that no store gives")
    return names
