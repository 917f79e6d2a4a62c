#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --log-format and --log-level: with json every line that a cloud and an edge write on standard error is an object of
# JSON with the members that collectors of logs need; standard output stays as scripts know it.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "no python3 to parse JSON: skipped"; exit 77; }

# all_json FILE ROLE EVENT...: every line parses and has its members; each EVENT occurs
all_json() {
  checks=$((checks + 1))
  python3 - "$@" <<'PY' || fail "$1 is no log of $2 with ${*:3}"
import json, re, sys
file, role, events = sys.argv[1], sys.argv[2], set(sys.argv[3:])
lines = open(file, encoding="utf-8").read().split("\n")
assert lines.pop() == "" and lines, "no lines, or the last is not ended"
for line in lines:
    o = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", o["time"]), line
    assert o["level"] in ("error", "warning", "info", "debug"), line
    assert o["role"] == role and isinstance(o["text"], str), line
    if o["event"] == "link":
        assert o["peer"].startswith("tcp://") and o["bits_per_s"] > 0 and o["delay_ns"] >= 0, line
    if o["event"] in ("usage", "failed"):
        assert o["level"] == "error" and o["exit"] > 0, line
    events.discard(o["event"])
assert not events, "never said: %s" % events
PY
}

: >"$tmp/background.err"
listening "$tmp/cloud" "$braid" cloud --listen tcp://127.0.0.1:0 --log-format json
cloud=$pid
status 0 "" "$braid" edge squeezenet1_1 --connect "$address" --frames 3 --log-format=json
all_json "$tmp/err" edge link
checks=$((checks + 1))
grep -q "3 answered, 0 lost" "$tmp/out" || fail "the summary is not what it was: $(tail -n 3 "$tmp/out")"
told "$tmp/cloud" "^left "
kill -TERM "$cloud"
wait "$cloud"
all_json "$tmp/background.err" cloud listening joined planned left

: >"$tmp/background.err"
listening "$tmp/broker" "$braid" broker --listen tcp://127.0.0.1:0 --workers tcp://127.0.0.1:0 --log-format json
kill -TERM "$pid"
wait "$pid"
all_json "$tmp/background.err" broker listening workers

# A full disk behind standard output is logged like any other failure.
if [ -e /dev/full ]; then
  checks=$((checks + 1))
  "$braid" models --json --log-format json >/dev/full 2>"$tmp/full.err" && fail "a full disk went unnoticed"
  all_json "$tmp/full.err" braid failed
fi

# Names that peers choose: quotes, controls and bytes that are no UTF-8 stay inside their string.
status 3 "" "$braid" run "$(printf 'a"b\\c\n\001\377\303\244')" --log-format json
all_json "$tmp/err" braid failed
status 2 "" "$braid" models --log-format json "--$(head -c 3000 /dev/zero | tr '\0' x)"
all_json "$tmp/err" braid usage
status 2 "" "$braid" models --log-format json --log-level "$(head -c 3000 /dev/zero | tr '\0' '\001')"
all_json "$tmp/err" braid usage # six bytes for each: more than a line holds, so it is cut between two
status 4 "" "$braid" edge squeezenet1_1 --connect tcp://127.0.0.1:1 --timeout 200ms --log-format json
all_json "$tmp/err" edge failed

# Levels: at error no line but the error is left.
status 0 "" "$braid" edge squeezenet1_1 --connect tcp://127.0.0.1:1 --timeout 200ms --fallback start \
  --frames 1 --log-level error
checks=$((checks + 1))
[ -s "$tmp/err" ] && fail "--log-level error says $(head -n 1 "$tmp/err")"
status 0 "warning: starting alone" "$braid" edge squeezenet1_1 --connect tcp://127.0.0.1:1 --timeout 200ms --fallback start \
  --frames 1 --log-level warning
status 2 "text or json, not 'xml'" "$braid" models --log-format xml
status 2 "not 'loud'" "$braid" models --log-level loud
status 2 "did you mean '--log-level'" "$braid" models --log-levl info
for command in edge cloud broker; do
  status 0 "" "$braid" "$command" --help
  grep -q -- "--log-format text|json" "$tmp/out" || fail "$command --help does not know --log-format"
done
finish
