-- SPDX-License-Identifier: Apache-2.0
-- Pktgen's Lua API with a gateway behind it, for the scripts of perf/pktgen.
--   lua fake_pktgen.lua SCRIPT OPTIONS    OPTIONS: the fields of a Lua table, see `options`
-- Checks what Pktgen would (arguments, order of calls) and prints at the end, whether the script raised
-- or not: its error, whether a port still sends, and each trial as "trial SIZE FLOWS RATE", or as
-- "denied SIZE FLOWS RATE" if it goes to port 80.
-- The script's settings.lua is changed by `options.settings`.  Exit 1 if the script raised.
local script, text = arg[1], arg[2]
local options = setmetatable(load("return {" .. text .. "}")(), {
  __index = {
    carries = 100,   -- per cent of the link that comes back
    tester = 100,    -- per cent of the link that the tester can send
    link = "<UP-10000-FD>",
    echoes = 1,      -- frames that come back for one
    denies = 1,      -- 0: frames to port 80 come back, too
    raise = 0,       -- the trial in which delay() raises
    settings = {},
  },
})

local port = {rate = 100, sending = false, range = {}, sent = 0, received = 0, on = {}}
local trials = {}

local function is(value, kind)
  assert(type(value) == kind, ("%s expected, got %s"):format(kind, tostring(value)))
  return value
end
local function idle()
  assert(not port.sending, "the port sends")
end
local function ip(text)
  local value = 0
  for byte in is(text, "string"):gmatch("%d+") do
    value = value << 8 | assert(math.tointeger(byte))
  end
  return value
end
local function span(field)
  local r = assert(port.range[field], field .. " has no range")
  local number = type(r.start) == "string" and ip or math.tointeger
  if number(r.inc) == 0 then
    return 1
  end
  assert(number(r.inc) == 1 and number(r.start) == number(r.min) and number(r.max) >= number(r.min))
  return number(r.max) - number(r.min) + 1
end
local function flows()
  local a, b = span("src_ip") * span("dst_ip"), span("src_port") * span("dst_port")
  local x, y = a, b
  while y ~= 0 do
    x, y = y, x % y
  end
  return a * b // x  -- the ranges step at once
end

local function rates(seconds)
  local size = port.range.pkt_size.start
  assert(size == port.size, "the rate is that of another size")
  local line = 10e9 / ((size + 20) * 8) * seconds
  local out = math.min(port.rate, options.tester)
  port.sent = math.floor(line * out / 100)
  port.received = math.floor(line * math.min(out, options.carries) / 100 * options.echoes)
  if options.denies == 1 and port.range.dst_port.start == 80 then
    port.received = 0
  end
end

pktgen = {
  set = function(ports, what, value)
    idle()
    is(ports, "string")
    port[what] = is(value, "number")
  end,
  set_mac = function(_, what, mac) assert(what == "dst" and mac:match("^%x%x:") and #mac == 17) end,
  set_ipaddr = function(_, what, address)
    assert((what == "src") == (address:match("/%d+$") ~= nil), "a source has a mask")
  end,
  set_type = function(_, kind) assert(kind == "ipv4") end,
  set_proto = function(_, kind) assert(kind == "udp") end,
  set_range = function(_, state) idle() port.on.range = state == "on" end,
  screen = function(state) is(state, "string") end,
  reset = function(ports) assert(ports == "all") idle() end,
  clr = function() port.sent, port.received = 0, 0 end,
  start = function()
    assert(port.on.range and not port.sending)
    local kind = port.range.dst_port.start == 80 and "denied" or "trial"
    trials[#trials + 1] = ("%s %d %d %.4f"):format(kind, port.size, flows(), port.rate)
    port.sending = true
  end,
  stop = function() port.sending = false end,
  delay = function(ms)
    assert(math.type(ms) == "integer" and ms > 0)
    if port.sending then
      assert(#trials ~= options.raise, "interrupted")
      rates(ms / 1000)
    end
  end,
  portStats = function(ports)
    idle()
    return {[tonumber(ports)] = {curr = {opackets = port.sent, ipackets = port.received}}, n = 1}
  end,
  linkState = function(ports) return {[tonumber(ports)] = options.link, n = 1} end,
  latency = function(_, what, value)
    assert(what == "on" or what == "off" or (what == "rate" and math.type(value) == "integer"))
    port.on.latency = what ~= "off"
  end,
  latsampler_params = function(_, kind, count, rate, path)
    assert(kind == "simple" and math.type(count) == "integer" and math.type(rate) == "integer")
    port.samples = path
  end,
  latsampler = function(_, state)
    if state == "off" then  -- a thousand samples: 1 to 1000 us
      local file = assert(io.open(port.samples, "w"))
      file:write("Latency\n")
      for us = 1000, 1, -1 do
        file:write(us * 1000, "\n")
      end
      file:close()
    else
      assert(port.on.latency)
    end
  end,
  range = setmetatable({ip_proto = function(_, kind) assert(kind == "udp") end}, {
    __index = function(_, field)
      return function(ports, what, value)
        is(ports, "string")
        idle()
        port.range[field] = port.range[field] or {}
        port.range[field][what] = value
      end
    end,
  }),
}
-- What Pktgen does not have ends the script.
setmetatable(pktgen, {__index = function(_, name) error("pktgen has no " .. name) end})

local plain_dofile = dofile
function dofile(path)
  local result = plain_dofile(path)
  if path:match("settings%.lua$") then
    for key, value in pairs(options.settings) do
      result[key] = value
    end
  end
  return result
end

local ok, problem = pcall(dofile, script)
print(table.concat(trials, "\n"))
print("sending " .. tostring(port.sending))
if not ok then
  print("error " .. tostring(problem))
  os.exit(1)
end
