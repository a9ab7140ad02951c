#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a libFuzzer target a fixed number of times from its corpus, which stays as it is:
#   search.sh TARGET CORPUS RUNS
# An input that fails is left in the working directory and printed in base64.
set -euo pipefail
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
"$1" -runs="$3" -seed=1 -max_len=4096 -timeout=20 -print_final_stats=1 "$found" "$2"
