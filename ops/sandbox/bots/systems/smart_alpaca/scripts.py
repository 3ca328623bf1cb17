"""What must happen at once in Redis, as Lua, each a small part of BullMQ's own move of that name.

All take the queue's prefix (`bull:<queue>:`) first, and use no key outside it.
"""

from __future__ import annotations

_EVENT = """
local p, call = ARGV[1], redis.call
local function event(...) call('XADD', p .. 'events', 'MAXLEN', '~', 10000, '*', 'event', ...) end
local function waiting(push, id)
  local list = call('HEXISTS', p .. 'meta', 'paused') == 1 and 'paused' or 'wait'
  call(push, p .. list, id)
  if list == 'wait' then call('ZADD', p .. 'marker', 0, '0') end
end
"""

ADD = (
    _EVENT
    + """
-- the mark expected, the mark then, then name, data, time of each job; 1, or 0 if the mark is another one
if (call('GET', p .. 'last') or '') ~= ARGV[2] then return 0 end
for i = 4, #ARGV, 3 do
  local id = call('INCR', p .. 'id')
  call('HSET', p .. id, 'name', ARGV[i], 'data', ARGV[i + 1], 'opts', '{"attempts":1}',
    'timestamp', ARGV[i + 2], 'delay', 0, 'priority', 0)
  event('added', 'jobId', id, 'name', ARGV[i])
  waiting('LPUSH', id)
  event('waiting', 'jobId', id)
end
call('HSET', p .. 'meta', 'opts.maxLenEvents', 10000, 'version', 'bullmq:5')
call('SET', p .. 'last', ARGV[3])
return 1
"""
)

TAKE = (
    _EVENT
    + """
-- token, lock in ms, time, last decision allowed; {job, data} or nil. Who lost his lock has died: his job waits again
if call('HEXISTS', p .. 'meta', 'paused') == 1 then return false end
for _, id in ipairs(call('LRANGE', p .. 'active', 0, -1)) do
  if call('EXISTS', p .. id .. ':lock') == 0 then
    call('LREM', p .. 'active', 1, id)
    call('SREM', p .. 'stalled', id)
    call('HINCRBY', p .. id, 'stc', 1)
    waiting('RPUSH', id)
    event('waiting', 'jobId', id, 'prev', 'active')
    event('stalled', 'jobId', id)
  end
end
local id = call('LINDEX', p .. 'wait', -1)
local data = id and call('HGET', p .. id, 'data')
if not data then return false end
local read, made = pcall(cjson.decode, data)
local decision = read and type(made) == 'table' and tonumber(made.id) or 0
local mark = tonumber(string.match(call('GET', p .. 'last') or '', '^%d+')) or 0
if decision > tonumber(ARGV[5]) and decision <= mark then return false end -- beyond the mark it is none of ours
call('RPOPLPUSH', p .. 'wait', p .. 'active')
call('SET', p .. id .. ':lock', ARGV[2], 'PX', ARGV[3])
event('active', 'jobId', id, 'prev', 'waiting')
call('HSET', p .. id, 'processedOn', ARGV[4])
call('HINCRBY', p .. id, 'ats', 1)
return {id, data}
"""
)

FINISH = (
    _EVENT
    + """
-- job, token, time, `completed` or `failed`, its field, the value, jobs to keep; 1, or 0 if the lock is another's
local id, now, to = ARGV[2], ARGV[4], ARGV[5]
if call('GET', p .. id .. ':lock') ~= ARGV[3] then return 0 end
call('DEL', p .. id .. ':lock')
call('SREM', p .. 'stalled', id)
call('LREM', p .. 'active', -1, id)
call('HINCRBY', p .. id, 'atm', 1)
call('HSET', p .. id, ARGV[6], ARGV[7], 'finishedOn', now)
call('ZADD', p .. to, now, id)
for _, old in ipairs(call('ZRANGE', p .. to, 0, -1 - tonumber(ARGV[8]))) do
  call('DEL', p .. old)
  call('ZREM', p .. to, old)
end
event(to, 'jobId', id, ARGV[6], ARGV[7], 'prev', 'active')
if to == 'failed' then event('retries-exhausted', 'jobId', id, 'attemptsMade', 1) end
if call('LLEN', p .. 'wait') + call('LLEN', p .. 'active') == 0 then event('drained') end
return 1
"""
)
