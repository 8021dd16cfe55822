#!/usr/bin/env bash
# Every test, on a fresh Debian-like machine that has the Rust toolchain: installs what is missing, then runs deploy/gate.sh.
#
#   bash deploy/test.sh
#
# Asks for nothing. Uses the network for package registries only.
set -euo pipefail
cd "$(dirname "$0")/.."

# rustup puts cargo where a shell that was opened before does not look.
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo --non-interactive "$@"; fi
}

# install PACKAGE…: through apt, without questions.
install() {
    echo "installing $*"
    as_root apt-get update --quiet --quiet
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends "$@"
}

if ! command -v cargo >/dev/null; then
    echo 'test: cargo is missing; install the Rust toolchain first, see https://rustup.rs' >&2
    exit 2
fi
# SQLite and the cryptography are compiled from C, and Rust links with the same compiler.
command -v cc >/dev/null || install build-essential
# Several gateways share used assertions through Redis; the story of it is skipped where there is none.
command -v redis-server >/dev/null || install redis-server
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

# The one step that needs the network, tried again, because registries have bad moments.
for pause_s in 2 10 30 0; do
    cargo fetch --locked --quiet && break
    [ "$pause_s" -gt 0 ] || { echo 'test: the dependencies cannot be fetched' >&2; exit 2; }
    sleep "$pause_s"
done

exec bash deploy/gate.sh
