#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Does a libFuzzer target compile and link?  Arguments: the compiler and its flags.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
printf 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n' \
  >"$directory/probe.cc"
"$@" "$directory/probe.cc" -o "$directory/probe" 2>/dev/null
