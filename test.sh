#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, and runs every check: format, lint and layering; unit, fuzz,
# golden and system tests; the demo; the same tests under ASan and UBSan (of the system tests
# three files), the thread tests under TSan.  Ends with one summary line.
#   sudo ./test.sh [--long]    --long: the swap, kill and delta tests in full, all system tests
#                              under ASan, all of .clang-tidy, perf/ built
set -uo pipefail
cd "$(dirname "$0")"
case "${1:-}" in
  "") ;;
  --long) export SLUICE_LONG=1 ;;
  *) echo "usage: sudo ./test.sh [--long]" >&2; exit 2 ;;
esac
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

# beside NAME COMMAND...: begins a check after those begun before, at low priority: tests sleep
# a lot.  finish NAME: its result.
declare -A pids logs
last=
beside() {
  local name=$1
  shift
  logs[$name]=$(mktemp)
  set -m  # a process group of its own, to end it by
  (
    renice -n 19 "$BASHPID" >/dev/null
    [ -z "$last" ] || tail --pid="$last" -f /dev/null
    "$@"
  ) >"${logs[$name]}" 2>&1 &
  set +m
  last=$!
  pids[$name]=$last
}
result() {
  wait "${pids[$1]}"
  local status=$?
  [ "$last" != "${pids[$1]}" ] || last=
  unset "pids[$1]"  # the number may be another's soon
  cat "${logs[$1]}"
  rm -f "${logs[$1]}"
  return "$status"
}
finish() {
  check "$1" result "$1"
}
clean_up() {
  for name in "${!pids[@]}"; do
    kill -- "-${pids[$name]}" 2>/dev/null
    rm -f "${logs[$name]}"
  done
}
trap clean_up EXIT
trap 'exit 130' INT TERM

sources() {
  git ls-files '*.h' '*.cc' | grep -v '\.bpf\.c$'
}
formatted() {
  sources | xargs clang-format --dry-run -Werror
}
licensed() {
  ! git ls-files '*.h' '*.cc' '*.c' '*.lua' '*.sh' '*.py' 'meson.build' '*/meson.build' '.ci/*' |
    xargs grep -L 'SPDX-License-Identifier' | grep .
}
# .clang-tidy: but for the analyzer of six sources at a time, which takes a third of the time;
# with --long all of each by itself, which also proves that each includes what it needs.
lint() {
  local dir=build-lint unity=on checks='-bugprone-suspicious-include,-clang-analyzer-*'
  [ "${SLUICE_LONG:-}" != 1 ] || { dir=build-lint-long unity=off checks=; }
  targets=(fastpath/sluice_xdp_bytes.h perf/e2e/traffic_bytes.h)
  build "$dir" -Dunity="$unity" -Dperf=enabled || return
  python3 -c '
import json, sys
for unit in json.load(open(sys.argv[1])):
    if not unit["output"].startswith("tests/"):
        print(unit["directory"] + "/" + unit["file"])' "$dir/compile_commands.json" |
    xargs -P "$(nproc)" -n 1 clang-tidy -p "$dir" --quiet --checks="$checks" \
      --header-filter='/(classifier|config|control|fastpath|perf|perf/e2e)/[^/]*\.(h|cc)$' \
      --extra-arg=-Wno-everything 2>/dev/null
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

# run_tests DIR MESON-TEST-OPTIONS...: adds what meson counted to the summary.  A test that
# hangs is ended, one that a slow machine makes slow is not.
run_tests() {
  local dir=$1 log before=$failed patience=4
  shift
  [ "$dir" = build ] || patience=12
  log=$(mktemp)
  meson test -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier "$patience" "$@" 2>&1 |
    tee "$log"
  local status=${PIPESTATUS[0]}
  passed=$((passed + $(awk '/^Ok:/ {n = $2} END {print n + 0}' "$log")))
  failed=$((failed + $(awk '/^(Fail|Timeout|Unexpected Pass):/ {n += $NF} END {print n + 0}' "$log")))
  if ! grep -q '^Ok: ' "$log" || { [ "$status" != 0 ] && [ "$failed" = "$before" ]; }; then
    echo "FAILED: meson test in $dir ended with $status"
    failed=$((failed + 1))
  fi
  rm -f "$log"
}

./.ci/packages || exit 2
check "format" formatted
check "licence lines" licensed
check "file length" short_files
check "layering" python3 tests/layering_test.py

perf=disabled
[ "${SLUICE_LONG:-}" != 1 ] || perf=enabled
check "build" build build -Ddebug=false -Dperf="$perf"
beside "build with ASan and UBSan" build build-asan \
  -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=g \
  -Dcpp_args='-g1 -fno-sanitize=object-size'
beside "lint" lint
targets=(
  tests/classifier/settle_test
  tests/control/supervision_test
  tests/fastpath/worker_test
)
beside "build with TSan" build build-tsan \
  -Db_sanitize=thread -Db_lundef=false -Doptimization=g -Ddebug=false -Dcpp_args=-g1
run_tests build
check "demo" ./demo.sh
finish "build with ASan and UBSan"
run_tests build-asan --no-suite system --no-suite threads
if [ "${SLUICE_LONG:-}" = 1 ]; then
  run_tests build-asan --suite system
else
  run_tests build-asan system_forwarding system_policy system_reload
fi
finish "lint"
finish "build with TSan"
run_tests build-tsan --suite threads

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
