#!/usr/bin/env bash
# Agent and analyzer on this machine's own NICs, with the live picture in this terminal.
# Usage: run.sh DIRECTORY-OF-PROGRAMS [SECONDS]
set -euo pipefail
bin=$1
seconds=${2:-}
state=$(mktemp -d)

"$bin/railwatch-agent" run --paths.state "$state" >"$state/agent.log" 2>&1 &
agent=$!
"$bin/railwatch-analyzer" run --paths.state "$state" --cycle.interval_seconds 1 \
    >"$state/analyzer.log" 2>&1 &
analyzer=$!

finish() {
    kill "$agent" "$analyzer" 2>/dev/null || true
    wait "$agent" "$analyzer" 2>/dev/null || true
    rm -rf "$state"
}
trap finish EXIT

for _ in $(seq 100); do
    for name in agent analyzer; do
        if ! kill -0 "${!name}" 2>/dev/null; then
            echo "the $name ended:" >&2
            cat "$state/$name.log" >&2
            exit 1
        fi
    done
    "$bin/python" - <<'PY' 2>/dev/null && break
import urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for port in (9810, 9811):
    opener.open(f"http://127.0.0.1:{port}/-/ready", timeout=1)
PY
    sleep 0.2
done

"$bin/railwatch-analyzer" top ${seconds:+--seconds "$seconds"}
