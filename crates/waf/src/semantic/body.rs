//! From a body to its values, by the type that it claims to have.

use super::finding::{Findings, Place};
use super::{Detector, is_file, is_form};
use crate::body::multipart::Multipart;
use crate::body::{Bounds, Fields, json, xml};

impl Detector {
    /// Looks at a body, or at the beginning of one: what its type says is taken apart, and what cannot be is looked at as it is.
    /// `fields` is room to take it apart in; `packed` says that it has a content coding, so that nothing in it can be read.
    pub fn body(
        &self,
        content_type: &[u8],
        packed: bool,
        body: &[u8],
        bounds: &Bounds,
        fields: &mut Fields,
        findings: &mut Findings,
    ) {
        let kind =
            content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let json = kind == b"application/json" || kind == b"text/json" || kind.ends_with(b"+json");
        let xml = kind == b"application/xml" || kind == b"text/xml" || kind.ends_with(b"+xml");
        if body.is_empty() {
            return;
        }
        if packed || is_file(content_type) {
            return self.value(Place::File, b"", body, findings);
        }
        if is_form(content_type) {
            return self.form(body, findings);
        }
        fields.clear();
        if json {
            let outcome = json::parse(body, bounds, fields);
            for field in fields.iter() {
                self.value(Place::JsonName, b"", field.name, findings);
                self.value(Place::Json, field.name, field.value, findings);
            }
            if outcome.fault.is_some() {
                self.value(Place::Body, b"", body, findings);
            }
        } else if kind == b"multipart/form-data" {
            let mut reader = Multipart::new(content_type, Bounds { file_bytes: body.len(), ..*bounds });
            reader.push(body);
            let parts = reader.finish();
            for field in parts.fields.iter() {
                self.value(Place::FormName, b"", field.name, findings);
                self.value(Place::Form, field.name, field.value, findings);
            }
            for file in parts.files.iter().chain(parts.extended_names.iter()) {
                self.value(Place::FormName, b"", file.name, findings);
                self.value(Place::FileName, file.name, file.value, findings);
            }
            for file in parts.contents.iter() {
                self.value(Place::File, file.name, file.value, findings);
            }
            if parts.outcome.fault.is_some() && parts.fields.is_empty() && parts.files.is_empty() {
                self.value(Place::Body, b"", body, findings);
            }
        } else if xml {
            let document = xml::parse(body, true, bounds);
            for leaf in document.leaves.iter().chain(document.attributes.iter()) {
                self.value(Place::Xml, leaf.name, leaf.value, findings);
            }
            // What it declares is not in its values.
            if document.has_doctype || document.outcome.fault.is_some() {
                self.value(Place::Body, b"", body, findings);
            }
        } else {
            self.value(Place::Body, b"", body, findings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::Settings;

    #[test]
    fn a_body_is_read_as_what_it_claims_to_be() {
        let table: &[(&str, &str, bool)] = &[
            ("application/x-www-form-urlencoded", "q=1'+union+select+password+from+users--+-", true),
            ("application/x-www-form-urlencoded", "q=the+credit+union+has+a+select+few", false),
            ("application/json", r#"{"a":{"b":["1' union select password from users-- -"]}}"#, true),
            (
                "application/vnd.api+json; charset=utf-8",
                r#"{"a":"1\u0027 union select password from users-- -"}"#,
                true,
            ),
            ("application/json", r#"{"a":"a union of select few"}"#, false),
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n<script>alert(1)</script>\r\n--x--\r\n",
                true,
            ),
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nhello\r\n--x--\r\n",
                false,
            ),
            ("text/xml", "<a><b>1' union select password from users-- -</b></a>", true),
            ("text/xml", "<a><b c=\"hello\">world</b></a>", false),
            ("text/plain", "; cat /etc/passwd", true),
        ];
        let detector = Detector::new(Settings::default());
        for (kind, body, expected) in table {
            let (mut fields, mut findings) = (Fields::new(), Findings::new());
            detector.body(kind.as_bytes(), false, body.as_bytes(), &Bounds::default(), &mut fields, &mut findings);
            assert_eq!(detector.blocks(&findings), *expected, "{kind}: {body}: {:?}", findings.list());
        }
    }
}
