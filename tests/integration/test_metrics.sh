#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --metrics of a cloud, a broker and an edge at work: the text format is kept to the letter, every metric that the dashboard
# draws is there, and whoever asks for something else gets an answer that is none.
. "$(dirname "$0")/lib.sh"
dashboard=$(cd "$(dirname "$0")/../../runtime/deploy/grafana" && pwd)/braid.json

# http METHOD PATH: status line in $answer, body in $tmp/body; from 127.0.0.1:$port
http() {
  exec 8<>"/dev/tcp/127.0.0.1/$port" || { answer=none; return; }
  printf '%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' "$1" "$2" >&8
  cat <&8 >"$tmp/answer"
  exec 8<&-
  answer=$(head -n 1 "$tmp/answer" | tr -d '\r')
  sed '1,/^\r$/d' "$tmp/answer" >"$tmp/body"
}

# wants METHOD PATH STATUS
wants() {
  checks=$((checks + 1))
  http "$1" "$2"
  case $answer in "HTTP/1.1 $3"*) ;; *) fail "$1 $2: '$answer', not $3" ;; esac
}

# The exposition format: HELP and TYPE before samples of a family, names and numbers well formed, counters called _total, buckets that
# only grow and end with +Inf, nothing twice.
keeps_the_format() {
  checks=$((checks + 1))
  awk '
    function bad(why) { print FILENAME ": line " NR ": " why ": " $0; wrong = 1 }
    /^# HELP [a-z_]+ .+\.?$/ { if ($3 in help) bad("help twice"); help[$3] = 1; next }
    /^# TYPE [a-z_]+ (counter|gauge|histogram)$/ {
      if (!($3 in help)) bad("no help"); if ($3 in type) bad("type twice"); type[$3] = $4
      if ($4 == "counter" && $3 !~ /_total$/) bad("a counter ends in _total"); next }
    /^[a-z_]+(\{([a-z_]+="[^"]*",?)+\})? ([0-9.e+-]+|NaN|[+-]Inf)$/ {
      key = $0; sub(/ [^ ]*$/, "", key); if (key in seen) bad("twice"); seen[key] = 1
      name = key; sub(/\{.*/, "", name); family = name
      if (!(family in type)) sub(/_(bucket|sum|count)$/, "", family)
      if (!(family in type)) bad("no type"); count[family]++
      if (name ~ /_bucket$/) { if ($NF + 0 < last[family]) bad("a bucket shrinks"); last[family] = $NF + 0; le[family] = key }
      if (name ~ /_count$/ && type[family] == "histogram" && ($NF + 0 != last[family] || le[family] !~ /\+Inf/)) bad("count is not the last bucket")
      next }
    { bad("no line of the format") }
    END { for (f in type) if (!count[f]) { print "no sample of " f; wrong = 1 } exit wrong }' "$tmp/body" >"$tmp/bad" ||
    fail "$1: $(head -3 "$tmp/bad")"
}

# at FILE: the port that a process says its metrics are at
at() {
  told "$1" "metrics at"
  port=$(sed -n 's/.*metrics at http:\/\/[0-9.]*:\([0-9]*\)\/metrics.*/\1/p' "$1" | tail -n 1)
}

scrape() {
  wants GET /metrics 200
  grep -qi '^content-type: text/plain; version=0.0.4' "$tmp/answer" || fail "$1: another content type"
  keeps_the_format "$1"
  cat "$tmp/body" >>"$tmp/all"
}

"$braid" broker --listen tcp://127.0.0.1:0 --workers tcp://127.0.0.1:0 --metrics 0 >"$tmp/broker" 2>"$tmp/broker.err" </dev/null &
pids="$pids $!"
told "$tmp/broker" "workers on"
"$braid" cloud --join "$(awk '/^workers on/ {print $3}' "$tmp/broker")" --metrics 127.0.0.1:0 --threads 1 --memory 1GiB \
  >"$tmp/cloud" 2>"$tmp/cloud.err" </dev/null &
pids="$pids $!"
told "$tmp/broker" "has joined"
"$braid" edge squeezenet1_1 --connect "$(awk '/^listening on/ {print $3}' "$tmp/broker")" --metrics :0 --threads 1 --frames 100000 \
  --adapt off --fps 20 >"$tmp/edge" 2>"$tmp/edge.err" </dev/null &
edge=$!
pids="$pids $edge"
told "$tmp/edge" "^frame 10 "

for who in broker cloud edge; do
  at "$tmp/$who.err"
  scrape $who
  wants GET /healthz 200
  wants HEAD /metrics 200
  wants GET / 404
  wants GET "/../../etc/passwd" 404
  wants POST /metrics 405
  wants DELETE /metrics 405
done
checks=$((checks + 2))
awk '$1 == "braid_edge_answers_total" && $2 > 0 { found = 1 } END { exit !found }' "$tmp/all" || fail "no frame was answered"
awk '$1 == "braid_broker_workers" && $2 == 1 { found = 1 } END { exit !found }' "$tmp/all" || fail "the broker has no worker"
for name in $(grep -o '\(braid\|process\)_[a-z_]*' "$dashboard" | sort -u); do
  checks=$((checks + 1))
  grep -q "^$name[ {]" "$tmp/all" || fail "the dashboard draws $name, which nobody has"
done
checks=$((checks + 1)) # junk, and somebody who says nothing, are cut off; the figures go on
exec 7<>"/dev/tcp/127.0.0.1/$port"
head -c 100000 /dev/urandom >&7 2>/dev/null
exec 7<&-
wants GET /metrics 200

status 2 "HOST:PORT" "$braid" cloud --listen tcp://127.0.0.1:0 --metrics nonsense:port
status 1 "metrics at" "$braid" cloud --listen tcp://127.0.0.1:0 --metrics "127.0.0.1:$port"
kill -TERM "$edge"
wait "$edge"
[ $? -eq 143 ] || fail "the edge ended with $?"
grep -q " 0 lost" "$tmp/edge" || fail "the edge prints no summary after SIGTERM: $(tail -n 2 "$tmp/edge")"
finish
