//! The console's pages, as they were built into this binary.

use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use crate::api::Refusal;

/// A file: its path, its kind, its content as gzip, and as Brotli where that was made, and a hash of it.
struct Asset {
    path: &'static str,
    kind: &'static str,
    gzip: &'static [u8],
    brotli: Option<&'static [u8]>,
    tag: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What is shown by a binary into which no pages were built.
const NONE: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Portcullis</title><h1>The console was not built</h1>\
    <p>This binary was compiled without its pages: run <code>make console</code>, which needs Node 20.19, and compile it again. The API is here: \
    <a href=/api/v1/openapi.json>/api/v1/openapi.json</a>.";

/// A file of the console; its first page for each address that one of its views has.
pub(crate) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if !method.is_safe() {
        return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD").into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return Refusal::new(StatusCode::NOT_FOUND, "there is nothing here: /api/v1/openapi.json says what there is")
            .into_response();
    }
    let by_path = |path: &str| ASSETS.iter().find(|asset| asset.path == path);
    // What has an ending is a file; anything else is a view, and the first page finds it.
    let found = by_path(path).or_else(|| if path.contains('.') { None } else { by_path("index.html") });
    match found {
        Some(asset) => asset.sent(&headers),
        None if ASSETS.is_empty() => ([(CONTENT_TYPE, "text/html; charset=utf-8")], NONE).into_response(),
        None => Refusal::new(StatusCode::NOT_FOUND, "there is no such file").into_response(),
    }
}

impl Asset {
    fn sent(&self, headers: &HeaderMap) -> Response {
        // Files with a hash in their names never change.
        let lasting = self.path.starts_with("assets/");
        let cache = if lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mut response = if members(headers, &IF_NONE_MATCH).any(|tag| tag == self.tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else if let Some(brotli) = self.brotli.filter(|_| takes(headers, "br")) {
            ([(CONTENT_ENCODING, "br")], brotli).into_response()
        } else if takes(headers, "gzip") {
            ([(CONTENT_ENCODING, "gzip")], self.gzip).into_response()
        } else {
            unpacked(self.gzip).into_response()
        };
        let own = response.headers_mut();
        for (name, value) in
            [(CONTENT_TYPE, self.kind), (CACHE_CONTROL, cache), (ETAG, self.tag), (VARY, "accept-encoding")]
        {
            own.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Whether the asker takes that coding: named, and not with a weight of nothing (RFC 9110 section 12.5.3).
fn takes(headers: &HeaderMap, coding: &str) -> bool {
    members(headers, &ACCEPT_ENCODING).any(|member| {
        let (name, weight) = member.split_once(';').unwrap_or((member, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim_end().eq_ignore_ascii_case(coding) && weight.is_some_and(|weight| weight > 0.0)
    })
}

/// The members of a list that a header field has.
fn members<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // It was packed when this was compiled.
    let _ = std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The coding in which a file is sent to who says so, `304` where they have it.
    #[track_caller]
    fn sent(brotli: bool, name: HeaderName, value: &'static str, expected: &str) {
        let asset = Asset {
            path: "assets/a.js",
            kind: "text/javascript",
            gzip: b"gzip",
            brotli: brotli.then_some(b"br"),
            tag: "W/\"0a\"",
        };
        let response = asset.sent(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]));
        let coding = response.headers().get(CONTENT_ENCODING).map_or("none", |coding| coding.to_str().expect("ours"));
        let told = if response.status() == StatusCode::NOT_MODIFIED { "304" } else { coding };
        assert_eq!(told, expected, "{value}");
        assert_eq!(response.headers()[VARY], "accept-encoding");
    }

    #[test]
    fn a_file_is_sent_as_small_as_the_asker_takes_it_and_not_again() {
        for (value, with, without) in [
            ("gzip, deflate, br, zstd", "br", "gzip"),
            ("BR;q=0.5", "br", "none"),
            ("br; q=0, gzip", "gzip", "gzip"),
            ("gzip;q=0", "none", "none"),
            ("brotli, gzipped", "none", "none"),
            ("gzip;level=9", "none", "none"),
            ("", "none", "none"),
        ] {
            sent(true, ACCEPT_ENCODING, value, with);
            sent(false, ACCEPT_ENCODING, value, without);
        }
        sent(true, IF_NONE_MATCH, "\"1\", W/\"0a\"", "304");
        sent(true, IF_NONE_MATCH, "W/\"0\"", "none");
    }
}
