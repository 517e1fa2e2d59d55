#!/usr/bin/env bash
# Sets everything up and runs every check and test: test.sh [--quick] [--only STEP]
#   --quick      without sanitizers and fuzzers
#   --only STEP  one step, by its name in the headlines
# What cannot run here is counted as skipped. As root on a kernel with AF_XDP nothing may be skipped,
# unless NODEPLANE_ALLOW_SKIP=1. The last line is `N passed, N failed, N skipped`.
set -uo pipefail
cd "$(dirname "$0")/.."

quick=0 only=
while (($#)); do
  case $1 in
    --quick) quick=1 ;;
    --only) only=${2:?--only needs a step}; shift ;;
    *) sed -n '2,6s/^# //p' "$0"; exit 2 ;;
  esac
  shift
done

results=build/results
fuzz_seconds=${NODEPLANE_FUZZ_SECONDS:-30}
jobs=$(nproc)
passed=0 failed=0 skipped=0
failures=()
mkdir -p $results

# --- counting ---------------------------------------------------------------------------------

number() { # of the last line that the pattern finds, or 0
  local n
  n=$(grep -oP "$1" "$2" | tail -n 1)
  echo "${n:-0}"
}

sum() { # of what the pattern finds
  grep -oP "$1" "$2" | awk '{ n += $1 } END { print n + 0 }'
}

# Adds up what the logs of GoogleTest and tap say; a step without either is one test.
count() { # log status
  local p f=0 s=0
  if grep -q '^\[  PASSED  \]' "$1"; then
    p=$(sum '^\[  PASSED  \] \K\d+' "$1")
    f=$(sum '^\[  FAILED  \] \K\d+(?= test)' "$1")
    s=$(sum '^\[  SKIPPED \] \K\d+(?= test)' "$1")
  elif grep -q '^# { total: ' "$1"; then
    p=$(number '^# \{ total: .*\bpass: \K\d+' "$1")
    f=$(number '^# \{ total: .*\bfail: \K\d+' "$1")
    s=$(($(number '^# \{ total: .*\bskip: \K\d+' "$1") + $(number '^# \{ total: .*\btodo: \K\d+' "$1")))
  else
    p=$(($2 == 0))
  fi
  (($2 == 0 || f > 0)) || f=1
  ((passed += p, failed += f, skipped += s))
}

reasons() {
  { grep -oE '# SKIP.*' "$1"; grep -h --no-group-separator -A 1 ': Skipped$' "$1"; } | sed 's/^/    /'
}

# What went wrong, from a log that may be long.
complaints() {
  if grep -q '^ *not ok' "$1"; then
    grep -A 30 '^ *not ok' "$1" | head -n 300
  elif grep -q '^\[  PASSED  \]' "$1"; then
    grep -A 15 ': Failure$' "$1" | head -n 200
    grep '^\[  FAILED  \]' "$1"
  else
    tail -n 150 "$1"
  fi
}

step() { # name command...
  local name=$1 log=$results/$1.log start=$SECONDS status=0
  shift
  [[ -z $only || $only == "$name" ]] || return 0
  printf '== %-14s' "$name"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  count "$log" $status
  printf '%s  %d s\n' "$([[ $status == 0 ]] && echo ok || echo FAILED)" $((SECONDS - start))
  reasons "$log"
  ((status)) || return 0
  failures+=("$name")
  complaints "$log"
  return 1
}

skip() { # name reason
  [[ -z $only || $only == "$1" ]] || return 0
  printf '== %-14sskipped: %s\n' "$1" "$2"
  ((skipped += 1))
}

# --- what the steps run -----------------------------------------------------------------------

build() { # folder target option...
  local folder=build/$1 target=$2
  shift 2
  cmake -S . -B "$folder" "$@" && cmake --build "$folder" --parallel "$jobs" --target "$target"
}

native() { # folder gtest-filter
  # In parts side by side: the tests together wait more than they work.
  # TSan of GCC 12 wants less randomness in the address space than newer kernels give.
  local part run status=0 runs=()
  for part in 0 1 2; do
    GTEST_TOTAL_SHARDS=3 GTEST_SHARD_INDEX=$part timeout 1800 setarch -R \
      "build/$1/nodeplane_tests" --gtest_filter="$2" >"$results/$1-$part.log" 2>&1 &
    runs+=($!)
  done
  for run in "${runs[@]}"; do wait "$run" || status=1; done
  cat "$results/$1-"[012].log
  return $status
}

# Linked with what set-up built for the addon; the option goes off again, so that a build stays one.
native_tests() {
  local status=0
  build cmake nodeplane_tests -DNODEPLANE_TESTS=ON || status=1
  cmake -S . -B build/cmake -DNODEPLANE_TESTS=OFF
  ((status == 0)) && native cmake '*'
}

# One build for the native tests and the addon with AddressSanitizer.
asan_build() {
  node scripts/gyp-build.mjs build/addon-asan --config RelWithDebInfo --CDNODEPLANE_TESTS=ON \
    --CDNODEPLANE_SANITIZE=address,undefined --CDNODEPLANE_MODULE_DIR="$PWD/build/addon-asan/module"
}
tsan_build() {
  build tsan nodeplane_tests -DNODEPLANE_TESTS=ON -DNODEPLANE_SANITIZE=thread
}
fuzz_build() {
  build fuzz all -DNODEPLANE_FUZZ=ON -DNODEPLANE_SANITIZE=address,undefined \
    -DCMAKE_CXX_COMPILER=clang++
}

# The builds of later steps, behind everybody else, while tests run that mostly wait.
builds=
build_ahead() {
  [[ -z $only ]] && ((!quick)) || return 0
  (
    renice -n 19 $BASHPID
    asan_build
    tsan_build
    fuzz_build
  ) >$results/builds.log 2>&1 </dev/null &
  builds=$!
}
hurry() { # pid...; with what they have started
  local pid
  for pid in "$@"; do
    renice -n 0 "$pid"
    # shellcheck disable=SC2046
    hurry $(<"/proc/$pid/task/$pid/children")
  done
}
built() { # what a step needs; a failed build is tried, and told, again
  if [[ -n $builds ]]; then
    hurry "$builds" >/dev/null 2>&1 # now somebody waits for it
    wait "$builds"
  fi
  "$1"
}

asan_tests() { built asan_build && native addon-asan '*'; }
tsan_tests() { built tsan_build && native tsan '*Concurrent*'; }

tests_in() { # folder: the compiled form of the tests that are in the sources now
  find "$@" -name '*.test.ts' | sort | sed 's|^|build/js/|; s|ts$|js|'
}

tap() { # jobs file...
  local tap_jobs=$1
  shift
  timeout 1800 npx --no-install tap --reporter=tap --jobs="$tap_jobs" "$@"
}

# The stories again, with the module that asan_tests built; its runtime must be loaded before node.
asan_addon() {
  NODEPLANE_MODULE=$PWD/build/addon-asan/module/nodeplane.node ASAN_OPTIONS=detect_leaks=0 TAP_TIMEOUT=600 \
    LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)" \
    timeout 1800 node build/js/test/story/run.test.js
}

fuzz() {
  built fuzz_build || return
  # Side by side; each one's findings stay in $results.
  local source name run status=0 runs=()
  for source in test/fuzz/*_fuzz.cc; do
    name=$(basename "$source" .cc)
    mkdir -p "build/fuzz/corpus/$name"
    "build/fuzz/$name" -max_total_time="$fuzz_seconds" -timeout=120 -print_final_stats=1 \
      -artifact_prefix="$results/$name-" "build/fuzz/corpus/$name" &
    runs+=($!)
  done
  node build/js/test/fuzz/config_fuzz.js --seconds "$fuzz_seconds" &
  runs+=($!)
  for run in "${runs[@]}"; do wait "$run" || status=1; done
  return $status
}

# --- the run ----------------------------------------------------------------------------------

root() { ((EUID == 0)); }

if ! step setup scripts/setup.sh --test; then
  echo "setup failed; nothing else was tried"
  echo "$passed passed, $failed failed, $skipped skipped"
  exit 1
fi
step generated node scripts/generate.mjs --check
step biome npx --no-install biome check .
step clang-format scripts/clang-format.sh --dry-run -Werror
step rooms node scripts/check-rooms.mjs
step tsc npm run --silent build:js
build_ahead
# shellcheck disable=SC2046
step story tap 1 $(tests_in test/story)
# shellcheck disable=SC2046
step memif tap 2 $(tests_in test/memif)
if root; then
  # shellcheck disable=SC2046
  step net tap 2 $(tests_in test/net)
else
  skip net "network namespaces need root"
fi
step native native_tests
step instructions node build/js/bench/instructions.js
# shellcheck disable=SC2046
step tap tap "$jobs" $(tests_in test | grep -vE '/test/(story|net|memif)/')
if ((!quick)); then
  step asan asan_tests
  step tsan tsan_tests
  step asan-addon asan_addon
fi
((quick)) || step fuzz fuzz

echo
if ((${#failures[@]})); then echo "failed: ${failures[*]}"; fi
if root && grep -q '^XDP' /proc/net/protocols && ((skipped)) && [[ ${NODEPLANE_ALLOW_SKIP:-0} != 1 ]]; then
  echo "failed: $skipped skipped where everything can run"
  ((failed += 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
