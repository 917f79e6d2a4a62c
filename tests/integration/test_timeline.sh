#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# braid timeline over traces of real edge and cloud processes, with 10 ms each way between them: nothing comes before
# it was sent, and the offset of the clocks is the one that they have. Processes on one machine share a clock; in a time
# namespace the cloud's is a day ahead (where the kernel and our rights allow that).
. "$(dirname "$0")/lib.sh"

# field NAME: a number of the JSON in $tmp/out; the first of that name
field() { grep -o "\"$1\":[-0-9.e+]*" "$tmp/out" | head -n 1 | cut -d: -f2; }

# holds WHAT EXPRESSION: awk's
holds() {
  checks=$((checks + 1))
  awk "BEGIN { exit !($2) }" || fail "$1: $2"
}

# run NAME WRAPPER EDGE-OPTION...: NAME.edge, NAME.cloud, NAME.merged; the cloud is run by WRAPPER, which may be ""
run() {
  name=$1 wrapper=$2
  shift 2
  : >"$tmp/$name.out"
  listening "$tmp/$name.out" $wrapper bash -c 'echo $$ >"$1"; shift; exec "$@"' - "$tmp/$name.pid" "$braid" cloud \
    --listen tcp://127.0.0.1:0 --threads 1 --profiles "$tmp" --trace "$tmp/$name.cloud"
  started=$pid
  listening "$tmp/$name.link" "$bin/braid-linkemu" --to "${address#tcp://}" --up 100mbit --down 100mbit --rtt 20ms
  link=$pid
  status 0 '' "$braid" edge squeezenet1_1 --connect "tcp://$address" --threads 1 --timeout 60s \
    --profile "$tmp/squeezenet1_1.json" --adapt off --trace "$tmp/$name.edge" "$@"
  kill -TERM "$(cat "$tmp/$name.pid")"
  wait "$started"
  kill "$link"
  wait "$link"
}

# agrees NAME OFFSET_US: timeline and summary of that run
agrees() {
  status 0 '' "$braid" timeline "$tmp/$1.edge" "$tmp/$1.cloud" -o "$tmp/$1.merged" --svg "$tmp/$1.svg" --json
  fields frames offset_us uncertainty_us drift_ppm rows kind name planned_ms measured_ms totals latency_ms planned \
    measured
  cp "$tmp/out" "$tmp/$1.json"
  uncertainty=$(field uncertainty_us)
  holds "$1: the offset" "$(field offset_us) - $2 < $uncertainty && $2 - $(field offset_us) < $uncertainty"
  holds "$1: half a round trip of 20 ms is the least" "$uncertainty >= 10000"
  # The cloud may not have noted the end of the last frame yet when the edge leaves: its messages are nobody's then.
  holds "$1: nothing is lost" "$(field messages_lost) == 0 || $(field frames) < $(field frames_in_trace)"
  checks=$((checks + 1))
  "$bin/timeline_check" "$tmp/$1.merged" 10 || fail "$1: the timeline is not possible"
  grep -q '^</svg>' "$tmp/$1.svg" || fail "$1: no picture"
}

run plain "" --policy cloud-only --frames 6
agrees plain 0
holds "six frames" "$(field frames) >= 5 && $(field frames_in_trace) == 6"
# All is in the cloud: the input goes up, every other row is the cloud's, and what the plan sends is what was sent.
grep -q '"kind":"up","planned_ms":[0-9.]*[1-9]' "$tmp/out" || fail "nothing was planned for the uplink"
grep -q '"kind":"edge"[^}]*"node"' "$tmp/out" && fail "the edge computed something"
status 0 '' "$braid" timeline "$tmp/plain.edge" "$tmp/plain.cloud" --rows 3
grep -q "smaller differences" "$tmp/out" || fail "--rows 3 is not said"
grep -q "^latency " "$tmp/out" || fail "no row of the latency"

# A wrong clock does not pass.
sed 's/"offset_ns":-\{0,1\}[0-9]*/"offset_ns":40000000/' "$tmp/plain.edge" >"$tmp/wrong.edge"
status 0 '' "$braid" timeline "$tmp/wrong.edge" "$tmp/plain.cloud" -o "$tmp/wrong.merged"
checks=$((checks + 1))
"$bin/timeline_check" "$tmp/wrong.merged" 10 >/dev/null 2>"$tmp/err" && fail "a clock off by 40 ms goes unnoticed"
grep -q "before it can" "$tmp/err" || fail "a clock off by 40 ms is found for another reason"

# Three in flight, so that plans overlap; then a clock that is a day ahead.
run three "" --policy cloud-only --frames 9 --window 3
agrees three 0
if unshare -T --monotonic 86400 --fork true 2>/dev/null; then
  run ahead "unshare -T --monotonic 86400 --fork" --policy cloud-only --frames 4
  agrees ahead 86400e6
else
  echo "SKIPPED: no time namespace here (unshare -T): a cloud whose clock is a day ahead"
fi

# A plan that was given: nothing is predicted without the costs, and --plan takes them.
costs="--edge-gflops 10 --cloud-gflops 80 --up 100mbit --rtt 20ms"
status 0 '' "$braid" plan squeezenet1_1 --policy cloud-only $costs -o "$tmp/plan.json"
run given "" --plan "$tmp/plan.json" --frames 3
status 0 '' "$braid" timeline "$tmp/given.edge" "$tmp/given.cloud" --json
grep -q '"planned":null' "$tmp/out" || fail "a prediction out of nothing"
status 0 '' "$braid" timeline "$tmp/given.edge" "$tmp/given.cloud" --plan "$tmp/plan.json" --model squeezenet1_1 \
  $costs --json
holds "the plan's forecast" "$(field planned) > 30 && $(field planned) < 100"

# What cannot be joined is refused by name.
status 3 "no session in common" "$braid" timeline "$tmp/plain.edge" "$tmp/three.cloud"
status 3 "no session in common" "$braid" timeline "$tmp/plain.cloud" "$tmp/plain.edge"
status 3 "nowhere.json: No such file" "$braid" timeline "$tmp/nowhere.json" "$tmp/plain.cloud"
head -c 5000 "$tmp/plain.edge" >"$tmp/cut"
status 3 "cut: not a trace of braid: .*event" "$braid" timeline "$tmp/cut" "$tmp/plain.cloud"
echo '{"traceEvents":[]}' >"$tmp/object"
status 3 "does not begin with" "$braid" timeline "$tmp/object" "$tmp/plain.cloud"
echo '[{"ph":"X","tid":1,"name":"x","ts":1,"dur":1,"args":{"frame":-1,"node":0,"rows":"0-1"}}]' >"$tmp/minus"
status 3 'event 1: "frame"' "$braid" timeline "$tmp/minus" "$tmp/plain.cloud"
status 2 "needs --model" "$braid" timeline "$tmp/plain.edge" "$tmp/plain.cloud" --plan "$tmp/plan.json"
status 1 "nowhere/x" "$braid" timeline "$tmp/plain.edge" "$tmp/plain.cloud" -o "$tmp/nowhere/x"
status 2 "" "$braid" timeline "$tmp/plain.edge"
finish
