#!/usr/bin/env bash
# Measures the log on this machine and prints the numbers of the README's table: appending, receipts, start-up and fsck at every power of ten,
# entries through HTTP, and the trail of one patient. Takes some five minutes and 12 GB below target/, which it removes.
# Usage: deploy/measure-ledger.sh [append|grow|add|trail ...]   (HEARTHGATE=binary)
set -euo pipefail
cd "$(dirname "$0")/.."

HEARTHGATE=${HEARTHGATE:-target/release/hearthgate}
place=target/bench-ledger
base=http://127.0.0.1:28482
gateway=

stop() { [ -z "$gateway" ] || { kill "$gateway" && wait "$gateway" || true; gateway=; }; }
trap 'stop; rm -rf "$place"' EXIT

start() {
    mkdir -p "$place"
    "$HEARTHGATE" serve --config deploy/ledger.toml --dev 2>"$place/log" &
    gateway=$!
    curl --silent --retry 50 --retry-connrefused --retry-delay 1 --output /dev/null http://127.0.0.1:28483/health/ready
}

token() { curl --silent --fail -d client_id="$1" "$base/auth/dev-token" | sed 's/.*"access_token" *: *"\([^"]*\)".*/\1/'; }

measure_append() { "$HEARTHGATE" ledger bench "$place/append" --seconds 10; }

measure_grow() {
    "$HEARTHGATE" ledger bench "$place/grow" --seconds 0 --grow 10000000
    # The same log cut at a million leaves would have another checkpoint; a log of its own shows what checking takes, and how much memory.
    "$HEARTHGATE" ledger bench "$place/million" --seconds 0 --grow 1000000 | tail -n 1
    for log in million grow; do
        /usr/bin/time --format "fsck of $log: %e s, %M KiB at most" "$HEARTHGATE" ledger fsck "$place/$log/ledger" --key "$place/$log/log.vkey"
    done
}

measure_add() {
    start
    for clients in 64 256; do "$HEARTHGATE" bench add --base "$base" --clients "$clients" --seconds 10; done
    stop
}

measure_trail() {
    start
    HEARTHGATE_TOKEN=$(token bench) HEARTHGATE_READER=$(token health-department) "$HEARTHGATE" bench trail --base "$base/fhir" --entries 10000
    stop
}

rm -rf "$place"
echo "machine  $(nproc) processors, $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(uname -sr), load $(cut -d' ' -f1-3 /proc/loadavg)"
mkdir -p "$place"
echo "disk     $(df --output=fstype,source target | tail -n 1), one synced 4 KiB write: $(dd if=/dev/zero of="$place/sync" bs=4k count=200 oflag=dsync 2>&1 | awk -F', ' '/copied/ { print $3 / 200 * 1000 " ms" }')  (dd bs=4k count=200 oflag=dsync)"
for what in "${@:-append grow add trail}"; do
    for one in $what; do "measure_$one"; done
done
