#!/usr/bin/env bash
# The bare echo server and the emulator under the same load, in one run on this machine. Prints a Markdown table.
#   benches/loopback.sh [seconds per measurement]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-5}
cargo build --release --locked --bin hsm --bin echo >&2
hsm=target/release/hsm echo=target/release/echo
pids=()
stop() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; }
trap stop EXIT

"$echo" --port 15101 & pids+=($!)
HSM_CONTROL_SOCKET=off "$hsm" serve --port 15100 --max-connections 256 --log-level error & pids+=($!)
for _ in $(seq 100); do
    "$hsm" send --port 15100 NC >/dev/null 2>&1 && break
    sleep 0.1
done
# Every plugin is compiled before anything is measured.
sleep 10

rate() { # port, connections, depth, what...
    local port=$1 connections=$2 depth=$3
    shift 3
    "$hsm" bench --port "$port" --connections "$connections" --pipeline "$depth" --duration "$seconds" --warmup 1 --json "$@" |
        python3 -c 'import json,sys; r=json.load(sys.stdin); l=r["latency_us"]; print(round(r["per_second"]), l["p50"], l["p99"])'
}

echo "| Load | Echo, requests/s | Emulator, requests/s | Share | p50 µs | p99 µs |"
echo "|---|---|---|---|---|---|"
for load in "64 1" "8 16"; do
    read -r connections depth <<<"$load"
    for mix in B2 CA CC G0 DC DA EC JC; do
        read -r base _ <<<"$(rate 15101 "$connections" "$depth" --echo --mix "$mix:1" || true)"
        read -r own p50 p99 <<<"$(rate 15100 "$connections" "$depth" --mix "$mix:1" || true)"
        [ -n "${own:-}" ] || continue
        echo "| $mix, $connections connections, $depth deep | $base | $own | $((100 * own / (base > 0 ? base : 1))) % | $p50 | $p99 |"
    done
done
