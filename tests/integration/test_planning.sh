#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Constraints, reasons and plots of `braid plan` and `braid compare`, as users see them. test_planning.sh BIN
set -u
braid=$1/braid
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0
costs="--edge-gflops 10 --cloud-gflops 100 --up 20mbit"

# expect STATUS TEXT COMMAND...: the exit status, and a text in what it prints
expect() {
  want=$1 text=$2
  shift 2
  "$@" >"$tmp/out" 2>&1
  got=$?
  if [ "$got" -ne "$want" ] || ! grep -qF -- "$text" "$tmp/out"; then
    echo "FAILED: $*: status $got (want $want), or no '$text' in:"
    cat "$tmp/out"
    failures=$((failures + 1))
  fi
}

expect 1 "cannot be had" "$braid" plan googlenet $costs --max-latency 1ms
expect 0 "84 of 84 nodes" "$braid" plan googlenet $costs --pin-node output=edge --policy dads
expect 1 "pinned to the cloud" "$braid" plan googlenet $costs --pin-node conv1.relu=cloud --pin-node conv2.relu=edge --policy dads
expect 2 "no node 'nowhere'" "$braid" plan googlenet $costs --pin-node nowhere=edge
expect 0 "the results stay in the cloud" "$braid" plan googlenet $costs --deliver cloud
expect 0 '"bytes_down":0,' "$braid" plan googlenet $costs --deliver cloud --policy cloud-only --json
expect 0 '"deliver":"cloud"' "$braid" plan googlenet $costs --deliver cloud --policy edge-only --json
expect 0 "cic: its rules know only" "$braid" compare googlenet $costs --deliver cloud
expect 2 "neither edge nor cloud" "$braid" plan googlenet $costs --deliver home
expect 2 "not NAME=edge" "$braid" plan googlenet $costs --pin-node conv1.relu=home
expect 0 "without the limit of private" "$braid" plan googlenet $costs --private --why
expect 0 '"next":{' "$braid" plan googlenet $costs --private --why --json
expect 0 "cloud-only-jpeg   " "$braid" compare squeezenet1_1 $costs --jpeg-bytes 30000
expect 1 "must end in .svg or .png" "$braid" compare alexnet $costs --plot "$tmp/plot.gif"
expect 1 "gnuplot-nox" env PATH=/nowhere "$braid" compare alexnet $costs --plot "$tmp/plot.svg"
if command -v gnuplot >/dev/null; then
  expect 0 "dads" "$braid" compare alexnet $costs --plot "$tmp/plot.svg"
  expect 0 "</svg>" cat "$tmp/plot.svg"
  expect 0 "frames / s" cat "$tmp/plot.svg"
else
  echo "SKIPPED: gnuplot is not here"
fi

# A link that is good, gone, and slow for as long.
{
  echo time_s,mbps
  for t in 0 20; do printf '%s,40\n%s,0\n%s,0.5\n' $t.0 $((t + 10)).0 $((t + 10)).5; done
  printf '40,40\n'
  printf '41,40\n'
} >"$tmp/gone.csv"
replay="$braid bench pipeline googlenet --traces $tmp"
expect 0 "adaptive against the best static plan: mean better in 1" $replay
expect 0 '"mean_wins":1' $replay --fps 2 --json
expect 2 "--traces" "$braid" bench pipeline googlenet
printf 'time_s,mbps\n0,1\n0,2\n' >"$tmp/bad.csv"
expect 2 "bad.csv:3: 0.000 s is not after" "$braid" bench pipeline --traces "$tmp/bad.csv"
printf 'time_s,mbps\n0,-1\n' >"$tmp/bad.csv"
expect 2 "bad.csv:2: no row" "$braid" bench pipeline --traces "$tmp/bad.csv"
rm "$tmp/bad.csv"
if command -v gnuplot >/dev/null; then
  expect 0 "oracle" $replay --picture "$tmp/replay.svg"
  expect 0 "adaptive: " cat "$tmp/replay.svg"
fi
expect 2 "no benchmark" "$braid" bench nothing

# decide ENVIRONMENT POLICY OBJECTIVE: the plan, or why there is none; all but the time it took
decide() {
  env "$1" "$braid" plan squeezenet1_1 $costs --private --slices 2 --jpeg-bytes 30000 --policy "$2" --objective "$3" --json 2>&1 |
    sed 's/"decide_us":[^,}]*//'
}

# Another process, with something else in its memory, decides the same byte for byte.
policies=$("$braid" compare alexnet $costs --jpeg-bytes 30000 --json | grep -o '"policy":"[^"]*"' | cut -d'"' -f4 | sort -u)
[ "$(echo "$policies" | wc -l)" -ge 14 ] || { echo "FAILED: compare lists only: $policies"; failures=$((failures + 1)); }
for policy in $policies; do
  for objective in latency throughput; do
    first=$(decide MALLOC_PERTURB_=0 "$policy" "$objective")
    second=$(decide MALLOC_PERTURB_=165 "$policy" "$objective")
    if [ -z "$first" ] || [ "$first" != "$second" ]; then
      echo "FAILED: $policy, $objective: equal input, unequal plans: $first / $second"
      failures=$((failures + 1))
    fi
  done
done
exit "$failures"
