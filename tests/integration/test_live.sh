#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# braid edge --live on a terminal (script makes one), and without. However the edge ends, the cursor is back at the end.
. "$(dirname "$0")/lib.sh"
esc=$(printf '\033')
unset NO_COLOR
export TERM=xterm LC_ALL=C.UTF-8

listening "$tmp/cloud" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 1 --profiles "$tmp"
edge="$braid edge squeezenet1_1 --connect $address --threads 1 --profile $tmp/edge.json --timeout 60s --live"

# Without a terminal: a line of the log every second, frames as ever.
status 0 "live: [0-9]* answered of [0-9]*, [01] in flight, 0 lost, .* frames/s" $edge --frames 30 --fps 10
checks=$((checks + 1))
[ "$(grep -c '^frame ' "$tmp/out")" -eq 30 ] || fail "frames are not listed where there is no terminal"
grep -q "$esc" "$tmp/err" && fail "escape sequences without a terminal"
status 0 '"event":"live".*"answered":' $edge --frames 30 --fps 10 --log-format json

if ! command -v script >/dev/null; then
  echo "SKIPPED: no 'script' here, so no terminal: the picture of --live"
  finish
fi

# on_terminal NAME COMMAND...: what it writes on a terminal of 100 x 30, in $tmp/NAME; its process number in $tmp/pid
on_terminal() {
  name=$1
  shift
  rm -f "$tmp/pid"
  timeout "$limit" script -qefc "stty cols 100 rows 30; echo \$\$ >$tmp/pid; exec $*" /dev/null \
    >"$tmp/$name" 2>&1 </dev/null
  got=$?
}

# cursor NAME: hidden first, shown last
cursor() {
  checks=$((checks + 1))
  grep -q "$esc\[?25l" "$tmp/$1" || fail "$1: the cursor was never hidden"
  [ "$(grep -o "$esc\[?25[lh]" "$tmp/$1" | tail -n 1)" = "$esc[?25h" ] || fail "$1: the cursor stays hidden"
}

# shows NAME PATTERN / hides NAME PATTERN
shows() {
  checks=$((checks + 1))
  grep -qE -- "$2" "$tmp/$1" || fail "$1: no '$2'"
}
hides() {
  checks=$((checks + 1))
  grep -qE -- "$2" "$tmp/$1" && fail "$1: '$2' is there"
}

on_terminal drawn $edge --frames 20 --fps 20
[ "$got" -eq 0 ] || fail "on a terminal: exit status $got"
cursor drawn
shows drawn "20 submitted  20 answered  0/1 in flight" # the last picture is of the end
shows drawn "● cloud $address"
shows drawn "epoch [0-9]+ by braid: [0-9]+ of [0-9]+ nodes here"
shows drawn "$esc\[8A" # drawn over the one before
shows drawn "$esc\[32m"
hides drawn "^frame "
shows drawn "20 frames, 20 answered, 0 lost" # the summary follows

NO_COLOR=1 on_terminal plain $edge --frames 10 --fps 10
hides plain "$esc\[[0-9]*m"
cursor plain
TERM=dumb on_terminal dumb $edge --frames 15 --fps 10
hides dumb "$esc\["
shows dumb "live: "
LC_ALL=C on_terminal ascii $edge --frames 5 --fps 10
shows ascii "\* cloud $address"

# Log lines scroll by above the picture: before each it is wiped. The cloud there is none of makes the edge say so.
on_terminal alone "$braid" edge squeezenet1_1 --connect tcp://127.0.0.1:1 --timeout 200ms --fallback start --threads 1 \
  --profile "$tmp/edge.json" --live --frames 20 --fps 10
shows alone "● alone"
shows alone "alone: all [0-9]+ nodes here"
cursor alone

# ended NAME SIGNAL [SIGNAL]: after a second of drawing
ended() {
  name=$1
  shift
  on_terminal "$name" $edge --frames 100000 --fps 20 &
  waiter=$!
  for i in $(seq 300); do
    grep -q "answered" "$tmp/$name" 2>/dev/null && [ -s "$tmp/pid" ] && break
    sleep 0.1
  done
  for signal in "$@"; do kill -s "$signal" "$(cat "$tmp/pid")"; done
  wait "$waiter"
  cursor "$name"
}
ended term TERM
shows term "answered, 0 lost" # it ended in good order
ended quit QUIT
ended hangup HUP
finish
