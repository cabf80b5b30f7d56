//! The frame meter: every split of both streams gives the same answer.
//!
//! The input is a script. Its first byte says whether a preface comes first. Then a byte each says direction and how
//! much time passes, the next how many bytes follow, then those.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::Cuts;
use portcullis_types::Tick;
use portcullis_wire::h2::{Abuse, Budgets, FrameCounts, FrameMeter, PREFACE, SETTINGS_PRINT_MAX, SettingsPrint};

const SMALL: Budgets = Budgets {
    resets: 3,
    provoked_resets: 2,
    continuations: 3,
    pings: 3,
    settings: 3,
    window_updates: 4,
    empty_frames: 3,
    other_frames: 5,
    max_frame_size: 16_384,
    header_block_bytes: 300,
};

struct Step<'a> {
    read: bool,
    now: Tick,
    bytes: &'a [u8],
}

#[derive(Debug, PartialEq)]
struct Outcome {
    counts: FrameCounts,
    streams: u64,
    print: Option<SettingsPrint>,
    abuse: Option<Abuse>,
    open_since: Option<Tick>,
    unfinished_since: Option<Tick>,
    preface: bool,
}

fuzz_target!(|data: &[u8]| {
    let script = script(data);
    let whole = run(&script, |length| length);
    assert_eq!(run(&script, |_| 1), whole, "byte by byte");
    let mut cuts = Cuts::of(data);
    assert_eq!(run(&script, |length| cuts.next(length)), whole, "in pieces");
    assert!(whole.print.is_none_or(|print| print.as_ref().len() <= SETTINGS_PRINT_MAX && print.as_ref().contains('|')));
});

fn script(data: &[u8]) -> Vec<Step<'_>> {
    let mut script = Vec::new();
    let Some((with_preface, mut data)) = data.split_first() else { return script };
    if with_preface % 2 == 1 {
        script.push(Step { read: true, now: Tick::ZERO, bytes: PREFACE });
    }
    let mut millis = 0;
    while let [control, length, rest @ ..] = data {
        millis += [0, 700, 4_900, 20_000][usize::from(control >> 5 & 3)];
        let (bytes, behind) = rest.split_at(usize::from(*length).min(rest.len()));
        script.push(Step { read: control & 0x80 == 0, now: Tick::from_millis(millis), bytes });
        data = behind;
    }
    script
}

fn run(script: &[Step<'_>], mut cut: impl FnMut(usize) -> usize) -> Outcome {
    let mut meter = FrameMeter::new(SMALL);
    let mut abuse = None;
    for step in script {
        let mut rest = step.bytes;
        while !rest.is_empty() {
            let (here, behind) = rest.split_at(cut(rest.len()).min(rest.len()));
            rest = behind;
            let outcome =
                if step.read { meter.handle_read(here, step.now) } else { meter.handle_written(here, step.now) };
            assert!(abuse.is_none() || abuse == outcome.err(), "an abuse is not forgotten");
            abuse = outcome.err();
        }
    }
    Outcome {
        counts: *meter.counts(),
        streams: meter.streams_opened(),
        print: meter.settings_print(),
        abuse,
        open_since: meter.header_block_open_since(),
        unfinished_since: meter.unfinished_since(),
        preface: meter.preface_done(),
    }
}
