#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Real processes whose results stay in the cloud: as files, as lines, and what becomes of them when the cloud is killed or
# its disk is full. Every frame is in one place at least, under one id.
. "$(dirname "$0")/lib.sh"

model=squeezenet1_1

# plan NAME OPTION...: $tmp/NAME.json, decided on paper
plan() {
  name=$1
  shift
  status 0 "" "$braid" plan $model --edge-gflops 1 --cloud-gflops 100 --up 1gbit --rtt 1ms "$@" -o "$tmp/$name.json"
}

# cloud EVENTS OPTION...: sets $address and $pid
cloud() {
  events=$1
  shift
  listening "$events" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 1 --heartbeat 1s "$@"
}

# edge PLAN FRAMES OPTION...: its lines in $tmp/out
edge() {
  with=$1 n=$2
  shift 2
  status 0 "" "$braid" edge $model --connect "$address" --plan "$tmp/$with.json" --frames "$n" --threads 1 --heartbeat 1s \
    --json "$@"
}

# ids WHERE FILE: of the frames that are there by the edge's lines
ids() {
  grep "\"delivered\":\"$1\"" "$2" | sed 's/.*"id":"\([^"]*\)".*/\1/' | sort
}

# same TEXT FILE FILE
same() {
  checks=$((checks + 1))
  cmp -s "$2" "$3" || fail "$1: $(wc -l <"$2") and $(wc -l <"$3") lines"
}

# count WANTED FILE PATTERN
count() {
  checks=$((checks + 1))
  got=$(grep -c -- "$3" "$2")
  [ "$got" -eq "$1" ] || fail "$got times '$3' in $2, not $1: $(tail -n 2 "$2")"
}

# right FILE...: what one machine answers
right() {
  for f in "$@"; do
    checks=$((checks + 1))
    "$bin/npy_compare" "$f" "$tmp/one.npy" 1e-4 >/dev/null || fail "$f differs from one machine's answer"
  done
}

status 0 "" "$braid" run $model --threads 1 --output "$tmp/one.npy"
plan away --deliver cloud --policy cloud-only
plan up --deliver cloud --policy edge-only
plan home --policy cloud-only
status 2 "neither edge nor cloud" "$braid" edge $model --deliver home
status 2 "delivers to the edge" "$braid" edge $model --plan "$tmp/home.json" --deliver cloud

# Nobody there wants them.
cloud "$tmp/none"
status 4 "start the cloud with --results" "$braid" edge $model --connect "$address" --plan "$tmp/away.json" --frames 1
edge home 1
cp "$tmp/out" "$tmp/plain"
count 0 "$tmp/plain" '"id"'
kill "$pid"

# Files: all in the cloud, all on the edge, a policy's plan with this machine measured.
cloud "$tmp/files" --results "$tmp/results"
edge away 5
cp "$tmp/out" "$tmp/lines"
edge up 4 --output "$tmp/empty"
cat "$tmp/out" >>"$tmp/lines"
status 0 "" "$braid" edge $model --connect "$address" --deliver cloud --frames 3 --threads 1 --heartbeat 1s --json
cat "$tmp/out" >>"$tmp/lines"
ids cloud "$tmp/lines" >"$tmp/told"
sed 's/.*"id":"\([^"]*\)".*/\1/' "$tmp/results/results.jsonl" | sort >"$tmp/there"
count 12 "$tmp/told" .
same "the edges' ids and the index" "$tmp/told" "$tmp/there"
count 12 "$tmp/results/results.jsonl" '"outputs":\[{"name":'
right "$tmp/results"/*.npy
checks=$((checks + 1))
[ "$(ls "$tmp/results" | wc -l)" -eq 13 ] || fail "$(ls "$tmp/results")"
[ -z "$(ls "$tmp/empty")" ] || fail "the edge has written what is in the cloud: $(ls "$tmp/empty")"
kill "$pid"

# Lines: the same classes as the edge prints for results that come home.
"$braid" cloud --listen tcp://127.0.0.1:0 --threads 1 --heartbeat 1s --results - >"$tmp/stream" 2>"$tmp/log" </dev/null &
pid=$!
pids="$pids $pid"
told "$tmp/log" "listening on"
address=$(sed -n 's/.*listening on //p' "$tmp/log")
edge away 3
count 3 "$tmp/out" '"top":\[\],"id":"'
count 3 "$tmp/stream" '^{"id":"[0-9a-f]*-[0-9]*","edge":'
checks=$((checks + 1))
[ "$(wc -l <"$tmp/stream")" -eq 3 ] || fail "something else is on standard output: $(cat "$tmp/stream")"
grep -o '"top":.*\]' "$tmp/plain" | sort -u >"$tmp/plain.top"
grep -o '"top":.*\]' "$tmp/stream" | sort -u >"$tmp/stream.top"
same "the best classes" "$tmp/plain.top" "$tmp/stream.top"
kill "$pid"

# The cloud is killed while frames flow: what is not there is finished by the edge, and written by it.
cloud "$tmp/killed" --results "$tmp/left"
timeout 100 "$braid" edge $model --connect "$address" --plan "$tmp/away.json" --frames 40 --fps 20 --threads 1 --heartbeat 1s \
  --json --output "$tmp/kept" >"$tmp/mixed" 2>"$tmp/mixed.err" </dev/null &
edge=$!
pids="$pids $edge"
told "$tmp/mixed" '"delivered":"cloud"'
kill -9 "$pid"
checks=$((checks + 1))
wait "$edge" || fail "the edge: exit status $?"
sed 's/.*"id":"\([^"]*\)".*/\1/' "$tmp/left/results.jsonl" | sort >"$tmp/there"
ids cloud "$tmp/mixed" >"$tmp/told"
ids edge "$tmp/mixed" >"$tmp/here"
same "no id twice in the cloud" "$tmp/there" <(sort -u "$tmp/there")
same "no id twice on the edge" <(sort "$tmp/here" "$tmp/told") <(sort -u "$tmp/here" "$tmp/told")
same "what the edge was told of is there" "$tmp/told" <(comm -12 "$tmp/told" "$tmp/there")
checks=$((checks + 2))
[ "$(sort -u "$tmp/there" "$tmp/here" | wc -l)" -eq 40 ] || fail "of 40 frames $(sort -u "$tmp/there" "$tmp/here" | wc -l) are somewhere"
[ "$(ls "$tmp/kept" | wc -l)" -eq "$(wc -l <"$tmp/here")" ] || fail "$(ls "$tmp/kept")"
count 1 "$tmp/mixed" '"lost":0,"duplicates":0'
right "$tmp/kept"/*.npy

# A disk that has no room to spare, and a full one: said by the cloud, and the edge keeps all of its frames.
cloud "$tmp/little" --results "$tmp/spare" --results-spare 1000000GiB
edge up 3
count 3 "$tmp/out" '"delivered":"edge"'
told "$tmp/little" "refused.*--results-spare"
kill "$pid"
mkdir "$tmp/full"
ln -s /dev/full "$tmp/full/results.jsonl"
cloud "$tmp/events" --results "$tmp/full"
edge away 6
count 6 "$tmp/out" '"delivered":"edge"'
told "$tmp/events" "refused.*No space left on device"
checks=$((checks + 1))
[ "$(ls "$tmp/full")" = results.jsonl ] || fail "left behind: $(ls "$tmp/full")"
kill "$pid"
finish
