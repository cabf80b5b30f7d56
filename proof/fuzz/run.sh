#!/bin/sh
# Fuzzes the parsers with libFuzzer on stable Rust; no cargo-fuzz, no nightly.
#
#   proof/fuzz/run.sh [SECONDS] [TARGET…]       every target, or those named, for 10 seconds each
#   proof/fuzz/run.sh reproduce TARGET FILE     one input again, with the panic and its backtrace
#   proof/fuzz/run.sh build                     builds every target and runs none
#
# Seeds are in seeds/TARGET and are only read. What is found grows under target/corpus/TARGET, so a later run goes on
# where an earlier one stopped; what crashes is kept in artifacts/TARGET. Exits 1 when a target crashed.
set -eu
cd "$(dirname "$0")"

all="client_hello proxy_protocol forwarded h2_meter h1_request h1_response h1_chunks token log_line seclang waf_body waf_value waf_pattern waf_semantic data_decode data_detect pg_answer pg_session ledger_text ledger_bytes ledger_event time_stamp integrity report webauthn oidc"
triple=$(rustc -vV | sed -n 's/^host: //p')

build() {
    # The flags that cargo-fuzz would set, without a sanitizer: there is no unsafe code to sanitize. `--target` keeps
    # them away from build scripts.
    flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
    flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
    flags="$flags -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions --cfg fuzzing"
    export RUSTFLAGS="$flags" CARGO_TARGET_DIR=target
    "$@" cargo build --quiet --locked --release --target "$triple"
}

# One target that is built. What it says is printed at once, because others say something meanwhile.
smoke() {
    seconds=$1 target=$2
    mkdir -p "target/corpus/$target" "artifacts/$target"
    log=target/fuzz-$target.log
    if "target/$triple/release/$target" -max_total_time="$seconds" -max_len=600 -rss_limit_mb=512 \
        -timeout=30 -artifact_prefix="artifacts/$target/" -print_final_stats=1 \
        "target/corpus/$target" "seeds/$target" >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        inputs=$(find "target/corpus/$target" -type f | wc -l)
        echo "fuzz: $target: $runs runs, $inputs inputs kept, nothing found" >&2
        return
    fi
    found=$(grep -aE 'panicked at|^ *(left|right):|SUMMARY|ERROR: libFuzzer' "$log" || tail -n 20 "$log")
    input=$(sed -n 's/.*Test unit written to \(artifacts\/[^ ]*\).*/\1/p' "$log" | tail -n 1)
    if [ -n "$input" ]; then
        verdict="CRASHED; reproduce it with: proof/fuzz/run.sh reproduce $target proof/fuzz/$input"
    else
        verdict="FAILED without an input; see proof/fuzz/$log"
    fi
    printf '%s\n' "$found" "fuzz: $target $verdict" >&2
    return 1
}

case ${1:-} in
    smoke) smoke "$2" "$3"; exit ;;
    build) build exec ;;
esac

if [ "${1:-}" = reproduce ]; then
    [ $# -eq 3 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
    input=$(cd "$OLDPWD" && realpath -e -- "$3")
    build
    RUST_BACKTRACE=1 exec "target/$triple/release/$2" "$input"
fi

seconds=10
case ${1:-} in
    '') ;;
    *[!0-9]*) ;;
    *) seconds=$1 && shift ;;
esac
targets=${*:-$all}
for target in $targets; do
    case " $all " in
        *" $target "*) ;;
        *) echo "fuzz: no target \`$target\`; there are: $all" >&2 && exit 2 ;;
    esac
done

build
# A target has one thread: as many at a time as there are processors.
printf '%s\n' $targets | xargs -P "$(nproc)" -n 1 ./run.sh smoke "$seconds" || exit 1
