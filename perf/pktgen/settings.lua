-- SPDX-License-Identifier: Apache-2.0
-- What flows.lua, rfc2544.lua and latency.lua run with: the one file to edit.
-- Addresses are those of node/; README.md says how they fit together.
return {
  -- Pktgen's port that sends and the one on which frames come back: the same on one cable.
  send = 0,
  receive = 0,
  -- MAC address of the gateway's uplink.
  gateway_mac = "02:00:00:00:00:6f",

  -- One of `scenarios` below.
  scenario = "pod",
  scenarios = {
    -- To the echo pod of the gateway and back.
    pod = {
      destination = "10.244.153.201",
      sizes = {64, 128, 256, 512, 1024, 1280, 1518},
    },
    -- To a pod of the other node, which the tester plays: comes back in IPIP, 20 bytes longer,
    -- so 1498 is the most that a link of 1500 bytes carries.
    transit = {
      destination = "10.244.146.205",
      sizes = {64, 128, 256, 512, 1024, 1280, 1498},
      tunnelled = true,
    },
  },

  -- Numbers of flows to run with, each by itself.  Up to `sources` addresses from `source` on send
  -- from ports 1024 on.  Pktgen writes its frames once, when it starts: it has 32 768 for each
  -- core that sends, and so many flows at most.
  flows = {1, 10000},
  source = "198.18.0.1",
  sources = 64,
  destination_port = 5000,
  denied_port = 80,  -- none of it may come back: else it is not the policy that is measured

  -- The search of rfc2544.lua: rates are per cent of the link, loss is a share of what was sent
  -- (0.001 is a packet in a thousand), times are seconds.
  highest = 100,
  resolution = 0.1,
  loss = 0,
  seconds = 60,    -- of a trial; RFC 2544 asks for 60 in a last one
  settle = 3,      -- after it: the last frames, and Pktgen's counters, read once a second
  warm_up = 2,     -- before the first of a size, at a tenth of `highest`: connections open

  -- latency.lua: load in per cent, a probe every so many microseconds.
  latency = {rate = 10, seconds = 60, probe_us = 1000},

  -- Directory of the results.
  results = "/tmp",
}
