#!/usr/bin/env bash
# Looks for bytes that break a law of laws.rs, guided by the code they reach (libFuzzer, stable toolchain).
#
#   bash fuzz/run.sh json|xml|fhirpath|ucum|package|validate [SECONDS]
#
# Starts from fixtures/fuzz/TARGET and the seeds below, keeps its corpus in target/fuzz. What breaks a law is left as a file whose name is
# printed: make it small (`-minimize_crash=1`), put it into fixtures/fuzz/TARGET, and tests/fuzzed.rs tries it from then on.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:?a target}
seconds=${2:-600}
host=$(rustc -vV | sed -n 's/^host: //p')
folder=${CARGO_TARGET_DIR:-target}/fuzz
corpus=$folder/corpus/$target
found=$folder/found/$target
mkdir -p "$corpus" "$found" "fixtures/fuzz/$target"

# Counters for every edge and comparison, as libFuzzer reads them; the names are LLVM's.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS=$(echo $coverage) cargo build --quiet --manifest-path fuzz/Cargo.toml --release --target "$host" --target-dir "$folder" --bin "$target"

# Seeds: the fixtures of the rooms, in the form each target reads.
case $target in
    json | validate) for file in fixtures/validate/*.json fixtures/demo/*.json; do cp "$file" "$corpus/"; done ;;
    xml) cp fixtures/xml/*.xml "$corpus/" ;;
    fhirpath) grep -ho '"expression":"[^"]*"' profiles/r4/StructureDefinition.ndjson | sort -u | sed 's/^"expression":"//; s/"$//' |
        awk -v to="$corpus" '{ file = to "/" NR; print > file; close(file) }' ;;
    ucum) grep -ohE '"code": ?"[^"]*"' fixtures/*/*.json | sed -E 's/^"code": ?"//; s/"$//' | sort -u | awk -v to="$corpus" '{ file = to "/" NR; print > file; close(file) }' ;;
    package) for file in fixtures/definitions/package/*.json; do
        { printf '\002package/package.json\0{"name":"a","version":"1"}\0package/%s\0' "${file##*/}"; cat "$file"; printf '\0'; } >"$corpus/${file##*/}"
    done ;;
esac
case $target in fhirpath | ucum) words=fuzz/fhirpath.dict ;; xml) words=fuzz/xml.dict ;; *) words=fuzz/json.dict ;; esac

exec "$folder/$host/release/$target" "$corpus" "fixtures/fuzz/$target" -artifact_prefix="$found/" -dict="$words" \
    -max_total_time="$seconds" -timeout=120 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1
