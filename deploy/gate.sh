#!/usr/bin/env bash
# Everything that is checked of this repository, for hand, hook and CI alike. Needs the Rust toolchain with rustfmt and clippy, and a C compiler;
# deploy/test.sh brings them when they are missing.
#
#   bash deploy/gate.sh            every step
#   bash deploy/gate.sh format lint  only these
#
# Every step prints its name and its seconds; the last line counts. The exit status is 0 only when nothing failed.
# It uses the release profile throughout, so that what `cargo run --release` needs, the tests and the lints share what they compile.
set -uo pipefail
cd "$(dirname "$0")/.."

every_step='format dependencies lint build tests race docs samples'

# Names the files that `cargo fmt` would change.
step_format() { cargo fmt --all -- --check --files-with-diff; }

step_dependencies() { bash deploy/dependencies.sh; }

# Which lints apply is said in Cargo.toml. All targets: the benches compile too.
step_lint() { cargo clippy --locked --release --all-targets --quiet -- -D warnings; }

# The tests with the binary. `cargo build` would compile a part again, with the fewer features that the packages have without the tests' own.
step_build() { cargo test --locked --release --quiet --no-run; }

# `--no-fail-fast`, so that one run names everything that is broken.
step_tests() {
    local status
    cargo test --locked --release --quiet --no-fail-fast 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    tests_passed=$(awk '/^test result:/ { sum += $4 } END { print sum + 0 }' "$log")
    tests_failed=$(awk '/^test result:/ { sum += $6 } END { print sum + 0 }' "$log")
    return "$status"
}

# Revocation in a million racing requests: by itself, for it takes the machine for minutes, and others measure time.
step_race() { cargo test --locked --release --quiet --test gateway a_million -- --ignored; }

# With private items, because the rooms' front doors point at their own parts.
step_docs() {
    RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --locked --release --no-deps --lib --document-private-items --quiet
}

# The samples are what people begin with: each must be a configuration the gateway takes, each script one that bash can read.
step_samples() {
    local sample failed=0
    for sample in deploy/*.toml; do
        "${CARGO_TARGET_DIR:-target}/release/hearthgate" check "$sample" >"$log" 2>&1 || { cat "$log"; echo "$sample is refused" >&2; failed=1; }
    done
    for sample in deploy/*.sh .ci/run; do
        bash -n "$sample" || failed=1
    done
    return "$failed"
}

tree_state() { git status --porcelain 2>/dev/null; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
tests_passed=0 tests_failed=0 passed=0 failed=0
state_before=$(tree_state)

for step in ${*:-$every_step}; do
    if ! declare -F "step_$step" >/dev/null; then
        echo "gate: there is no step named $step; the steps are: $every_step" >&2
        exit 2
    fi
    echo "== $step"
    begin=$SECONDS
    if "step_$step"; then
        passed=$((passed + 1)) verdict=ok
    else
        failed=$((failed + 1)) verdict=FAILED
    fi
    echo "== $step: $verdict, $((SECONDS - begin)) s"
done

# A run must leave no trace outside target/. Only a tree that was clean can show it.
if [ -z "$state_before" ] && [ -n "$(tree_state)" ]; then
    echo 'the run changed the working tree:' >&2
    tree_state >&2
    failed=$((failed + 1))
fi

# A step is one check; the tests count one by one, and their step is not counted again.
if [ "$tests_passed" -gt 0 ] || [ "$tests_failed" -gt 0 ]; then
    if [ "$tests_failed" -gt 0 ]; then failed=$((failed - 1 + tests_failed)); else passed=$((passed - 1)); fi
    passed=$((passed + tests_passed))
fi
echo "$passed passed, $failed failed, $SECONDS s"
[ "$failed" -eq 0 ]
