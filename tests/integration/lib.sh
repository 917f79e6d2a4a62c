# SPDX-License-Identifier: Apache-2.0
# What the shell tests share. The caller's first argument is the directory of the programs.
set -u
# Under AddressSanitizer: what fonts and their caches keep until the end is not ours.
export LSAN_OPTIONS="suppressions=$(cd "$(dirname "$0")" && pwd)/lsan.supp:print_suppressions=0"
bin=$(cd "$1" && pwd)
braid=$bin/braid
tmp=$(mktemp -d)
pids=""
export XDG_CACHE_HOME=$tmp/cache # what `braid tune` has measured for the user is nothing to test with
failures=0
checks=0
limit=60 # seconds that a command may take; more only keeps a hang from being noticed

cleanup() {
  for p in $pids; do kill "$p" 2>/dev/null; done
  wait 2>/dev/null
  rm -rf "$tmp"
}
trap cleanup EXIT

fail() {
  failures=$((failures + 1))
  echo "FAILED: $*" >&2
}

# status CODE PATTERN COMMAND...: the exit status, and PATTERN (grep -E) on standard error; standard output in $tmp/out
status() {
  want=$1 pattern=$2
  shift 2
  checks=$((checks + 1))
  timeout "$limit" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
  got=$?
  if [ "$got" -ne "$want" ]; then
    fail "$* : exit status $got, not $want"
    sed 's/^/    /' "$tmp/err" | tail -5 >&2
  elif [ -n "$pattern" ] && ! grep -qE -- "$pattern" "$tmp/err"; then
    fail "$* : standard error does not say '$pattern'"
    sed 's/^/    /' "$tmp/err" | tail -5 >&2
  fi
}

# fields NAME...: each is a key of the JSON in $tmp/out, which is one line
fields() {
  checks=$((checks + 1))
  [ "$(wc -l <"$tmp/out")" -eq 1 ] || fail "not one line of JSON: $(head -c 100 "$tmp/out")"
  for f in "$@"; do
    grep -q "\"$f\":" "$tmp/out" || fail "no field \"$f\" in $(head -c 100 "$tmp/out")"
  done
}

# Starts a program in the background, waits for "listening on ADDRESS" in FILE; sets $address and $pid.
listening() {
  file=$1
  shift
  mkfifo "$tmp/pipe.$$"
  "$@" >"$tmp/pipe.$$" 2>>"$tmp/background.err" </dev/null &
  pid=$!
  pids="$pids $pid"
  exec 9<"$tmp/pipe.$$"
  rm "$tmp/pipe.$$"
  address=""
  while read -r -t 60 line <&9; do
    echo "$line" >>"$file"
    case $line in "listening on "*) address=${line#listening on }; break ;; esac
  done
  cat <&9 >>"$file" & # whatever else it says
  exec 9<&-
  [ -n "$address" ] || { fail "$* does not listen"; sed 's/^/    /' "$tmp/background.err" >&2; finish; }
}

# told FILE PATTERN: a program in the background says it there, now or within half a minute
told() {
  checks=$((checks + 1))
  for i in $(seq 300); do
    grep -q -- "$2" "$1" && return
    sleep 0.1
  done
  fail "'$2' is not said in $(tail -n 3 "$1")"
}

finish() {
  echo "$checks checks, $failures failed"
  [ "$failures" -eq 0 ]
  exit
}
