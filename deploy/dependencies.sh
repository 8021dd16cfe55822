#!/usr/bin/env bash
# Checks what the gateway is built from, without asking the network: where every package comes from, its licence, packages that are not
# wanted, versions that stand beside each other, and versions their authors have withdrawn as far as cargo's own index cache knows.
#
#   bash deploy/dependencies.sh
#
# Prints one line for each thing that is wrong, and fails if there is one. Needs cargo, awk and grep.
set -uo pipefail
cd "$(dirname "$0")/.."

# Licences that ask for nothing but their notice, or for less.
licences='MIT MIT-0 Apache-2.0 BSD-2-Clause BSD-3-Clause BSL-1.0 ISC Zlib 0BSD CC0-1.0 Unlicense Unicode-3.0'

# name: why it must not come in.
unwanted='
openssl-sys: TLS is rustls on aws-lc-rs; a second library would need patching too
native-tls: as openssl-sys
ring: aws-lc-rs is the one provider of cryptography
time: jiff is the one library of calendars; chrono comes with object_store and is used by nothing of ours
'

# name: why two versions of it are linked. A new line needs a reason, an old one that no longer applies must go.
beside_each_other='
base64: metrics-exporter-prometheus is one version behind
crypto-common: crc-fast (of object_store) is one version behind
digest: as crypto-common
getrandom: rand 0.9 and uuid (of tower-http, for request ids) are a version apart
hashbrown: metrics-util is one version behind
quick-xml: object_store is one version behind
rand: object_store is one version ahead
rand_core: as rand
syn: only compiles; tracing-attributes and curve25519-dalek-derive are one version behind
tower-http: reqwest is one version behind
untrusted: aws-lc-rs is one version behind rustls-webpki
'

registry='registry+https://github.com/rust-lang/crates.io-index'
wrong=0

# Complains about every line of standard input.
complain() {
    local line
    while IFS= read -r line; do
        echo "$1: $line" >&2
        wrong=$((wrong + 1))
    done
}

# The names that stand before the colons of a list with reasons.
names() { awk -F: 'NF > 1 { print $1 }' <<<"$1" | sort; }

# name, version and licence of everything that is compiled here, tests and build scripts included.
packages=$(cargo tree --locked --edges normal,build,dev --prefix none --no-dedupe --format '{p}|{l}') || exit 1
packages=$(awk -F'|' '{ split($1, part, " "); print part[1] "|" substr(part[2], 2) "|" $2 }' <<<"$packages" | sort -u)

# Everything that Cargo.lock could bring in comes from the one registry, with a checksum.
sources() {
    awk -v registry="$registry" '
        /^name = /    { name = $3 }
        /^source = /  { if ($3 != "\"" registry "\"") print name " comes from " $3; registered++ }
        /^checksum = / { summed++ }
        END { if (registered != summed) print registered - summed " packages without a checksum" }' Cargo.lock
}

# Reads licence expressions: AND binds closer than OR, what is not on the list counts as no.
licence_faults() {
    awk -F'|' -v allowed="$licences" '
        BEGIN { split(allowed, list, " "); for (i in list) good[list[i]] = 1 }
        function value(text,    out, word, before) {
            gsub(/ *\/ */, " OR ", text); gsub(/ WITH [A-Za-z0-9.-]+/, "", text)
            out = text; text = ""
            while (match(out, /[A-Za-z0-9.+-]+/)) {
                word = substr(out, RSTART, RLENGTH)
                text = text substr(out, 1, RSTART - 1) (word == "AND" || word == "OR" ? word : (word in good) ? "1" : "0")
                out = substr(out, RSTART + RLENGTH)
            }
            text = text out
            do {
                before = text
                gsub(/\(0\)/, "0", text); gsub(/\(1\)/, "1", text)
                gsub(/1 AND 1/, "1", text); gsub(/0 AND [01]/, "0", text); gsub(/1 AND 0/, "0", text)
                if (text == before && match(text, /\([01]( OR [01])+\)/))
                    text = substr(text, 1, RSTART - 1) (index(substr(text, RSTART, RLENGTH), "1") ? "1" : "0") substr(text, RSTART + RLENGTH)
                if (text == before && text ~ /^[01]( OR [01])+$/)
                    text = index(text, "1") ? "1" : "0"
            } while (text != before)
            return text
        }
        value($3) != "1" { print $1 " " $2 " is under \"" $3 "\"" }' <<<"$packages"
}

unwanted_packages() {
    comm -12 <(cut -d'|' -f1 <<<"$packages" | sort -u) <(names "$unwanted") | while read -r name; do grep "^$name:" <<<"$unwanted"; done
}

# Versions beside each other in what is shipped; what only tests need may differ.
duplicates() {
    local twice
    twice=$(cargo tree --locked --edges normal --prefix none --no-dedupe --format '{p}' | awk '{ print $1 " " $2 }' | sort -u | cut -d' ' -f1 | uniq -d)
    comm -23 <(echo "$twice") <(names "$beside_each_other") | sed 's/$/ is linked in two versions, and the list gives no reason/'
    comm -13 <(echo "$twice") <(names "$beside_each_other") | sed 's/$/ is on the list and no longer linked in two versions/'
}

# Withdrawn versions, from the index cache that cargo keeps of the registry. A package without a cache entry is counted, not guessed about.
withdrawn() {
    local cache name version licence entry folder unknown=0
    cache=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/index/*/.cache)
    while IFS='|' read -r name version licence; do
        [ "$name" = hearthgate ] && continue
        case ${#name} in
            1 | 2) folder=${#name} ;;
            3) folder=3/${name:0:1} ;;
            *) folder=${name:0:2}/${name:2:2} ;;
        esac
        entry=$(ls -d $cache/"$folder/$name" 2>/dev/null | head -n 1)
        if [ -z "$entry" ]; then
            unknown=$((unknown + 1))
        elif tr '\0' '\n' <"$entry" | awk -v version="\"$version\"" '
            (index($0, "\"vers\":" version) || index($0, "\"vers\": " version)) && /"yanked": ?true/ { found = 1 }
            END { exit !found }'; then
            echo "$name $version was withdrawn by its authors"
        fi
    done <<<"$packages"
    echo "withdrawn versions: $unknown of $(wc -l <<<"$packages") packages are not in the index cache, and were not looked at" >&3
}

exec 3>&1
complain source < <(sources)
complain licence < <(licence_faults)
complain unwanted < <(unwanted_packages)
complain duplicate < <(duplicates)
complain withdrawn < <(withdrawn)
echo "dependencies: $(wc -l <<<"$packages") packages, $wrong wrong"
[ "$wrong" -eq 0 ]
