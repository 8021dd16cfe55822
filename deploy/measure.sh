#!/usr/bin/env bash
# Measures a gateway on this machine: cold start, memory, and durable two-entry transactions at 1, 8, 32 and 128 clients.
#
#   bash deploy/measure.sh [SECONDS AT EACH NUMBER OF CLIENTS]
#
# Prints every number with the command that gave it. Needs curl. The load generator shares the machine's processors with the gateway, so the
# gateway's own processor time is printed too. HEARTHGATE names a binary to measure instead of the one built here.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-10}
config=deploy/bench.toml
data=target/bench-data
base=http://127.0.0.1:28480
admin=http://127.0.0.1:28481

if [ -z "${HEARTHGATE:-}" ]; then
    cargo build --locked --release --quiet
    HEARTHGATE=${CARGO_TARGET_DIR:-target}/release/hearthgate
fi

pid=
stop() {
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        pid=
    fi
}
trap 'stop; rm -rf "$data"' EXIT

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# Starts the gateway and prints the milliseconds until it is ready to serve.
start() {
    local begin
    begin=$(now_ms)
    HEARTHGATE_LOG=warn "$HEARTHGATE" serve --config "$config" --dev 2>>"$data.log" &
    pid=$!
    until curl --silent --fail --output /dev/null "$admin/health/ready"; do
        kill -0 "$pid" || { cat "$data.log" >&2; exit 1; }
        sleep 0.005
    done
    ready_ms=$(($(now_ms) - begin))
}

# The memory the gateway holds, and the most it ever held.
memory() { awk -v what="$1" '/^VmRSS/ { now = $2 } /^VmHWM/ { most = $2 } END { printf "memory %-8s %.1f MB, at most %.1f MB  (VmRSS, VmHWM of /proc/PID/status)\n", what, now / 1024, most / 1024 }' "/proc/$pid/status"; }

# Processor time the gateway has used, in milliseconds.
processor_ms() { awk -v hertz="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1000 / hertz }' "/proc/$pid/stat"; }

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

# The middle of 21 runs of a command, in milliseconds.
median_ms() {
    local run begin
    for run in $(seq 21); do
        begin=$(date +%s%N)
        "$@" >/dev/null 2>&1 || true
        echo $((($(date +%s%N) - begin) / 10000))
    done | median | awk '{ print $1 / 100 " ms" }'
}

mkdir -p target
rm -rf "$data" "$data.log"
echo "machine     $(nproc) processors, $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(uname -sr), load $(cut -d' ' -f1-3 /proc/loadavg)"
echo "disk        $(df --output=fstype,source target | tail -n 1), one synced 4 KiB write: $(dd if=/dev/zero of="$data.sync" bs=4k count=200 oflag=dsync 2>&1 | awk -F', ' '/copied/ { print $3 / 200 * 1000 " ms" }')  (dd bs=4k count=200 oflag=dsync)"
rm -f "$data.sync"
echo "gateway     $("$HEARTHGATE" --version), $(stat -c %s "$HEARTHGATE" | awk '{ printf "%.1f MB", $1 / 1048576 }')"

patient=$(mktemp --suffix .json)
echo '{"resourceType":"Patient","name":[{"family":"Load","given":["Test"]}],"gender":"female","birthDate":"1970-03-01"}' >"$patient"
echo "cold start  $(median_ms "$HEARTHGATE" validate "$patient")  (hearthgate validate PATIENT.json, median of 21)"
echo "            $(median_ms "$HEARTHGATE" --version)  (hearthgate --version, for comparison)"
rm -f "$patient"
start
echo "            $ready_ms ms  (hearthgate serve on an empty folder until /health/ready answers)"
stop
start
echo "            $ready_ms ms  (the same on the folder it left)"
sleep 1
memory idle

token=$(curl --silent --fail -X POST "$base/auth/dev-token" -d client_id=bench | sed 's/.*"access_token" *: *"\([^"]*\)".*/\1/')
journal=$(od -An -tu1 -j18 -N1 "$data/data.db" | tr -d ' ')
echo "storage     SQLite, $([ "$journal" = 2 ] && echo WAL || echo 'NOT WAL') (byte 18 of data.db), $(grep -rhoE '"synchronous", *[0-9]|synchronous *= *[A-Za-z0-9]+' src/store | sort -u | tr '\n' ' ')(src/store; 2 is FULL)"
for clients in 1 8 32 128; do
    before=$(processor_ms)
    HEARTHGATE_TOKEN=$token "$HEARTHGATE" bench submit --base "$base/fhir" --metrics "$admin/metrics" --clients "$clients" --seconds "$seconds" | tee "$data.line"
    spent=$(awk -v before="$before" -v after="$(processor_ms)" '{ for (i = 1; i < NF; i++) if ($i == "transactions") printf "%.0f µs of processor time each, %.0f %% of one processor", (after - before) * 1000 / $(i + 1), (after - before) / 10 / '"$seconds"' }' "$data.line")
    echo "            $spent, load $(cut -d' ' -f1 /proc/loadavg)  (hearthgate bench submit --clients $clients --seconds $seconds)"
done
rm -f "$data.line"
memory loaded
sleep 10
memory 'rested'
echo "data        $(du -sh "$data" | cut -f1)  (du -sh)"
begin=$(now_ms)
stop
echo "stop        $(($(now_ms) - begin)) ms  (SIGTERM until exit)"
rm -f "$data.log"
