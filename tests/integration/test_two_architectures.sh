#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The two ends of a session on two architectures: one is this machine's `braid`, the other a cross-compiled one under its
# emulator. Both ways round; the reference kernels give the same bits, the fast ones answers to 1e-4 of the largest.
#   test_two_architectures.sh BIN OTHER_BIN EMULATOR...
if [ ! -x "$1/braid" ] || [ ! -x "$1/npy_compare" ]; then
  echo "SKIPPED: no braid and npy_compare of this machine in $1 (./braid.sh build)"
  exit 77
fi
. "$(dirname "$0")/lib.sh"
limit=300 # emulated
other=$(cd "$2" && pwd)/braid
shift 2
# The input is private, so both ends have work; in slices, so they are at a frame together.
costs="--edge-workers 1 --cloud-workers 1 --edge-gflops 10 --cloud-gflops 80 --up 200mbit --rtt 1ms --private"


# session KERNELS TOLERANCE CLOUD EDGE NET: two frames; CLOUD and EDGE are the words that start them
session() {
  kernels=$1 tolerance=$2 net=$5
  listening "$tmp/cloud.out" $3 cloud --listen tcp://127.0.0.1:0 --threads 1 --kernels "$kernels" --profiles "$tmp"
  cloud=$pid
  rm -rf "$tmp/answers"
  status 0 '' $4 edge "$net" --connect "$address" --threads 1 --kernels "$kernels" --plan "$tmp/plan.json" --frames 2 \
    --timeout 120s -o "$tmp/answers"
  status 0 '' "$bin/npy_compare" "$tmp/want.npy" "$(ls "$tmp"/answers/000001_*.npy | head -n 1)" "$tolerance"
  kill "$cloud"
  wait "$cloud" 2>/dev/null
}

foreign="$* $other"
for net in squeezenet1_1 mobilenet_v2; do
  # shellcheck disable=SC2086
  status 0 '' "$braid" plan "$net" --policy braid --slices 3 $costs -o "$tmp/plan.json"
  tr -d ' \n' <"$tmp/plan.json" | grep -q '"crossing":\[{' || fail "the plan of $net has nothing on one end"
  for kernels in ref fast; do
    [ "$kernels" = ref ] && tolerance=0 || tolerance=1e-4
    status 0 '' "$braid" run "$net" --kernels "$kernels" --threads 1 -o "$tmp/want.npy"
    before=$failures
    session "$kernels" $tolerance "$braid" "$foreign" "$net"
    session "$kernels" $tolerance "$foreign" "$braid" "$net"
    [ "$failures" -eq "$before" ] && echo "$net, $kernels: agree" || echo "$net, $kernels: DIFFER"
  done
done
finish
