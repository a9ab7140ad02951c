-- SPDX-License-Identifier: Apache-2.0
-- What rfc2544.lua and latency.lua have in common: the frames, and one trial.
--
-- Written for Pktgen-DPDK 26.02.4.  Pktgen takes the rate of a range from the size of its single
-- packet, and probes of latency are copies of that one, so both are always set.
local flows = {}

local function range(set, port, from, to, step)
  set(port, "start", from)
  set(port, "min", from)
  set(port, "max", to)
  set(port, "inc", step)
end

-- The address `n` after `address`.
local function address_after(address, n)
  local value = 0
  for byte in address:gmatch("%d+") do
    value = value << 8 | tonumber(byte)
  end
  value = value + n
  return ("%d.%d.%d.%d"):format(value >> 24, value >> 16 & 255, value >> 8 & 255, value & 255)
end

-- How many addresses and how many ports make at least `count` flows.  Pktgen steps both at once,
-- so a power of two goes with an odd number: only then does every pair appear.
function flows.shape(count, most_sources)
  local sources = 1
  while sources * 2 <= math.min(count, most_sources) do
    sources = sources * 2
  end
  local ports = (count + sources - 1) // sources
  if sources > 1 then
    ports = ports | 1
  end
  if ports > 64512 then
    error(("%d flows need %d ports of each of %d sources"):format(count, ports, sources), 0)
  end
  return sources, ports
end

-- Makes port `s.send` ready for frames of `size` bytes, FCS included, in `count` flows or, as
-- shape() has it, a few more: returns how many.  They go to `destination_port` or the settings'.
function flows.set_up(s, size, count, destination_port)
  destination_port = destination_port or s.destination_port
  local port, to = tostring(s.send), s.scenarios[s.scenario].destination
  local sources, ports = flows.shape(count, s.sources)
  local last = address_after(s.source, sources - 1)
  pktgen.set_type(port, "ipv4")
  pktgen.set_proto(port, "udp")
  pktgen.set_mac(port, "dst", s.gateway_mac)
  pktgen.set_ipaddr(port, "src", s.source .. "/32")
  pktgen.set_ipaddr(port, "dst", to)
  pktgen.set(port, "sport", 1024)
  pktgen.set(port, "dport", destination_port)
  pktgen.set(port, "size", size)
  pktgen.set(port, "count", 0)

  local ranges = pktgen.range
  ranges.ip_proto(port, "udp")
  ranges.dst_mac(port, "start", s.gateway_mac)
  range(ranges.src_ip, port, s.source, last, "0.0.0.1")
  range(ranges.dst_ip, port, to, to, "0.0.0.0")
  range(ranges.src_port, port, 1024, 1023 + ports, ports > 1 and 1 or 0)
  range(ranges.dst_port, port, destination_port, destination_port, 0)
  range(ranges.ttl, port, 64, 64, 0)
  range(ranges.pkt_size, port, size, size, 0)
  pktgen.set_range(port, "on")
  return sources * ports
end

-- Sends for `seconds` at `rate` per cent.  Returns how many frames left and how many came back.
function flows.trial(s, rate, seconds)
  local port = tostring(s.send)
  pktgen.clr()
  pktgen.set(port, "rate", rate)
  pktgen.start(port)
  pktgen.delay(math.floor(seconds * 1000))
  pktgen.stop(port)
  pktgen.delay(math.floor(s.settle * 1000))
  local sent = pktgen.portStats(port)[s.send].curr.opackets
  local received = pktgen.portStats(tostring(s.receive))[s.receive].curr.ipackets
  if sent == 0 then
    error("port " .. port .. " sent nothing: is its link up?", 0)
  end
  if received > sent * 1.001 then
    error(("sent %d, received %d: fragments, or traffic of others"):format(sent, received), 0)
  end
  return sent, received
end

-- Raises if anything comes back of what the gateway's policy denies.
function flows.check_denied(s)
  flows.set_up(s, 64, 1, s.denied_port)
  local sent, received = flows.trial(s, s.highest / 100, s.warm_up)
  if received > 0 then
    error(("%d of %d frames to port %d, which is denied, came back: is the policy in force?"):format(
      received, sent, s.denied_port), 0)
  end
end

-- Frames a second that the sender's link carries.
function flows.line_rate(s, size)
  local state = pktgen.linkState(tostring(s.send))[s.send]
  local mbit = tonumber(state:match("%d+"))
  if not mbit then
    error(("port %d: link %s"):format(s.send, state), 0)
  end
  return mbit * 1e6 / ((size + 20) * 8)  -- 20: preamble and gap
end

-- Calls `body` with a function that writes a line to the screen and to `name` in the directory of
-- results.  When this returns or raises, nothing is sent any more.  It does not outlive Pktgen: what
-- ends that ends all.
function flows.session(s, name, body)
  local path = s.results .. "/" .. name
  local file = assert(io.open(path, "w"))
  pktgen.screen("off")
  pktgen.reset("all")
  local ok, problem = pcall(body, function(line)
    print(line)
    file:write(line, "\n")
    file:flush()
  end)
  pktgen.stop("all")
  pktgen.latency("all", "off")
  pktgen.set_range(tostring(s.send), "off")
  file:close()
  pktgen.screen("on")
  if not ok then
    error(problem, 0)
  end
  print("results are in " .. path)
end

return flows
