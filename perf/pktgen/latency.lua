-- SPDX-License-Identifier: Apache-2.0
-- Latency beside a load (RFC 2544, 26.2): every size of the scenario at `latency.rate` per cent, with
-- Pktgen's probes (UDP to port 1028, 84 bytes) among the frames.  Set the rate to what rfc2544.lua
-- found, or below.
--   Pktgen:/> load perf/pktgen/latency.lua
-- Prints CSV, microseconds there and back, and leaves it in latency-SCENARIO.csv.
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local settings = dofile(here .. "settings.lua")
local flows = dofile(here .. "flows.lua")

-- Nanoseconds, sorted, of the file that Pktgen's sampler writes.
local function samples_of(path)
  local samples = {}
  for line in io.lines(path) do
    samples[#samples + 1] = tonumber(line)  -- not its first line, a title
  end
  table.sort(samples)
  return samples
end

-- Sorted samples, number of flows and frames lost of one size.
local function sample(s, size, count)
  local path = s.results .. "/latency-samples.txt"
  local send, receive = tostring(s.send), tostring(s.receive)
  local probes = math.floor(s.latency.seconds * 1e6 / s.latency.probe_us)
  count = flows.set_up(s, size, count)
  for _, port in ipairs({send, receive}) do
    pktgen.latency(port, "rate", s.latency.probe_us)
    pktgen.latency(port, "on")
  end
  flows.trial(s, s.latency.rate, s.warm_up)
  pktgen.latsampler_params(receive, "simple", probes, math.floor(1e6 / s.latency.probe_us), path)
  pktgen.latsampler(receive, "on")
  local sent, received = flows.trial(s, s.latency.rate, s.latency.seconds)
  pktgen.latsampler(receive, "off")
  return samples_of(path), count, sent - received
end

local function row(s, size, least_flows)
  local samples, count, lost = sample(s, size, least_flows)
  if #samples == 0 then
    error("no probe came back: does the policy allow UDP port 1028?", 0)
  end
  local sum = 0
  for _, ns in ipairs(samples) do
    sum = sum + ns
  end
  local function quantile(q)
    return samples[math.max(1, math.ceil(q * #samples))] / 1000
  end
  return ("%d,%d,%g,%d,%d,%.2f,%.2f,%.2f,%.2f,%.2f,%.2f"):format(
    size, count, s.latency.rate, #samples, lost, quantile(0), sum / #samples / 1000,
    quantile(0.5), quantile(0.99), quantile(0.999), quantile(1))
end

if settings.scenarios[settings.scenario].tunnelled then
  error("Pktgen does not find its probes in a tunnel: use the scenario pod", 0)
end
flows.session(settings, ("latency-%s.csv"):format(settings.scenario), function(say)
  say("size,flows,rate_percent,probes,lost,least,mean,median,p99,p999,most")
  for _, count in ipairs(settings.flows) do
    for _, size in ipairs(settings.scenarios[settings.scenario].sizes) do
      say(row(settings, size, count))
    end
  end
end)
