#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Instructions per packet of pipeline_bench's subjects, counted by valgrind's callgrind between
# the first burst of a ring and the last; writing frames and setting up is not in it.
#   perf/instructions.sh [BUILD-DIR] [pipeline_bench options...]
# By default 1 000 flows and rules on every path; a million flows take valgrind minutes.
# Valgrind shows programs an AVX2 processor: with AVX-512, rte_acl would take fewer.
set -euo pipefail
build=build
if [ $# -gt 0 ] && [ -d "$1" ]; then
  build=$1
  shift
fi
command -v valgrind >/dev/null || { echo "valgrind is not installed" >&2; exit 2; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
[ $# -gt 0 ] || set -- --flows 1000 --first-rules 1000
valgrind --quiet --tool=callgrind --collect-atstart=no --callgrind-out-file="$out/counts" \
  "$build/perf/pipeline_bench" --count --runs 1 --packets 16384 --pages 4k "$@" \
  >"$out/said" 2>&1 || { cat "$out/said" >&2; exit 1; }
printf '%-9s %8s %-12s %6s  %-14s %12s\n' path flows packets rules subject instructions
for counts in $(ls "$out"/counts.* | sort -V); do
  awk '/^desc: Trigger: Client Request: / {sub(/^desc: Trigger: Client Request: /, ""); name = $0}
       /^totals: / {total = $2}
       END {
         if (split(name, f, "|") == 6) {
           printf "%-9s %8s %-12s %6s  %-14s %12.0f\n", f[1], f[2], f[3], f[4], f[6], total / f[5]
         }
       }' "$counts"
done
