#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# braid demo on a small network: every row's answers agree, files are left, no process is. Says nothing about times.
. "$(dirname "$0")/lib.sh"
# On a machine that is busy with other things its processes may wait for seconds: that is neither silence nor a hang.
limit=180
heartbeat="--heartbeat 20s"
status 0 '' "$braid" demo $heartbeat --model squeezenet1_1 --frames 4 --latency-frames 2 --ratio 2 --up 200mbit --out "$tmp/drawn" --json
fields rows model policy latency_ms predicted_latency_ms fps predicted_fps bytes_up agrees
checks=$((checks + 1))
[ "$(grep -o '"agrees":true' "$tmp/out" | wc -l)" -eq 6 ] || fail "not five rows and the private run that agree"
for f in results.json squeezenet1_1-braid.trace.json squeezenet1_1-braid.timeline.svg squeezenet1_1-braid.graph.svg; do
  checks=$((checks + 1))
  [ -s "$tmp/drawn/$f" ] || fail "no $f"
done
grep -q '"name":"edge"' "$tmp/drawn/squeezenet1_1-braid.trace.json" || fail "no edge in the trace"
grep -q '"name":"cloud"' "$tmp/drawn/squeezenet1_1-braid.trace.json" || fail "no cloud in the trace"

# With the raw input kept at home every view has a part on the edge: one view is computed there while another is on the wire
# and a third runs in the cloud, and the trace shows it. Processes that get no CPU may miss each other, so it is tried three
# times; each time the answers have to agree.
overlapped() {
  status 0 '' "$braid" demo $heartbeat --model mvcnn4_resnet18 --policy decc --frames 2 --latency-frames 1 --rounds 1 \
    --ratio 4 --up 40mbit --out "$tmp/drawn" --json
  grep -q '"three_at_once_ms":[0-9.]*[1-9]' "$tmp/out"
}
checks=$((checks + 1))
for try in 1 2 3; do
  overlapped && break
  echo "try $try: edge, link and cloud never worked on three branches at once; load $(cut -d' ' -f1-3 /proc/loadavg)"
  [ $try -lt 3 ] || fail "edge, link and cloud never worked on three branches at once"
done

# Interrupted while its processes run: they end, too, and nothing stays in the temporary directory.
mkdir "$tmp/t"
TMPDIR=$tmp/t "$braid" demo $heartbeat --model squeezenet1_1 --frames 100000 --out "$tmp/drawn" >"$tmp/out" 2>"$tmp/err" &
demo=$!
pids="$pids $demo"
# Its children are seen in /proc; the edge that runs frames is the one to wait for.
deadline=$((SECONDS + 60))
until pgrep -P "$demo" -f ' edge ' >"$tmp/edge" || [ $SECONDS -ge $deadline ]; do :; done
children=$(pgrep -P "$demo" | tr '\n' ' ')
kill -INT "$demo"
wait "$demo"
got=$?
checks=$((checks + 2))
[ $got -eq 130 ] || fail "demo after SIGINT: exit status $got ($(tail -n 1 "$tmp/err"))"
for p in $children; do kill -0 "$p" 2>/dev/null && fail "process $p outlives the demo"; done
[ -z "$(ls "$tmp/t")" ] || fail "the demo left $(ls "$tmp/t")"
finish
