-- SPDX-License-Identifier: Apache-2.0
-- Throughput as RFC 2544 has it (26.1): for every size and number of flows, the highest rate at
-- which all that is sent comes back, by bisection.
--   Pktgen:/> load perf/pktgen/rfc2544.lua
-- or pktgen ... -- ... -f perf/pktgen/rfc2544.lua.  settings.lua has addresses, sizes and times.
-- Frames that the policy denies are sent first: none may come back.
-- Prints CSV and leaves it in rfc2544-SCENARIO.csv.
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local settings = dofile(here .. "settings.lua")
local flows = dofile(here .. "flows.lua")

-- The highest rate at which passes(rate) holds, to `s.resolution`; 0 if there is none.
local function search(s, passes)
  if passes(s.highest) then
    return s.highest
  end
  local low, high = 0, s.highest
  while high - low > s.resolution do
    local middle = (low + high) / 2
    if passes(middle) then
      low = middle
    else
      high = middle
    end
  end
  return low
end

-- The row for frames of `size` bytes in at least `count` flows.
local function measure(s, size, count)
  count = flows.set_up(s, size, count)
  flows.trial(s, s.highest / 10, s.warm_up)
  local line = flows.line_rate(s, size) * s.seconds
  local best, short = {sent = 0, received = 0}, false
  local rate = search(s, function(rate)
    local sent, received = flows.trial(s, rate, s.seconds)
    short = short or sent < 0.99 * line * rate / 100
    if sent - received > s.loss * sent then
      return false
    end
    best = {sent = sent, received = received}
    return true
  end)
  local pps = best.received / s.seconds
  return ("%d,%d,%.2f,%d,%.3f,%d,%d,%s"):format(
    size, count, rate, math.floor(pps), pps * size * 8 / 1e9, best.sent, best.sent - best.received,
    short and "the tester sent less than asked" or "")
end

flows.session(settings, ("rfc2544-%s.csv"):format(settings.scenario), function(say)
  flows.check_denied(settings)
  say("size,flows,rate_percent,packets_per_second,gbit_per_second,sent,lost,note")
  for _, count in ipairs(settings.flows) do
    for _, size in ipairs(settings.scenarios[settings.scenario].sizes) do
      say(measure(settings, size, count))
    end
  end
end)
