//! What a request's line, fields and body show to rules.

use std::borrow::Cow;

use super::store::Store;
use crate::body::multipart::Multipart;
use crate::body::{Bounds, Fault, Fields, cookies, json, urlencoded, xml};
use crate::seclang::ast::{BodyProcessor, Variable};
use crate::seclang::places::Place;
use crate::seclang::program::Program;

/// The line: its parts, and the arguments of its query.
pub(super) fn request_line(
    program: &Program,
    store: &mut Store,
    fields: &mut Fields,
    method: &[u8],
    target: &[u8],
    protocol: &[u8],
) {
    let line = [method, b" ", target, b" ", protocol].concat();
    store.set(Variable::RequestLine, &line);
    store.set(Variable::RequestMethod, method);
    store.set(Variable::RequestProtocol, protocol);
    store.set(Variable::RequestUriRaw, target);
    let local = origin_form(target);
    // What follows `#` is never sent by a browser, but may be by others; no application sees it.
    let local = local.split(|byte| *byte == b'#').next().unwrap_or_default();
    let (path, query) = match memchr::memchr(b'?', local) {
        Some(at) => (local.get(..at).unwrap_or_default(), local.get(at + 1..).unwrap_or_default()),
        None => (local, &b""[..]),
    };
    // As `ModSecurity` 3 shows them: decoded once, where `QUERY_STRING` is as it came. So is `REQUEST_URI`, which that decodes
    // and Coraza and `ModSecurity` 2 do not: rules that look at it look at the arguments, too, and would count them twice.
    store.set(Variable::RequestUri, local);
    let path = unescaped(path);
    store.set(Variable::RequestFilename, &path);
    store.set(Variable::RequestBasename, path.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default());
    store.set(Variable::PathInfo, &path);
    store.set(Variable::QueryString, query);
    fields.clear();
    let read = urlencoded::parse(query, program.settings.argument_separator, &bounds(program), fields);
    if read.invalid_escapes > 0 {
        store.set_number(Variable::UrlencodedError, 1);
    }
    for field in fields.iter() {
        store.add_both(Place::GET, Place::GET_NAME, field.name, field.value);
    }
}

/// Without the escapes of RFC 3986; what only looks like one stays.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

/// A target without scheme and authority.
fn origin_form(target: &[u8]) -> &[u8] {
    if target.starts_with(b"/") {
        return target;
    }
    let scheme = target.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte));
    let rest = scheme.and_then(|at| target.get(at..)).and_then(|rest| rest.strip_prefix(b"://"));
    match rest {
        Some(rest) => {
            rest.iter().position(|byte| matches!(byte, b'/' | b'?')).and_then(|at| rest.get(at..)).unwrap_or(b"/")
        }
        None => target,
    }
}

/// A field of cookies.
pub(super) fn cookies(store: &mut Store, fields: &mut Fields, value: &[u8]) {
    fields.clear();
    cookies::parse(value, cookies::SEPARATOR, &Bounds::default(), fields);
    for field in fields.iter() {
        store.add_both(Place::COOKIE, Place::COOKIE_NAME, field.name, field.value);
    }
}

/// The name in `Host`, without its port.
pub(super) fn host(value: &[u8]) -> &[u8] {
    if value.first() == Some(&b'[') {
        let end = value.iter().position(|byte| *byte == b']').map_or(value.len(), |at| at + 1);
        return value.get(..end).unwrap_or_default();
    }
    value.split(|byte| *byte == b':').next().unwrap_or_default()
}

/// Who takes a body of that type apart, where no rule says otherwise.
pub(super) fn processor(content_type: &[u8]) -> Option<BodyProcessor> {
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        Some(BodyProcessor::UrlEncoded)
    } else if kind.eq_ignore_ascii_case(b"multipart/form-data") {
        Some(BodyProcessor::Multipart)
    } else {
        None
    }
}

/// As rules see it.
pub(super) const fn name(processor: BodyProcessor) -> &'static [u8] {
    match processor {
        BodyProcessor::UrlEncoded => b"URLENCODED",
        BodyProcessor::Multipart => b"MULTIPART",
        BodyProcessor::Json => b"JSON",
        BodyProcessor::Xml => b"XML",
    }
}

/// `ARGS_COMBINED_SIZE`.
pub(super) fn sizes(store: &mut Store) {
    let size: usize =
        [Place::GET, Place::GET_NAME, Place::POST, Place::POST_NAME].map(|place| store.lengths(place)).iter().sum();
    store.set_number(Variable::ArgsCombinedSize, i64::try_from(size).unwrap_or(i64::MAX));
}

/// What is known of a body before it is read.
pub(super) struct Read<'a> {
    pub(super) program: &'a Program,
    pub(super) processor: Option<BodyProcessor>,
    /// A rule wants it as `REQUEST_BODY`, whatever it is.
    pub(super) forced: bool,
    /// Only its beginning is there.
    pub(super) cut: bool,
    pub(super) content_type: &'a [u8],
    /// All of it, in bytes.
    pub(super) length: u64,
}

/// Takes a body apart.
pub(super) fn request_body(read: &Read<'_>, store: &mut Store, fields: &mut Fields, body: &[u8]) {
    let program = read.program;
    store.set_number(Variable::RequestBodyLength, i64::try_from(read.length).unwrap_or(i64::MAX));
    for variable in MULTIPART {
        if program.uses(variable) {
            store.set_number(variable, 0);
        }
    }
    for variable in [Variable::ReqbodyProcessorError, Variable::ReqbodyError] {
        store.set_number(variable, 0);
    }
    store.set_number(Variable::FilesCombinedSize, 0);
    let processor = match read.processor {
        None if read.forced => {
            store.set(Variable::ReqbodyProcessor, name(BodyProcessor::UrlEncoded));
            Some(BodyProcessor::UrlEncoded)
        }
        processor => processor,
    };
    if body.is_empty() && processor != Some(BodyProcessor::Multipart) {
        sizes(store);
        return;
    }
    if read.forced || processor == Some(BodyProcessor::UrlEncoded) {
        store.set(Variable::RequestBody, body);
    }
    let bounds = bounds(program);
    fields.clear();
    let mut fault = None;
    match processor {
        None => {}
        Some(BodyProcessor::UrlEncoded) => {
            let outcome = urlencoded::parse(body, program.settings.argument_separator, &bounds, fields);
            if outcome.invalid_escapes > 0 {
                store.set_number(Variable::UrlencodedError, 1);
            }
            fault = outcome.outcome.fault;
        }
        Some(BodyProcessor::Json) => fault = json::parse(body, &bounds, fields).fault,
        Some(BodyProcessor::Xml) => {
            let document = xml::parse(body, false, &bounds);
            store.add(Place::XML_TEXT, b"", &document.text);
            for attribute in document.attributes.iter() {
                store.add(Place::XML_ATTRIBUTE, attribute.name, attribute.value);
            }
            fault = document.outcome.fault;
        }
        Some(BodyProcessor::Multipart) => fault = multipart(read, store, fields, body, &bounds),
    }
    for field in fields.iter() {
        store.add_both(Place::POST, Place::POST_NAME, field.name, field.value);
    }
    // What was cut off by a limit is no fault of the client.
    if let Some(fault) = fault.filter(|_| !read.cut) {
        store.set_number(Variable::ReqbodyError, 1);
        store.set_number(Variable::ReqbodyProcessorError, 1);
        store.set(Variable::ReqbodyErrorMsg, fault.why.as_bytes());
        store.set(Variable::ReqbodyProcessorErrorMsg, fault.why.as_bytes());
    }
    sizes(store);
}

fn bounds(program: &Program) -> Bounds {
    let settings = &program.settings;
    Bounds {
        depth: settings.json_depth as usize,
        files: settings.upload_files as usize,
        file_bytes: if program.uses(Variable::FilesTmpContent) { 1 << 20 } else { 0 },
        ..Bounds::default()
    }
}

/// A multipart body: its fields go to `fields`.
fn multipart(read: &Read<'_>, store: &mut Store, fields: &mut Fields, body: &[u8], bounds: &Bounds) -> Option<Fault> {
    let mut reader = Multipart::new(read.content_type, *bounds);
    reader.push(body);
    let parts = reader.finish();
    // Where only the beginning is there, its end is missing for our sake.
    let mut flags = parts.flags;
    if read.cut {
        flags.error = false;
        flags.unmatched_boundary = 0;
    }
    for (variable, set) in [
        (Variable::MultipartBoundaryQuoted, flags.boundary_quoted),
        (Variable::MultipartBoundaryWhitespace, flags.boundary_whitespace),
        (Variable::MultipartCrlfLfLines, flags.crlf_lf_lines()),
        (Variable::MultipartDataAfter, flags.data_after),
        (Variable::MultipartDataBefore, flags.data_before),
        (Variable::MultipartFileLimitExceeded, flags.file_limit_exceeded),
        (Variable::MultipartHeaderFolding, flags.header_folding),
        (Variable::MultipartInvalidHeaderFolding, flags.invalid_header_folding),
        (Variable::MultipartInvalidPart, flags.invalid_part),
        (Variable::MultipartInvalidQuoting, flags.invalid_quoting),
        (Variable::MultipartLfLine, flags.lf_line),
        (Variable::MultipartMissingSemicolon, flags.missing_semicolon),
        (Variable::MultipartSemicolonMissing, flags.missing_semicolon),
        (Variable::MultipartStrictError, flags.strict_error()),
    ] {
        if set {
            store.set_number(variable, 1);
        }
    }
    if flags.unmatched_boundary > 0 {
        store.set_number(Variable::MultipartUnmatchedBoundary, i64::from(flags.unmatched_boundary));
    }
    for field in parts.fields.iter() {
        store.add(Place::PART_NAME, field.name, field.name);
    }
    for (file, size) in parts.files.iter().zip(&parts.sizes) {
        store.add_both(Place::FILE, Place::FILE_FIELD, file.name, file.value);
        store.add(Place::PART_NAME, file.name, file.name);
        store.add(Place::PART_FILENAME, file.name, file.value);
        store.add(Place::FILE_SIZE, file.name, size.to_string().as_bytes());
    }
    for file in parts.extended_names.iter() {
        store.add(Place::FILE, file.name, file.value);
        store.add(Place::PART_FILENAME, file.name, file.value);
    }
    for file in parts.contents.iter() {
        store.add(Place::FILE_CONTENT, file.name, file.value);
    }
    for line in parts.part_headers.iter() {
        store.add(Place::PART_HEADER, line.name, line.value);
    }
    store.set_number(Variable::FilesCombinedSize, i64::try_from(parts.combined_size()).unwrap_or(i64::MAX));
    let fault = parts.outcome.fault;
    *fields = parts.fields;
    fault
}

/// What a multipart body sets; 0 for any other.
const MULTIPART: [Variable; 15] = [
    Variable::MultipartBoundaryQuoted,
    Variable::MultipartBoundaryWhitespace,
    Variable::MultipartCrlfLfLines,
    Variable::MultipartDataAfter,
    Variable::MultipartDataBefore,
    Variable::MultipartFileLimitExceeded,
    Variable::MultipartHeaderFolding,
    Variable::MultipartInvalidHeaderFolding,
    Variable::MultipartInvalidPart,
    Variable::MultipartInvalidQuoting,
    Variable::MultipartLfLine,
    Variable::MultipartMissingSemicolon,
    Variable::MultipartSemicolonMissing,
    Variable::MultipartStrictError,
    Variable::MultipartUnmatchedBoundary,
];
