#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Models that edges upload, between real processes: over a thin link, through a broker, with keys, to a cloud that is killed or
# ended meanwhile, and where it is not allowed. The answers are those of one machine.
#   test_upload.sh BIN
. "$(dirname "$0")/lib.sh"

net=$tmp/edge/mine.onnx
mkdir "$tmp/edge" "$tmp/profiles"
status 0 "" "$braid" export squeezenet1_1 "$net"
status 0 "" "$braid" run "$net" --threads 1 --output "$tmp/one.npy"
status 0 "" "$braid" profile "$net" --repeat 2 -o "$tmp/edge.json"
status 0 "" "$braid" plan "$net" --edge-gflops 1 --cloud-gflops 100 --up 1gbit --rtt 1ms --policy cloud-only -o "$tmp/plan.json"
sha=$(sha256sum "$net" | cut -d' ' -f1)

# cloud FILE OPTION...: listens, events in FILE; sets $address and $pid
cloud() {
  file=$1
  shift
  listening "$file" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 1 --models "$tmp/models" "$@"
}

# runs URL NAME: the edge runs frames there, and the answers are right
runs() {
  rm -rf "$tmp/answers"
  status 0 "" "$braid" edge "$net" --connect "$1" --name "$2" --plan "$tmp/plan.json" --frames 3 --threads 1 \
    --fallback off --output "$tmp/answers" "${@:3}"
  for f in "$tmp/answers"/*; do
    checks=$((checks + 1))
    "$bin/npy_compare" "$f" "$tmp/one.npy" 1e-4 >/dev/null || fail "$f differs from one machine's answer"
  done
}

kept() {
  checks=$((checks + 1))
  [ "$(ls "$tmp/models/uploaded" | grep -c .)" -eq "$1" ] || fail "$2: $(ls "$tmp/models/uploaded")"
}

# ---- wrong use, and what is not allowed
status 2 "needs --models" "$braid" cloud --accept-models
status 2 "not both" "$braid" cloud --accept-models --models "$tmp/models" --only googlenet
status 2 "above 0" "$braid" cloud --accept-models --models "$tmp/models" --models-quota 0
status 1 "/dev/null" "$braid" cloud --accept-models --models /dev/null
status 2 "networks of the zoo" "$braid" edge squeezenet1_1 --upload-model
# y = x + w, with w in a file beside it
printf '\x08\x07\x3a\x4f\x0a\x0e\x0a\x01x\x0a\x01w\x12\x01y\x22\x03Add\x12\x01g\x2a\x18\x08\x01\x10\x01\x42\x01w\x6a\x0d' \
  >"$tmp/outside.onnx"
printf '\x0a\x08location\x12\x01wp\x01\x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01b\x0f\x0a\x01y' \
  >>"$tmp/outside.onnx"
printf '\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\x42\x02\x10\x0d' >>"$tmp/outside.onnx"
printf 'abcd' >"$tmp/w"
status 0 "" "$braid" info "$tmp/outside.onnx"
status 3 "outside.onnx.*'w' refused: this model must be whole in one file" "$braid" edge "$tmp/outside.onnx" --upload-model
cloud "$tmp/off"
status 4 "start the cloud with --accept-models" "$braid" edge "$net" --connect "$address" --upload-model --plan "$tmp/plan.json"
status 4 "the cloud, --upload-model on the edge" "$braid" edge "$net" --connect "$address" --plan "$tmp/plan.json"
kill "$pid"
cloud "$tmp/small" --accept-models --max-model 1MiB
status 4 "raise its --max-model" "$braid" edge "$net" --connect "$address" --upload-model --plan "$tmp/plan.json"
status 4 "start the edge with --upload-model" "$braid" edge "$net" --connect "$address" --plan "$tmp/plan.json"
kill "$pid"
cloud "$tmp/quota" --accept-models --models-quota 1MiB
status 4 "raise its --models-quota" "$braid" edge "$net" --connect "$address" --upload-model --plan "$tmp/plan.json"
kill "$pid"
kept 0 "nothing was taken"

# ---- a disk that is full, as far as a limit on files can play one
listening "$tmp/full" bash -c "trap '' XFSZ; ulimit -f 1000; exec \"\$@\"" x "$braid" cloud --listen tcp://127.0.0.1:0 \
  --threads 1 --models "$tmp/models" --accept-models
status 4 "no room on its disk" "$braid" edge "$net" --connect "$address" --upload-model --plan "$tmp/plan.json"
kill "$pid"
wait "$pid"
kept 0 "a file without room"

# ---- killed, and ended, half way: a thin link gives the time
if [ -x "$bin/braid-linkemu" ]; then
  for signal in KILL TERM; do
    cloud "$tmp/cut.$signal" --accept-models --drain 0
    victim=$pid
    listening "$tmp/link.$signal" "$bin/braid-linkemu" --to "${address#tcp://}" --up 1mbit --down 1mbit --rtt 20ms
    "$braid" edge "$net" --connect "tcp://$address" --upload-model --plan "$tmp/plan.json" --fallback off >/dev/null 2>"$tmp/err" &
    told "$tmp/cut.$signal" "^upload "
    for i in $(seq 300); do ls "$tmp/models/uploaded" | grep -q part- && break; sleep 0.1; done
    kill -"$signal" "$victim"
    wait "$victim" 2>/dev/null
    wait $!
    kill "$pid"
    if [ $signal = KILL ]; then kept 1 "a file of a cloud that was killed"; else kept 0 "a file of a cloud that was ended"; fi
  done
fi

# ---- taken: over a link as thin as a model may have to come, while heartbeats go on; after a restart it is there
cloud "$tmp/on" --accept-models --profiles "$tmp/profiles"
kept 0 "what the killed cloud had left"
url=$address server=$pid
if [ -x "$bin/braid-linkemu" ]; then
  listening "$tmp/link" "$bin/braid-linkemu" --to "${address#tcp://}" --up 8mbit --down 8mbit --rtt 40ms
  url=tcp://$address
fi
runs "$url" mine --upload-model
told "$tmp/on" "^uploaded .*model mine"
checks=$((checks + 1))
cmp -s "$net" "$tmp/models/uploaded/$sha.onnx" || fail "the file that came is another"
kept 2 "the model, and where its network is from"
status 0 "" "$braid" edge "$net" --connect "$url" --profile "$tmp/edge.json" --frames 2 --fallback off # wants a profile
checks=$((checks + 1))
[ "$(ls "$tmp/profiles" | grep -c .)" -eq 1 ] || fail "profiles: $(ls "$tmp/profiles")"
kill "$server"
wait "$server"
cloud "$tmp/again" --accept-models --profiles "$tmp/profiles"
runs "$address" "some-name"
runs "$address" "squeezenet1_0" # a name that is another network there
checks=$((checks + 1))
grep -q "^upload" "$tmp/again" && fail "it was uploaded again"
kill "$pid"
wait "$pid"

# ---- through a broker, with keys
rm -rf "$tmp/models"
"$braid" keys "$tmp/edges" --edge cam1 >/dev/null && "$braid" keys "$tmp/workers" --edge w1 >/dev/null
listening "$tmp/broker" "$braid" broker --listen tcp://127.0.0.1:0 --workers tcp://127.0.0.1:0 --keys "$tmp/edges" \
  --worker-keys "$tmp/workers"
front=$address
told "$tmp/broker" "workers on"
"$braid" cloud --join "$(awk '/^workers on/ {print $3}' "$tmp/broker")" --keys "$tmp/workers" --as w1 --threads 1 \
  --models "$tmp/models" --accept-models >"$tmp/worker" 2>>"$tmp/background.err" </dev/null &
pids="$pids $!"
told "$tmp/broker" "has joined"
runs "$front" mine --upload-model --keys "$tmp/edges"
told "$tmp/worker" "^uploaded edge .*(cam1)"
runs "$front" mine --keys "$tmp/edges"
checks=$((checks + 1))
cmp -s "$net" "$tmp/models/uploaded/$sha.onnx" || fail "the file that came through the broker is another"
finish
