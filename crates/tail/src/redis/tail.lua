-- Takes over a tail unless that would take back what was heard: the rule of Tail::may_become.
-- KEYS: the recording's key. ARGV: format, generation, end, state, next, time to live in ms, channel, recording id.
-- Numbers are compared as text: Lua's own lose digits beyond 2^53.

local function is_number(s)
    return s and #s <= 20 and (s == '0' or string.find(s, '^[1-9]%d*$'))
end

local function less(a, b)
    if #a ~= #b then return #a < #b end
    return a < b
end

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'hash' then
    return {'foreign', kind}
end

if kind == 'hash' then
    local old = redis.call('HMGET', KEYS[1], 'format', 'generation', 'end', 'state')
    if old[1] ~= ARGV[1] then
        return {'format', old[1] or ''}
    end
    if not is_number(old[2]) or not is_number(old[3]) or (old[4] ~= 'open' and old[4] ~= 'sealed') then
        return {'damaged'}
    end
    local reopens = old[4] == 'sealed' and ARGV[4] ~= 'sealed'
    if less(ARGV[3], old[3]) or less(ARGV[2], old[2]) or reopens then
        return {'refused', old[2], old[3], old[4]}
    end
end

redis.call('HSET', KEYS[1], 'format', ARGV[1], 'generation', ARGV[2], 'end', ARGV[3], 'state', ARGV[4], 'next', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PUBLISH', ARGV[7], table.concat({ARGV[1], ARGV[8], ARGV[2], ARGV[3], ARGV[4], ARGV[5]}, ' '))
return {'taken'}
