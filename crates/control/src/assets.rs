//! The console's pages, as they were built into this binary.

use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use crate::api::Refusal;

/// A file: its path, its kind, its content as gzip, and a hash of it.
struct Asset {
    path: &'static str,
    kind: &'static str,
    packed: &'static [u8],
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
        let has = |name, text: &str| {
            headers
                .get_all(name)
                .into_iter()
                .any(|value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains(text)))
        };
        // Files with a hash in their names never change.
        let lasting = self.path.starts_with("assets/");
        let cache = if lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mut response = if has(IF_NONE_MATCH, self.tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else if has(ACCEPT_ENCODING, "gzip") {
            ([(CONTENT_ENCODING, "gzip")], self.packed).into_response()
        } else {
            unpacked(self.packed).into_response()
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

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // It was packed when this was compiled.
    let _ = std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut bytes);
    bytes
}
