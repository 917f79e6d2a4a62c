#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The deployment files: units that systemd accepts, YAML that parses, and no option that the programs do not know.
. "$(dirname "$0")/lib.sh"
deploy=$(cd "$(dirname "$0")/../../runtime/deploy" && pwd)

# knows COMMAND OPTION FILE
knows() {
  checks=$((checks + 1))
  "$braid" "$1" --help | grep -Eq -- "^  (-., |    )$2\b" || fail "$3: braid $1 has no option $2"
}

for unit in "$deploy"/systemd/*.service; do
  line=$(grep '^ExecStart=' "$unit")
  command=$(echo "$line" | sed 's/.*\/braid \([a-z]*\).*/\1/')
  for option in $(echo "$line" | grep -o -- ' --[a-z-]*'); do knows "$command" "$option" "$unit"; done
  mkdir -p "$tmp/units"
  sed "s|/usr/bin/braid|$braid|" "$unit" >"$tmp/units/$(basename "$unit")"
done
if command -v systemd-analyze >/dev/null; then
  sed -i 's/^User=.*//; s/^Group=.*//; s/^EnvironmentFile=.*//' "$tmp"/units/*
  for unit in "$tmp"/units/*.service; do
    checks=$((checks + 1))
    case $unit in *@*) mv "$unit" "${unit/@/@cam1}" && unit=${unit/@/@cam1} ;; esac # an instance
    systemd-analyze verify --man=no "$unit" >"$tmp/err" 2>&1
    grep "^$tmp\|$(basename "$unit")" "$tmp/err" | grep -v 'Unknown\|deprecated' >"$tmp/bad"
    [ -s "$tmp/bad" ] && fail "$(basename "$unit"): $(head -3 "$tmp/bad")"
  done
else
  echo "systemd-analyze is not installed: units are not verified"
fi

yaml=$deploy/kubernetes/braid.yaml
for command in broker cloud; do
  line=$(grep "args: \[$command," "$yaml")
  [ -n "$line" ] || fail "$yaml: no container runs braid $command"
  for option in $(echo "$line" | grep -o -- '--[a-z-]*'); do
    knows "$command" "$option" "$yaml"
  done
done
if python3 -c 'import yaml' 2>/dev/null; then
  checks=$((checks + 1))
  python3 - "$yaml" <<'PY' || fail "$yaml: see above"
import sys, yaml
docs = [d for d in yaml.safe_load_all(open(sys.argv[1])) if d]
names = {(d["kind"], d["metadata"]["name"]) for d in docs}
for d in docs:
    assert d["apiVersion"] and d["kind"], d
    if d["kind"] == "HorizontalPodAutoscaler":
        target = d["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in names, target
    if d["kind"] == "Service":
        selector = d["spec"]["selector"].items()
        pods = [x["spec"]["template"]["metadata"]["labels"].items() for x in docs if x["kind"] == "Deployment"]
        assert any(selector <= labels for labels in pods), d["metadata"]
    if d["kind"] == "Deployment":
        assert d["spec"]["selector"]["matchLabels"].items() <= d["spec"]["template"]["metadata"]["labels"].items(), d["metadata"]
PY
else
  echo "python3's yaml is not installed: the YAML is not parsed"
fi
finish
