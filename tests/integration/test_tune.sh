#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `braid tune`: what it measures is kept, taken by later runs, left alone where it is no use, and can be switched off.
# test_tune.sh BIN
. "$(dirname "$0")/lib.sh"
net=squeezenet1_1
limit=240
file=$XDG_CACHE_HOME/braid/kernels.json

status 0 '' "$braid" run $net --threads 1 --log-level debug
grep -q "measured kernels" "$tmp/err" && fail "kernels were measured before anybody did"
status 0 '' "$braid" tune $net --threads 1 --passes 1 --json
fields nets model layers convolution nodes tried rule chosen rule_us chosen_us rule_ms chosen_ms rule_packed_bytes \
  chosen_packed_bytes file choices threads
[ -s "$file" ] || fail "$file was not written"
[ "$(ls -A "$(dirname "$file")")" = kernels.json ] || fail "tune left something beside its file"
n=$(grep -o '"choices":[0-9]*' "$tmp/out" | cut -d: -f2)
status 0 "kernels.json: $n measured kernels" "$braid" run $net --threads 1 --log-level debug
for kernels in rules ref; do
  status 0 '' "$braid" run $net --threads 1 --log-level debug --kernels $kernels
  grep -q "measured kernels" "$tmp/err" && fail "--kernels $kernels looked for measured kernels"
done

# --- the answer is the same, within rounding
status 0 '' "$braid" run $net --threads 1 -o "$tmp/tuned.npy"
status 0 '' "$braid" run $net --threads 1 -o "$tmp/ref.npy" --kernels ref
status 0 '' "$bin/npy_compare" "$tmp/tuned.npy" "$tmp/ref.npy" 1e-4

# --- text, and what was measured before stays
status 0 '' "$braid" tune $net --threads 2 --passes 1
grep -q "^$net: another kernel than the rules' for [0-9]* of [0-9]* convolutions" "$tmp/out" || fail "tune says nothing"
[ "$(grep -c '"Conv ' "$file")" -ge "$n" ] || fail "tune with other threads forgot what it knew"

# --- files that are no use
cp "$file" "$tmp/good.json"
for damage in 's/"cpu": "/"cpu": "Another /' 's/"braid": "/"braid": "9/' 's/"kernels": "/"kernels": "f/' 's/"choices": {/"choices": [/'; do
  sed "$damage" "$tmp/good.json" >"$file"
  status 0 "warning.*measured kernels are not used: .*kernels.json.*braid tune" "$braid" run $net --threads 1
done
: >"$file"
status 0 "measured kernels are not used" "$braid" profile $net --repeat 1
status 0 "measured kernels are not used" "$braid" tune $net --threads 1 --passes 1
status 0 "measured kernels$" "$braid" run $net --threads 1 --log-level debug

# --- usage
status 2 "leaves nothing to choose from" "$braid" tune $net --kernels ref
status 2 "missing argument" "$braid" tune
status 3 "no such network" "$braid" tune nonesuch
status 1 "neither XDG_CACHE_HOME nor HOME" env -u XDG_CACHE_HOME -u HOME "$braid" tune $net --threads 1 --passes 1
status 0 '' env -u XDG_CACHE_HOME -u HOME "$braid" run $net --threads 1
finish
