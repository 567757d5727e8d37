"""The keys in the server, and the scripts that change them: each script is done whole, or not at all.

firehose:HOST          a hash, the stream's own key: partitions; cursor and time (the relay's, up to which all is here);
                       safe and safe_time (the same of 10 s before); memory, limit, full (of the server); trim:K (of K)
firehose:HOST:K        partition K, 1 to 64: entries `SEQ-0`, or `SEQ-N` for what came late
firehose:HOST:ingest   who fills the stream, while it does
"""

from unified_indexer.config.stream_url import PARTITIONS
from unified_indexer.shares import part_of

WHOLE, BEGIN, MORE, END, GAP = b"f", b"b", b"m", b"e", b"g"  # what an entry holds

# ARGV: partitions; cursor, time, safe, safe_time; then four for each entry: partition, seq (empty: none), field, bytes.
# An id must be above all before it, and above the cursor: readers may be there, though the partition's last entry is not. What
# comes late (the relay goes back a little, or a frame without a seq) is put behind the last entry, under that one's seq or the
# cursor's, whichever is more: no reader is further. A frame that is there under its seq is left out, so that what is read twice
# is stored once.
PUT = """
local own = KEYS[1]
if redis.call('HGET', own, 'partitions') ~= ARGV[1] then return redis.error_reply('TRYAGAIN the stream was emptied') end
local again, left_out, here = 0, false, redis.call('HGET', own, 'cursor')
for i = 6, #ARGV, 4 do
  local key, seq, field, data = own .. ':' .. ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local begins = field ~= 'm' and field ~= 'e'
  if begins then left_out = false end
  if not left_out then
    local numbered = begins and seq ~= '' and seq ~= '0'
    local late = numbered and here and (#seq < #here or (#seq == #here and seq <= here))
    local put = numbered and not late and redis.pcall('XADD', key, seq .. '-0', field, data)
    if put and put.err and not string.find(put.err, 'equal or smaller') then return put end
    if late or put and put.err then
      local there = redis.call('XRANGE', key, seq .. '-0', seq .. '-0')[1]
      left_out = there ~= nil and there[2][1] == field and there[2][2] == data
      if left_out then again = again + 1 end
    end
    if not left_out and (not put or put.err) then
      local last = '0-0'
      if redis.call('EXISTS', key) == 1 then
        local info = redis.call('XINFO', 'STREAM', key)
        for j = 1, #info, 2 do if info[j] == 'last-generated-id' then last = info[j + 1] end end
      end
      local head, tail = string.match(last, '^(%d+)-(%d+)$')
      if here and (#here > #head or (#here == #head and here > head)) then head, tail = here, '0' end
      redis.call('XADD', key, head .. '-' .. string.format('%.0f', tonumber(tail) + 1), field, data)
    end
  end
end
if ARGV[2] ~= '' then
  redis.call('HSET', own, 'cursor', ARGV[2], 'time', ARGV[3])
  if ARGV[4] ~= '' then redis.call('HSET', own, 'safe', ARGV[4], 'safe_time', ARGV[5]) end
end
return again
"""
# What has the flag allow-oom is done by a full server too: or else nothing would be trimmed any more, and it would stay full.
# ARGV: two for each partition: its number, and the seq up to which PostgreSQL has it. The mark is never lowered: what is gone
# stays gone when the database goes back (a standby took over, a backup was restored).
TRIM = """#!lua flags=allow-oom
local own, gone = KEYS[1], 0
for i = 1, #ARGV, 2 do
  local before, seq = redis.call('HGET', own, 'trim:' .. ARGV[i]), ARGV[i + 1]
  if not before or #seq > #before or (#seq == #before and seq > before) then
    redis.call('HSET', own, 'trim:' .. ARGV[i], seq)
    gone = gone + redis.call('XTRIM', own .. ':' .. ARGV[i], 'MINID', seq .. '-0')
  end
end
return gone
"""
# ARGV: who, and for how many ms. 1: the turn is ours.
HOLD = """#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# ARGV: fields of the stream's own key, each with its value.
TELL = """#!lua flags=allow-oom
return redis.call('HSET', KEYS[1], unpack(ARGV))
"""
LET_GO = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


def own_key(host: str) -> str:
    """The stream's own key."""
    return f"firehose:{host}"


def partition_key(host: str, partition: int) -> str:
    """The key of a partition, 1 to 64."""
    return f"firehose:{host}:{partition}"


def turn_key(host: str) -> str:
    """The key of who fills the stream."""
    return f"firehose:{host}:ingest"


def partition_of(did: str) -> int:
    """The partition that the account's events are in, 1 to 64. What is nobody's (an empty DID) has one as well."""
    return part_of(did, PARTITIONS) + 1
