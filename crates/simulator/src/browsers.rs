//! The bytes that programs send: browsers, and the tools that attackers use.
//!
//! User agents, JA4 and HTTP/2 prints are those of programs as they were in 2026, or near enough that nothing but their
//! being different matters. The order of header names differs between a navigation, a subresource and a form, as it does in
//! browsers.

/// One program.
#[derive(Debug, PartialEq)]
pub(crate) struct Program {
    pub(crate) agent: &'static str,
    pub(crate) tls: &'static str,
    /// Empty where it speaks HTTP/1.1.
    pub(crate) h2: &'static str,
    pub(crate) navigation: Look,
    pub(crate) asset: Look,
    pub(crate) script: Look,
    /// Whether it sends `Sec-Fetch-*`.
    pub(crate) fetch: bool,
    /// How many of a hundred use it.
    pub(crate) weight: f64,
}

/// What one kind of request of a program looks like.
#[derive(Debug, PartialEq)]
pub(crate) struct Look {
    pub(crate) accept: &'static str,
    /// The print of the order of header names.
    pub(crate) order: u64,
}

const fn look(accept: &'static str, names: &str) -> Look {
    Look { accept, order: print(names) }
}

/// FNV-1a of the names in their order.
const fn print(names: &str) -> u64 {
    let bytes = names.as_bytes();
    let mut hash = 0xCBF2_9CE4_8422_2325u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01B3);
        at += 1;
    }
    hash
}

const CHROME_DOCUMENT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
const FIREFOX_DOCUMENT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const SAFARI_DOCUMENT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const CHROME_IMAGE: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";
const CHROME_H2: &str = "1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p";
const FIREFOX_H2: &str = "1:65536;2:0;4:131072;5:16384|12517377|0|m,p,a,s";
const SAFARI_H2: &str = "2:0;3:100;4:2097152|10420225|0|m,s,a,p";
const CHROME_TLS: &str = "t13d1516h2_8daaf6152771_d8a2da3f94cd";
const FIREFOX_TLS: &str = "t13d1717h2_5b57614c22b0_3cbfd9057e0d";
const SAFARI_TLS: &str = "t13d2013h2_a09f3c656075_7f0f34a4126d";
const IOS_TLS: &str = "t13d2014h2_a09f3c656075_e42f34c56612";

macro_rules! chrome {
    ($agent:literal, $tls:expr, $weight:literal) => {
        Program {
            agent: $agent,
            tls: $tls,
            h2: CHROME_H2,
            navigation: look(CHROME_DOCUMENT, "host sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform upgrade-insecure-requests user-agent accept sec-fetch-site sec-fetch-mode sec-fetch-user sec-fetch-dest accept-encoding accept-language cookie"),
            asset: look(CHROME_IMAGE, "host sec-ch-ua-platform user-agent sec-ch-ua sec-ch-ua-mobile accept sec-fetch-site sec-fetch-mode sec-fetch-dest referer accept-encoding accept-language cookie"),
            script: look("application/json, text/plain, */*", "host content-length sec-ch-ua-platform user-agent accept content-type sec-ch-ua sec-ch-ua-mobile origin sec-fetch-site sec-fetch-mode sec-fetch-dest referer accept-encoding accept-language cookie"),
            fetch: true,
            weight: $weight,
        }
    };
}

macro_rules! firefox {
    ($agent:literal, $tls:expr, $weight:literal) => {
        Program {
            agent: $agent,
            tls: $tls,
            h2: FIREFOX_H2,
            navigation: look(FIREFOX_DOCUMENT, "host user-agent accept accept-language accept-encoding referer cookie upgrade-insecure-requests sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user priority te"),
            asset: look("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "host user-agent accept accept-language accept-encoding referer cookie sec-fetch-dest sec-fetch-mode sec-fetch-site priority te"),
            script: look("application/json", "host user-agent accept accept-language accept-encoding referer content-type content-length origin cookie sec-fetch-dest sec-fetch-mode sec-fetch-site priority te"),
            fetch: true,
            weight: $weight,
        }
    };
}

macro_rules! safari {
    ($agent:literal, $tls:expr, $weight:literal) => {
        Program {
            agent: $agent,
            tls: $tls,
            h2: SAFARI_H2,
            navigation: look(SAFARI_DOCUMENT, "host sec-fetch-dest user-agent accept referer sec-fetch-site sec-fetch-mode accept-language priority accept-encoding cookie"),
            asset: look("image/webp,image/avif,image/jxl,image/heic,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "host accept sec-fetch-site sec-fetch-dest accept-language sec-fetch-mode user-agent referer accept-encoding priority cookie"),
            script: look("application/json", "host accept content-type origin sec-fetch-site sec-fetch-mode user-agent referer content-length sec-fetch-dest accept-language priority accept-encoding cookie"),
            fetch: true,
            weight: $weight,
        }
    };
}

/// What people use.
pub(crate) const BROWSERS: &[Program] = &[
    chrome!(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        CHROME_TLS,
        24.0
    ),
    chrome!(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
        CHROME_TLS,
        25.0
    ),
    chrome!(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
        CHROME_TLS,
        5.0
    ),
    chrome!(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
        CHROME_TLS,
        7.0
    ),
    chrome!(
        "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-A536B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
        "t13d1516h2_8daaf6152771_02713d6af862",
        4.0
    ),
    firefox!("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0", FIREFOX_TLS, 7.0),
    firefox!("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", FIREFOX_TLS, 3.0),
    firefox!(
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "t13d1715h2_5b57614c22b0_5c2c66f702b0",
        1.0
    ),
    firefox!("Mozilla/5.0 (Android 14; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0", FIREFOX_TLS, 2.0),
    safari!(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
        IOS_TLS,
        14.0
    ),
    safari!(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
        SAFARI_TLS,
        4.0
    ),
    safari!(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
        SAFARI_TLS,
        4.0
    ),
];

/// Tor's browser: one for all who use it.
pub(crate) const TOR: &[Program] = &[firefox!(
    "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0",
    "t13d1715h2_5b57614c22b0_7121afd63204",
    1.0
)];

/// Browsers without scripts.
pub(crate) const TEXT: &[Program] = &[
    Program {
        agent: "w3m/0.5.3+git20230121",
        tls: "t13d3113h1_e8f1e7e78f70_a3ea6da9a1bc",
        h2: "",
        navigation: look(
            "text/html, text/*;q=0.5, image/*, application/*",
            "user-agent accept accept-encoding accept-language host pragma cache-control cookie",
        ),
        asset: look("*/*", "user-agent accept accept-encoding accept-language host cookie"),
        script: look(
            "text/html, text/*;q=0.5",
            "user-agent accept accept-encoding accept-language host content-type content-length cookie",
        ),
        fetch: false,
        weight: 1.0,
    },
    Program {
        agent: "Lynx/2.9.0 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.8.3",
        tls: "t13d2910h1_0bf8f5d4a1a4_d41ae481755e",
        h2: "",
        navigation: look(
            "text/html, text/plain, text/sgml, text/css, */*;q=0.01",
            "host accept accept-encoding accept-language user-agent cookie",
        ),
        asset: look("*/*;q=0.01", "host accept accept-encoding accept-language user-agent cookie"),
        script: look(
            "text/html, */*;q=0.01",
            "host accept accept-encoding accept-language user-agent content-type content-length cookie",
        ),
        fetch: false,
        weight: 1.0,
    },
];

macro_rules! tool {
    ($agent:literal, $tls:literal, $h2:literal, $accept:literal, $names:literal) => {
        Program {
            agent: $agent,
            tls: $tls,
            h2: $h2,
            navigation: look($accept, $names),
            asset: look($accept, $names),
            script: look($accept, concat!($names, " content-type content-length")),
            fetch: false,
            weight: 1.0,
        }
    };
}

/// What attackers write their programs with.
pub(crate) const TOOLS: &[Program] = &[
    tool!(
        "python-requests/2.32.3",
        "t13d1812h1_85036bcba153_375ca2c5e164",
        "",
        "*/*",
        "host user-agent accept-encoding accept connection"
    ),
    tool!(
        "Go-http-client/2.0",
        "t13d1312h2_f57a46bbacb6_ab7e3b40a677",
        "2:0;4:4194304;6:10485760|1073741824|0|a,m,p,s",
        "*/*",
        "user-agent accept-encoding host"
    ),
    tool!(
        "node",
        "t13d5911h1_a33745022dd6_1f22a2ca17c4",
        "",
        "*/*",
        "host connection accept accept-language sec-fetch-mode user-agent accept-encoding"
    ),
    tool!(
        "okhttp/4.12.0",
        "t13d1613h2_46e7e9700bed_eca864cca44a",
        "4:16777216|16711681|0|m,p,a,s",
        "*/*",
        "host connection accept-encoding user-agent"
    ),
    tool!(
        "curl/8.14.1",
        "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6",
        "3:100;4:10485760;2:0|1048510465|0|m,s,a,p",
        "*/*",
        "host user-agent accept"
    ),
    tool!(
        "Mozilla/5.0 (compatible)",
        "t12d1811h1_6a5a3a1bd1a4_5b8c3b6f3c9d",
        "",
        "text/html,*/*",
        "accept host user-agent connection"
    ),
];

/// Partners, crawlers, providers and apps.
pub(crate) const PARTNER: Program = tool!(
    "PetitionSync/3.2 (+https://partner.example)",
    "t13d1713h1_5b234860e130_014157ec0da2",
    "",
    "application/json",
    "host x-api-key user-agent accept accept-encoding"
);
pub(crate) const CRAWLER: Program = tool!(
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "t13d1512h1_8daaf6152771_07be0c029dc8",
    "",
    "text/html,application/xhtml+xml,application/signed-exchange;v=b3,application/xml;q=0.9,*/*;q=0.8",
    "host connection accept from user-agent accept-encoding if-modified-since"
);
pub(crate) const PROVIDER: Program = tool!(
    "PayWay-Webhook/1.4",
    "t13d1815h1_2b729b4bf6f3_9c5d3b1a7a4f",
    "",
    "*/*",
    "host user-agent accept content-type signature content-length"
);
pub(crate) const APP: Program = tool!(
    "Movement/5.1 (iPhone; iOS 18.7)",
    "t13d2014h2_a09f3c656075_c2e1a1c9d2b4",
    "2:0;3:100;4:2097152|10420225|0|m,s,p,a",
    "application/json",
    "host accept authorization accept-language accept-encoding user-agent"
);

/// The order of header names of a form that a browser sends.
pub(crate) const LANGUAGES: &[&str] = &[
    "de-DE,de;q=0.9,en;q=0.8",
    "de,en-US;q=0.7,en;q=0.3",
    "en-US,en;q=0.9",
    "de-AT,de;q=0.9",
    "tr-TR,tr;q=0.9,de;q=0.8",
    "fr-FR,fr;q=0.9",
];
/// How many of a hundred speak each.
pub(crate) const LANGUAGE_WEIGHTS: &[f64] = &[52.0, 21.0, 14.0, 6.0, 4.0, 3.0];
/// What Tor's browser sends for everybody.
pub(crate) const TOR_LANGUAGE: &str = "en-US,en;q=0.5";
