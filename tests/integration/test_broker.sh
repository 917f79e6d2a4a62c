#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Real processes: a broker, three workers, four edges. While frames flow one worker is killed, one is ended by SIGTERM, one
# joins; with keys on both sides. Every frame is answered, and the answers are those of one machine.
. "$(dirname "$0")/lib.sh"

model=squeezenet1_1
frames=60
"$braid" keys "$tmp/edges" --edge cam1 >/dev/null && "$braid" keys "$tmp/workers" --edge w1 --edge stranger >/dev/null
sed -i '/^stranger /d' "$tmp/workers/allowed"

# worker NAME: a cloud that joins the broker, its events in $tmp/NAME; sets $pid
worker() {
  "$braid" cloud --join "$workers" --keys "$tmp/workers" --as "${2:-w1}" --profiles "$tmp/profiles" --heartbeat 1s \
    --threads 1 >"$tmp/$1" 2>>"$tmp/background.err" </dev/null &
  pid=$!
  pids="$pids $pid"
}

mkdir "$tmp/profiles"
status 0 "" "$braid" profile $model --repeat 2 -o "$tmp/profiles/$model.json"
status 0 "" "$braid" run $model --threads 1 --output "$tmp/one.npy"
status 0 "" "$braid" plan $model --edge-gflops 1 --cloud-gflops 100 --up 1gbit --rtt 1ms --policy cloud-only \
  -o "$tmp/plan.json"
listening "$tmp/events" "$braid" broker --listen tcp://127.0.0.1:0 --workers tcp://127.0.0.1:0 --keys "$tmp/edges" \
  --worker-keys "$tmp/workers" --heartbeat 1s
front=$address broker=$pid
told "$tmp/events" "workers on"
workers=$(awk '/^workers on/ {print $3}' "$tmp/events")

status 4 "no worker has joined" "$braid" edge $model --connect "$front" --keys "$tmp/edges" --plan "$tmp/plan.json" --frames 1
worker first && first=$pid
worker second && second=$pid
told "$tmp/events" "has joined; 2 in all"
worker alien stranger
told "$tmp/events" "refused"

edges=""
for i in 1 2 3 4; do
  timeout 200 "$braid" edge $model --connect "$front" --keys "$tmp/edges" --plan "$tmp/plan.json" --frames $frames --fps 12 --heartbeat 1s \
    --threads 1 --output "$tmp/out$i" --json >"$tmp/edge$i" 2>"$tmp/edge$i.err" </dev/null &
  edges="$edges $!"
done
told "$tmp/first" planned
told "$tmp/second" planned
kill -9 "$first"
told "$tmp/events" "has gone"
worker third && third=$pid
checks=$((checks + 1)) # the second time that there are two
for i in $(seq 300); do [ "$(grep -c "has joined; 2 in all" "$tmp/events")" -ge 2 ] && break; sleep 0.1; done
kill -TERM "$second"
told "$tmp/second" draining
told "$tmp/third" planned
for e in $edges; do
  checks=$((checks + 1))
  wait "$e" || fail "edge $e: exit status $?"
done
for i in 1 2 3 4; do
  checks=$((checks + 1))
  grep -q "\"answered\":$frames" "$tmp/edge$i" && grep -q '"lost":0' "$tmp/edge$i" && grep -q '"duplicates":0' "$tmp/edge$i" ||
    fail "edge $i: $(tail -n 1 "$tmp/edge$i")"
  for f in "$tmp/out$i"/*; do
    "$bin/npy_compare" "$f" "$tmp/one.npy" 1e-4 >/dev/null || fail "$f differs from one machine's answer"
  done
  checks=$((checks + $(ls "$tmp/out$i" | wc -l)))
done
checks=$((checks + 1))
wait "$second"
[ $? -eq 143 ] || fail "the worker that was ended by SIGTERM: exit status $?"
kill "$broker"
finish
