//! The example in `specs/` is a good configuration, and every default of a short one is filled in.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_config::policy::{PathPattern, TlsVersion};
use portcullis_config::{reference, show};
use portcullis_types::{Limits, RateKey, RouteClass};

use crate::world::{Made, check_committed, read};

fn example() -> String {
    read("specs/example.toml")
}

#[test]
fn the_example_is_good() {
    let outcome = Made::new().load(&example());
    assert!(outcome.problems.is_empty(), "{:#?}", outcome.problems);
    let policy = outcome.policy.expect("a policy");
    assert_eq!(policy.server.workers, 2);
    assert_eq!(policy.listeners.len(), 2);
    assert!(!policy.listeners[0].http2 && policy.listeners[1].http2);
    assert_eq!(policy.listeners[1].tls_min, TlsVersion::Tls12);
    assert_eq!(policy.certificates[0].names, ["example.org", "*.example.org"]);
    assert_eq!(policy.limits.body_min_rate, 512);
    assert_eq!(policy.lists[1].prefixes.len(), 2);
    let public = &policy.platforms[0];
    assert_eq!(public.upstreams[1].addresses, ["10.0.0.6".parse::<IpAddr>().expect("an address")]);
    assert_eq!(public.routes[0].path, PathPattern::Below("/donate".into()));
    assert_eq!((public.routes[0].class, public.routes[0].body_bytes), (RouteClass::Payment, 65_536));
    assert_eq!(public.routes[1].first_byte_timeout, Duration::from_secs(5));
    let rate = &public.routes[1].rates[0];
    assert_eq!((rate.key, rate.per_second, rate.burst), (RateKey::Address, 5.0, 20));
    assert_eq!(public.routes.last().map(|route| &route.path), Some(&PathPattern::Below(String::new())));
    let members = &policy.platforms[1];
    assert!(members.health.is_none() && members.upstreams[0].http2 && members.upstreams[0].tls.is_none());
    assert_eq!(members.routes[0].body_bytes, Limits::DEFAULT.body_bytes);
}

#[test]
fn a_short_configuration_has_every_default() {
    let text = "\
        [[listener]]\nname = \"http\"\nbind = \"[::]:80\"\n\
        [limits]\nbody_bytes = \"1MiB\"\n\
        [[platform]]\nname = \"p\"\nhosts = [\"Example.ORG\"]\nupstreams = [\"https://app.internal\"]\n\
        transport = { first_byte_timeout = \"7s\" }\n\
        route = [{ path = \"/**\", class = \"api\" }, { path = \"/a\", rate = [{ key = \"address\", rate = \"300/min\" }] }]\n";
    let outcome = Made::new().load(text);
    assert!(outcome.problems.is_empty(), "{:#?}", outcome.problems);
    let policy = outcome.policy.expect("a policy");
    assert_eq!(policy.server.workers, 3, "one per core");
    let platform = &policy.platforms[0];
    assert_eq!(platform.hosts, ["example.org"]);
    assert_eq!((platform.upstreams[0].port, platform.upstreams[0].addresses.len()), (443, 2));
    assert_eq!(platform.upstreams[0].tls.as_ref().map(|tls| tls.server_name.as_str()), Some("app.internal"));
    let [exact, rest] = platform.routes.as_slice() else { panic!("{:?}", platform.routes) };
    assert_eq!((exact.body_bytes, exact.first_byte_timeout), (1 << 20, Duration::from_secs(7)));
    assert_eq!((exact.rates[0].per_second, exact.rates[0].burst), (5.0, 300));
    assert_eq!((&rest.path, rest.class), (&PathPattern::Below(String::new()), RouteClass::Api), "kept, and last");
}

#[test]
fn what_is_shown_loads_as_the_same_policy() {
    let world = Made::new();
    for text in [example(), rich()] {
        let policy = world.load(&text).policy.expect("a policy");
        let shown = show(&policy);
        let again = world.load(&shown);
        assert!(again.problems.is_empty(), "{:#?}\n{shown}", again.problems);
        assert_eq!(again.policy.as_ref(), Some(&policy), "{shown}");
        assert_eq!(again.policy.map(|policy| show(&policy)), Some(shown), "and the same text");
    }
}

/// The example with everything set that it leaves to its default.
fn rich() -> String {
    example().replace("http://10.0.0.5:8080", "https://app.internal").replace("# upstream_", "upstream_")
}

#[test]
fn every_key_of_the_reference_is_shown() {
    let shown = show(&Made::new().load(&rich()).policy.expect("a policy"));
    for line in reference().lines().filter(|line| line.starts_with("| `")) {
        let key = line.split('`').nth(1).expect("a key");
        assert!(shown.contains(&format!("\n{key} = ")), "`{key}` is not shown");
    }
    assert!(shown.contains("retries = 1                              # default"), "{shown}");
    assert!(!shown.contains("certificate example") && !shown.contains("key example"), "contents of files");
}

#[test]
fn the_committed_reference_is_what_the_source_says() {
    check_committed("docs/reference/config.md", &reference(), "UPDATE=1 cargo test -p portcullis-config reference");
}
