#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command line against docs/cli.md: help, JSON fields, exit statuses, files that are wrong, peers that fail.
. "$(dirname "$0")/lib.sh"
net=squeezenet1_1
commands="models info export run profile plan compare breakpoints cloud edge demo topo tune help"

# --- help and usage
for c in $commands; do
  status 0 '' "$braid" $c --help
  grep -q "^usage: braid $c " "$tmp/out" || fail "$c --help has no usage line"
  status 0 '' "$braid" help --man $c
  grep -q '^\.SH OPTIONS' "$tmp/out" || fail "no man page of $c"
  status 2 "unknown option '--nonesuch'" "$braid" $c --nonesuch
done
status 0 '' "$braid" --help
for c in $commands; do grep -q "^  $c " "$tmp/out" || fail "--help does not list $c"; done
status 2 "did you mean 'profile'" "$braid" profil
status 2 "did you mean '--threads'" "$braid" run $net --treads 1
status 2 "needs a value" "$braid" run $net --threads
status 2 "takes no value" "$braid" run $net --json=1
status 2 "missing argument" "$braid" run
status 2 "too many arguments" "$braid" info $net $net
status 2 "not a whole number" "$braid" run $net --repeat 0
status 2 "not a rate|write it like" "$braid" plan $net --edge-gflops 1 --cloud-gflops 9 --up 20
status 2 "none of ref, rules, fast" "$braid" run $net --kernels quick
status 2 "none of fp32, bf16, int8" "$braid" run $net --precision int4
status 2 "goes with --precision int8" "$braid" run $net --calibrate nowhere
status 2 "none of fp32, bf16, int8" "$braid" edge $net --precision int4
status 2 "unknown option '--precision'" "$braid" cloud --precision int8
status 2 "heartbeat is 10ms to 60s" "$braid" edge $net --heartbeat 0
status 2 "heartbeat is 10ms to 60s" "$braid" cloud --heartbeat 61s
status 2 "heartbeat is 10ms to 60s" "$braid" demo --heartbeat 9ms
status 2 "unknown policy 'dadds'; did you mean 'dads'" "$braid" plan $net --edge-gflops 1 --cloud-gflops 9 --policy dadds
status 2 "no costs for the edge" "$braid" plan $net --cloud-gflops 9
status 2 "not there yet" "$braid" plan $net --edge-gflops 1 --cloud-gflops 9 --codec int8

# --- JSON
status 0 '' "$braid" models --json
fields name params macs branches input
status 0 '' "$braid" info $net --json --svg "$tmp/g.svg" --dot "$tmp/g.dot"
fields name hash nodes id op inputs shape bytes macs branch slices_max joints blocks entry exit branches bottlenecks ratio \
  params weight_bytes arena_bytes arena_bound_bytes packed_bytes scratch_bytes
grep -q '</svg>' "$tmp/g.svg" || fail "info --svg wrote no SVG"
grep -q '^digraph\|^strict digraph' "$tmp/g.dot" || fail "info --dot wrote no DOT"
status 0 '' "$braid" topo --json
fields workers io kinds name cpuset numa kind warnings applies
status 0 '' "$braid" profile $net --repeat 1 --json -o "$tmp/profile.json"
fields model hash machine threads nodes id us
status 0 '' "$braid" plan $net --edge "$tmp/profile.json" --cloud-gflops 500 --json -o "$tmp/plan.json" --svg "$tmp/t.svg" \
  --trace "$tmp/t.json" --graph-svg "$tmp/p.svg"
fields policy objective edge_nodes crossing latency_ms period_ms edge_ms up_ms cloud_ms down_ms bound_ms gap decide_us mix
grep -q '</svg>' "$tmp/t.svg" && grep -q '</svg>' "$tmp/p.svg" && grep -q '"ph"' "$tmp/t.json" || fail "plan drew nothing"
status 0 '' "$braid" compare $net --edge-gflops 10 --cloud-gflops 80 --json --objective throughput --slices 4
fields rows policy latency_ms period_ms bytes_up decide_us gap
status 0 '' "$braid" breakpoints $net --edge-gflops 10 --cloud-gflops 80 --loads 1,4 --json -o "$tmp/table.json"
fields premise_holds ranges from_mbit to_mbit edge_nodes latency_from_ms latency_to_ms build_us lookup_ns cuts
grep -q '"ranges"' "$tmp/table.json" || fail "breakpoints wrote no table"
status 0 '' "$braid" run $net --json --repeat 2 --window 2 --threads 2 --trace "$tmp/run.json" -o "$tmp/o_{i}_{name}.npy"
fields outputs name shape top class label score latency_ms min p50 p99 fps peak_rss_bytes arena_bytes arena_bound_bytes packed_bytes \
  scratch_bytes
[ -s "$tmp/o_0_output.npy" ] && grep -q '"ph"' "$tmp/run.json" || fail "run wrote no output or no trace"

# --- lower precision
for p in bf16 int8; do
  status 0 '' "$braid" run $net --json --precision $p --repeat 2 --threads 1
  fields precision name agreement_top1 agreement_top5 images max_abs_diff psnr_db ms fp32_ms speedup
  grep -q "\"name\":\"$p\"" "$tmp/out" || fail "run --precision $p does not say so"
done
status 0 '' "$braid" run $net --precision int8 -o "$tmp/low.npy"
grep -q "calibrated with 1 of the inputs" "$tmp/err" || fail "nothing is said of where the ranges come from"
grep -q "^precision int8: .* the same first class in" "$tmp/out" || fail "run --precision int8 compares nothing"
status 3 "nowhere: no such file" "$braid" run $net --precision int8 --calibrate "$tmp/nowhere"

# --- files that are wrong
status 3 "no such network" "$braid" run nonesuch
status 3 "nonesuch.onnx" "$braid" info "$tmp/nonesuch.onnx"
status 0 '' "$braid" export $net "$tmp/net.onnx"
head -c 20000 "$tmp/net.onnx" >"$tmp/cut.onnx"
status 3 "cut.onnx" "$braid" run "$tmp/cut.onnx"
head -c 5000 /dev/urandom >"$tmp/noise.onnx"
status 3 "noise.onnx" "$braid" info "$tmp/noise.onnx"
status 3 "nonesuch.npy" "$braid" run $net -i "$tmp/nonesuch.npy"
status 3 "t.svg" "$braid" run $net -i "$tmp/t.svg"
cp "$tmp/noise.onnx" "$tmp/noise.jpg"
status 3 "noise.jpg" "$braid" run $net -i "$tmp/noise.jpg"
status 3 "float32 elements do not fit input 'input'" "$braid" run $net -i "$tmp/o_0_output.npy"
status 3 "has 4 inputs" "$braid" run mvcnn4_resnet18 -i "$tmp/o_0_output.npy"
echo '{"edge_nodes":[999999]}' >"$tmp/bad.json"
status 3 "bad.json.*edge_nodes" "$braid" info $net --svg "$tmp/g.svg" --plan "$tmp/bad.json"
status 3 "bad.json" "$braid" plan $net --edge "$tmp/bad.json" --cloud-gflops 9
status 1 "/nonesuch/x.npy" "$braid" run $net -o /nonesuch/x.npy

# --- an exported model is the same network
status 0 '' "$braid" run $net --kernels ref -o "$tmp/a.npy"
status 0 '' "$braid" run "$tmp/net.onnx" --kernels ref -o "$tmp/b.npy"
status 0 '' "$bin/npy_compare" "$tmp/a.npy" "$tmp/b.npy" 1e-5

# --- two processes: answers, statistics
listening "$tmp/cloud.out" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 1 --kernels ref --profiles "$tmp" \
  --trace "$tmp/cloud.json"
url=$address cloud=$pid
status 0 '' "$braid" edge $net --connect "$url" --kernels ref --threads 1 --frames 2 --json --plan "$tmp/plan.json" \
  -o "$tmp/answers" --trace "$tmp/edge.json"
tail -n 1 "$tmp/out" >"$tmp/last" && head -n 1 "$tmp/out" >"$tmp/first"
cp "$tmp/first" "$tmp/out"
fields frame latency_ms plan epoch top
cp "$tmp/last" "$tmp/out"
fields summary frames answered lost duplicates latency_ms p50 p90 p99 fps bytes_up bytes_down replans fallbacks \
  predicted_latency_ms predicted_fps
status 0 '' "$bin/npy_compare" "$tmp/a.npy" "$tmp/answers/000001_output.npy" 0
grep -q '"ph"' "$tmp/edge.json" || fail "edge wrote no trace"
status 4 "busy|in use" "$braid" cloud --listen "$url"

# --- keys: made once, used, asked for
status 0 '' "$braid" keys "$tmp/keys" --edge cam1
grep -q "made .*/edges/cam1.key" "$tmp/out" || fail "keys does not say what it made"
status 0 '' "$braid" keys "$tmp/keys" --edge cam1 --edge cam2 --json
fields dir keys name made
grep -q '"name":"edges/cam1","made":false' "$tmp/out" || fail "keys made a key anew"
status 2 "cannot name an edge" "$braid" keys "$tmp/keys" --edge a/b
listening "$tmp/locked.out" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 1 --kernels ref --profiles "$tmp" \
  --keys "$tmp/keys"
status 0 '' "$braid" edge $net --connect "$address" --kernels ref --threads 1 --plan "$tmp/plan.json" \
  --keys "$tmp/keys" --as cam1
status 4 "keys" "$braid" edge $net --connect "$address" --kernels ref --threads 1 --plan "$tmp/plan.json"
status 3 "which one" "$braid" edge $net --connect "$address" --keys "$tmp/keys" --plan "$tmp/plan.json" --threads 1
sed -i /cam2/d "$tmp/keys/allowed"
status 4 "allow-list" "$braid" edge $net --connect "$address" --kernels ref --threads 1 --plan "$tmp/plan.json" \
  --keys "$tmp/keys" --as cam2
told "$tmp/locked.out" "joined edge .* (cam1)"
told "$tmp/locked.out" "refused 127.0.0.1.* is not in the list"
kill "$pid"
wait "$pid" 2>/dev/null
status 2 "insecure" "$braid" cloud --listen "tcp://*:0"
status 2 "not both" "$braid" cloud --keys "$tmp/keys" --insecure
status 3 "cloud.key" "$braid" cloud --keys "$tmp/nowhere"
chmod 644 "$tmp/keys/cloud.key"
status 3 "chmod 600" "$braid" cloud --listen tcp://127.0.0.1:0 --keys "$tmp/keys"

# --- a wrong network, an unknown one
mkdir "$tmp/models"
status 0 '' "$braid" export $net "$tmp/models/net.onnx" --batch 2
listening "$tmp/other.out" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 1 --kernels ref --models "$tmp/models"
status 0 '' "$braid" plan "$tmp/net.onnx" --edge-gflops 10 --cloud-gflops 80 -o "$tmp/net.json"
status 4 "net" "$braid" edge "$tmp/net.onnx" --connect "$address" --kernels ref --threads 1 --plan "$tmp/net.json"
status 4 "stranger" "$braid" edge "$tmp/net.onnx" --name stranger --connect "$address" --kernels ref --threads 1 \
  --plan "$tmp/net.json"
status 4 "passwd" "$braid" edge "$tmp/net.onnx" --name ../../etc/passwd --connect "$address" --kernels ref --threads 1 \
  --plan "$tmp/net.json"
kill -INT "$pid"
wait "$pid"
got=$?
checks=$((checks + 1))
[ $got -eq 130 ] || fail "cloud after SIGINT: exit status $got"

# --- no cloud; a cloud that dies
status 4 "" "$braid" edge $net --connect tcp://127.0.0.1:9 --timeout 500ms --kernels ref --threads 1 --plan "$tmp/plan.json"
mkfifo "$tmp/frames"
"$braid" edge $net --connect "$url" --threads 1 --frames 100000 --plan "$tmp/plan.json" --fallback off >"$tmp/frames" 2>"$tmp/err" &
edge=$!
pids="$pids $edge"
exec 3<"$tmp/frames"
read -r line <&3
kill -KILL "$cloud"
cat <&3 >/dev/null
wait "$edge"
got=$?
checks=$((checks + 1))
[ $got -eq 4 ] || fail "edge after its cloud was killed: exit status $got ($(tail -n 1 "$tmp/err"))"
[ -s "$tmp/err" ] || fail "edge said nothing about its cloud"

# --- the same with a fallback: goes on alone, and back to a cloud that is started at the same address
listening "$tmp/mortal.out" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 1
cloud=$pid
"$braid" edge $net --connect "tcp://127.0.0.1:9,$address" --threads 1 --frames 100000 --json --timeout 500ms \
  --kernels ref --plan "$tmp/plan.json" >"$tmp/frames" 2>"$tmp/err" &
edge=$!
pids="$pids $edge"
exec 3<"$tmp/frames"
until_epoch() { # reads frames until one says $1 of its epoch
  while read -r line <&3; do
    case $line in
      *'"epoch":'$1*|*'"epoch": '$1*) return 0 ;;
    esac
  done
  fail "no frame with epoch $1: $(tail -n 1 "$tmp/err")"
}
until_epoch 1
kill -KILL "$cloud"
until_epoch 0
"$braid" cloud --listen "$address" --threads 1 >"$tmp/cloud2.out" 2>&1 &
pids="$pids $!"
until_epoch '[1-9]'
kill -INT "$edge"
cat <&3 >"$tmp/rest"
wait "$edge"
got=$?
checks=$((checks + 1))
[ $got -eq 130 ] || fail "edge that came back, after SIGINT: exit status $got ($(tail -n 1 "$tmp/err"))"
grep -q 'going on alone' "$tmp/err" || fail "edge does not say that it goes on alone"
grep -q '"lost": *0' "$tmp/rest" || fail "frames were lost"
status 2 "auto, start or off" "$braid" edge $net --fallback maybe

# --- an interrupted edge
listening "$tmp/cloud.out" "$braid" cloud --listen tcp://127.0.0.1:0 --threads 1
"$braid" edge $net --connect "$address" --threads 1 --frames 100000 --plan "$tmp/plan.json" >"$tmp/frames" 2>"$tmp/err" &
edge=$!
pids="$pids $edge"
exec 3<"$tmp/frames"
read -r line <&3
kill -INT "$edge"
cat <&3 >/dev/null
wait "$edge"
got=$?
checks=$((checks + 1))
[ $got -eq 130 ] || fail "edge after SIGINT: exit status $got ($(tail -n 1 "$tmp/err"))"
finish
