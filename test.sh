#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, and runs every check: format and layering, unit tests, the
# demo as a system test, unit tests under ASan and UBSan, the worker test under TSan.  Ends with
# one summary line.
#   sudo ./test.sh
set -uo pipefail
cd "$(dirname "$0")"
passed=0
failed=0

# check NAME COMMAND...: one check of the summary.
check() {
  local name=$1
  shift
  echo "== $name"
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $name"
  fi
}

sources() {
  git ls-files '*.h' '*.cc' | grep -v '\.bpf\.c$'
}
formatted() {
  sources | xargs clang-format --dry-run -Werror
}
licensed() {
  ! git ls-files '*.h' '*.cc' '*.c' '*.sh' '*.py' 'meson.build' '*/meson.build' '.ci/*' |
    xargs grep -L 'SPDX-License-Identifier' | grep .
}
short_files() {
  ! sources | xargs wc -l | awk '$2 != "total" && $1 > 700' | grep .
}

# build DIR MESON-OPTIONS...: everything, or $targets.
targets=()
build() {
  local dir=$1
  shift
  [ -f "$dir/build.ninja" ] || meson setup "$dir" "$@" >"$dir.log" 2>&1 ||
    { cat "$dir.log"; return 1; }
  ninja -C "$dir" --quiet "${targets[@]}"
}

# run_tests DIR MESON-TEST-OPTIONS...: adds what meson counted to the summary.
run_tests() {
  local dir=$1 log
  shift
  log=$(mktemp)
  meson test -C "$dir" --no-rebuild --print-errorlogs "$@" 2>&1 | tee "$log"
  passed=$((passed + $(awk '/^Ok:/ {n = $2} END {print n + 0}' "$log")))
  failed=$((failed + $(awk '/^(Fail|Timeout|Unexpected Pass):/ {n += $NF} END {print n + 0}' "$log")))
  rm -f "$log"
}

./.ci/packages || exit 2
check "format" formatted
check "licence lines" licensed
check "file length" short_files
check "layering" python3 tests/layering_test.py

check "build" build build
run_tests build
check "demo" ./demo.sh
check "build with ASan and UBSan" build build-asan \
  -Db_sanitize=address,undefined -Db_lundef=false
run_tests build-asan --no-suite system --no-suite threads
targets=(tests/fastpath/worker_test)
check "build with TSan" build build-tsan -Db_sanitize=thread -Db_lundef=false
TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp" run_tests build-tsan --suite threads

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
