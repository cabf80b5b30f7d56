//! Nothing allocates while requests are looked at, counted and harvested, whatever they claim.

use std::net::Ipv4Addr;
use std::time::Duration;

use allocation_counter::measure;
use portcullis_engine::{Action, Ask, Business, LiveRule, Matched, Outcome, Recorder, RuleId, Senses, Sight, Trust};
use portcullis_types::{ClientAddr, RouteClass, Tick};

fn ask<'a>(number: u32, sight: Sight<'a>) -> Ask<'a> {
    let client = ClientAddr::new(Ipv4Addr::from_bits(number.wrapping_mul(0x9E37_79B1)).into());
    let class = if number.is_multiple_of(3) { RouteClass::Asset } else { RouteClass::Page };
    Ask { client, platform: 0, route: 1, class, session: None, api_key: None, sight, wall: 0 }
}

#[test]
fn the_counter_counts() {
    let counted = measure(|| drop(std::hint::black_box(vec![1u8; 100])));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn looking_counting_and_harvesting_allocate_nothing() {
    let senses = Senses::with_room([1, 2], 1 << 12);
    let mut recorder = Recorder::new(&[3], 7, Tick::ZERO);
    let long = "x7".repeat(3000);
    let rule =
        LiveRule { id: RuleId(1), literals: Default::default(), action: Action::Challenge, share: 100, hold_out: 20 };
    let texts: Vec<String> = (0..1000).map(|number| format!("q{number}=climate&page={number}&{long}")).collect();
    let counted = measure(|| {
        for number in 0..50_000 {
            let text = texts[number as usize % texts.len()].as_bytes();
            let sight = Sight {
                method: b"GET",
                path: text,
                query: Some(text),
                host: b"example.org",
                agent: Some(text),
                referer: Some(b"https://example.org/"),
                accept: Some(b"text/html"),
                language: Some(text),
                order: u64::from(number),
                tls: Some(text),
                ..Sight::default()
            };
            let now = Tick::from_millis(u64::from(number));
            let seen = senses.perceive(&ask(number % 20_000, sight), Trust::Fresh, 0, now);
            recorder.arrived(&seen, &sight, 1, senses.expected_cost_us(0, 1));
            recorder.queued(&seen);
            recorder.admitted(&seen, Duration::from_millis(1));
            recorder.matched(&seen, 0, &rule, Matched::Challenged, 5);
            recorder.passed(&seen, 0);
            let business = Business::Failed;
            let outcome = Outcome { status: 200, bytes: 1000, origin: 1_000_000, failed: false, business };
            senses.finished(&seen, &outcome, now);
            senses.cookie_came_back(&seen);
            recorder.completed(&seen, &outcome, 5);
            let _ = (senses.known(seen.visitor, now), senses.crowd_behind(seen.client, now));
            // More rows than there is room for, and a harvest at every turn.
            if number % 10_000 == 0 {
                let harvest = recorder.take(now);
                recorder.recycle(harvest);
            }
        }
    });
    assert_eq!(counted.count_total, 0);
}
