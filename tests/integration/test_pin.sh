#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pinning as the system sees it: where the threads of a cloud are while it runs, when the process may use all processors
# and when taskset leaves it one, and what `braid topo` says of hybrid machines.
. "$(dirname "$0")/lib.sh"
command -v taskset >/dev/null || { echo "skipped: no taskset"; exit 0; }

allowed=() # the processors of this process
for range in $(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status | tr , ' '); do
  for cpu in $(seq "${range%-*}" "${range#*-}"); do allowed+=("$cpu"); done
done
last=${allowed[-1]}

config() { printf '%s\n' "$@" >"$tmp/pin.yml"; }
said() {
  checks=$((checks + 1))
  grep -qF -- "$1" "$tmp/out" || fail "'$1' is not in $(cat "$tmp/out")"
}
# sets_are SET: every set of processors in the JSON of `braid topo` is this one
sets_are() {
  checks=$((checks + 1))
  got=$(grep -o '"cpuset":"[^"]*"' "$tmp/out" | sort -u)
  [ "$got" = "\"cpuset\":\"$1\"" ] || fail "not only $1: $got"
}

# hybrid FAST SLOW FAR: an XML file of a machine with two kinds of processors, one fast, one slow, one fast but far away
hybrid() {
  local all=$((1 << $1 | 1 << $2 | 1 << $3)) id=10 nodes='nodeset="0x1" complete_nodeset="0x1"'
  printf '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">\n<topology version="2.0">\n'
  printf '<object type="Machine" os_index="0" cpuset="0x%x" complete_cpuset="0x%x" allowed_cpuset="0x%x" ' $all $all $all
  printf 'allowed_nodeset="0x1" %s gp_index="1">\n' "$nodes"
  printf '<object type="NUMANode" os_index="0" cpuset="0x%x" complete_cpuset="0x%x" %s gp_index="2"/>\n' $all $all "$nodes"
  for cpu in $(printf '%s\n' "$@" | sort -n); do
    id=$((id + 2))
    printf '<object type="Core" os_index="%d" cpuset="0x%x" complete_cpuset="0x%x" ' $cpu $((1 << cpu)) $((1 << cpu))
    printf '%s gp_index="%d"><object type="PU" os_index="%d" ' "$nodes" $id $cpu
    printf 'cpuset="0x%x" complete_cpuset="0x%x" %s gp_index="%d"/></object>\n' $((1 << cpu)) $((1 << cpu)) "$nodes" \
      $((id + 1))
  done
  printf '</object>\n<cpukind cpuset="0x%x" forced_efficiency="0"/>\n' $((1 << $2))
  printf '<cpukind cpuset="0x%x" forced_efficiency="1"/>\n</topology>\n' $((1 << $1 | 1 << $3))
}

# masks: how many threads of $pid may run where, as "COUNT LIST" lines
masks() { sed -n 's/^Cpus_allowed_list:\t//p' /proc/"$pid"/task/*/status 2>/dev/null | sort | uniq -c | sed 's/^ *//'; }
# runs_only_on LIST: no thread of $pid may run anywhere else
runs_only_on() {
  checks=$((checks + 1))
  got=$(masks)
  case $got in
    *[0-9]' '"$1") [ "$(echo "$got" | wc -l)" -eq 1 ] || fail "threads outside of $1: $got" ;;
    *) fail "threads outside of $1: $got" ;;
  esac
}
# has_bound N LIST: N threads of $pid may run just there, now or as soon as they have started
has_bound() {
  checks=$((checks + 1))
  for i in $(seq 300); do
    masks | grep -qx -- "$1 $2" && return
    sleep 0.1
  done
  fail "not $1 threads bound to $2: $(masks)"
}
stop() {
  kill "$pid"
  wait "$pid" 2>/dev/null
}
# cloud [OPTION...]: in the background, on processors $on
cloud() { listening "$tmp/cloud.out" taskset -c "$on" "$braid" cloud --listen tcp://127.0.0.1:0 --kernels ref --profiles "$tmp" "$@"; }

# --- what topo shows of a hybrid machine
hybrid 1 0 5 >"$tmp/hybrid.xml"
config 'workers:' '  - {bind: "core:all", kind: performance}' '  - {bind: "core:all", kind: efficiency}' \
  'io: {bind: "core:0", kind: any}'
status 0 '' "$braid" topo --topology "$tmp/hybrid.xml" --pin "$tmp/pin.yml"
for line in 'worker0 +1 +any +performance' 'worker1 +5 +any +performance' 'worker2 +0 +any +efficiency' \
  'io0 +0 +any +efficiency' 'performance cpus: 1,5' 'efficiency cpus: 0'; do
  checks=$((checks + 1))
  grep -qE "^$line *$" "$tmp/out" || fail "no line '$line' in $(cat "$tmp/out")"
done
status 0 '' "$braid" topo --topology "$tmp/hybrid.xml" --pin "$tmp/pin.yml" --json
fields workers io kinds kind cpuset numa warnings applies
said '"kinds":[{"kind":"performance","cpuset":"1,5"},{"kind":"efficiency","cpuset":"0"}]'
said '{"name":"worker0","cpuset":"1","numa":-1,"kind":"performance"}'
said '"warnings":[]'
config 'workers:' '  - {bind: "core:0-8", kind: efficiency}'
status 0 'pin.yml: workers 1: bind .core:0-8.: core:8 is not there: .* instead its threads get the 4 places' \
  "$braid" topo --topology "synthetic: core:4 pu:1" --pin "$tmp/pin.yml" --json
said "workers 1: kind 'efficiency': this machine's processors are all of one kind; instead"
config 'workers:' '  - {bind: "core:0", kind: turbo}'
status 3 'pin.yml:2:[0-9]+: Invalid ENUM value: turbo' "$braid" topo --pin "$tmp/pin.yml"

# --- one processor by taskset: nothing is outside of it, whatever the config asks for
status 0 '' taskset -c "$last" "$braid" topo --json
sets_are "$last"
config 'workers:' '  - {count: 2, bind: "pu:0-5000"}' '  - {count: 1, bind: "core:700"}' 'io: {bind: "machine:0"}'
status 0 'workers 1: .*pu:5000 is not there: that place has 1 of them that this process may use; instead' \
  taskset -c "$last" "$braid" topo --json --pin "$tmp/pin.yml"
sets_are "$last"
said "workers 2: bind 'core:700': core:700 is not there"
on=$last
cloud
runs_only_on "$last"
stop
cloud --pin "$tmp/pin.yml"
runs_only_on "$last"
stop

# --- hwloc told that this machine is hybrid: the kernel's word on where the workers then are
if [ "${#allowed[@]}" -lt 2 ] || [ "$last" -gt 29 ]; then
  echo "no binding by kind: this takes two processors with numbers below 30"
  finish
fi
slow=${allowed[0]} far=30 # the process has no processor 30
hybrid "$last" "$slow" "$far" >"$tmp/this.xml"
export HWLOC_XMLFILE=$tmp/this.xml HWLOC_THISSYSTEM=1
config 'workers:' '  - {count: 3, bind: "core:all", kind: performance}' '  - {count: 2, bind: "core:all", kind: efficiency}'
status 0 '' "$braid" topo --json --pin "$tmp/pin.yml"
said "\"kinds\":[{\"kind\":\"performance\",\"cpuset\":\"$last\"},{\"kind\":\"efficiency\",\"cpuset\":\"$slow\"}]"
said '"applies":true'
on=$slow,$last
cloud --pin "$tmp/pin.yml"
has_bound 3 "$last"
has_bound 2 "$slow"
stop
# without a config, one worker takes the fast processor and the I/O thread the slow one
cloud --threads 1
has_bound 1 "$last"
has_bound 1 "$slow"
stop
# left with the slow processor, a lane for fast ones makes do with it
on=$slow
cloud --pin "$tmp/pin.yml"
runs_only_on "$slow"
stop
finish
