//! Reports of the gate's own, sent as visitors' browsers send them, to see whether they are heard.
//!
//! Each goes through a listener of the gate's own, in each form that browsers have, and through all that bounds what others send. Its
//! connection is one that the gate has made, so it is in no figure of visitors; what it says was blocked is at a name that nobody has.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::round::{doors, exchange, host, status};
use super::{Answer, Errand, Planted};
use crate::http::reports::PATH;
use crate::{Process, tls};

/// An answer that has not come by then does not come.
const DEADLINE: Duration = Duration::from_secs(10);
/// What all of them may take for one platform.
const ALL: Duration = Duration::from_secs(40);
/// How often it is looked whether probing rests still.
const REST: Duration = Duration::from_millis(200);

/// Sends reports of the gate's own.
pub struct Reports {
    pub(crate) process: Arc<Process>,
    pub(crate) runtime: Handle,
}

impl Reports {
    /// Sends one in each form, of a page of that platform; what each says was blocked bears `mark` in its host. Says which. Waits until
    /// all were answered.
    ///
    /// # Errors
    /// Why they could not be sent.
    pub fn send(&self, platform: &str, mark: &str) -> Result<Vec<Planted>, String> {
        let (done, over) = mpsc::channel();
        let (process, platform, mark) = (Arc::clone(&self.process), platform.to_owned(), mark.to_owned());
        let all = async move {
            // Whoever asked may have gone.
            let _ = done.send(send(&process, &platform, &mark).await);
        };
        self.runtime.spawn(all);
        over.recv_timeout(ALL).unwrap_or_else(|_| Err("the gate does not come to it".to_owned()))
    }
}

async fn send(process: &Process, platform: &str, mark: &str) -> Result<Vec<Planted>, String> {
    while process.probes.rests() {
        sleep(REST).await;
    }
    let snapshot = process.snapshot();
    let declared = snapshot.policy.platforms.iter().find(|known| known.name == platform);
    let declared = declared.ok_or("there is no such platform any more")?;
    let doors = doors(&snapshot.policy);
    let door = doors.first().ok_or("no listener leads to a platform")?;
    let client = tls::own_client(&snapshot.policy);
    let mut sent = Vec::new();
    for form in forms(&host(declared), door.tls, mark) {
        let Form { kind, name, blocked, body } = form;
        let (number, own) = process.probes.begin(Answer::Nothing);
        let (host, path) = (host(declared), String::from_utf8_lossy(PATH));
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: portcullis-probe\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n{own}Connection: close\r\n\r\n{body}",
            body.len()
        );
        let asked = exchange(process, (door, Errand::Report), &client, &host, request.as_bytes());
        let answer = timeout(DEADLINE, asked).await;
        process.probes.end(number);
        match answer {
            Ok(Ok(bytes)) if status(&bytes) == Some(204) => {}
            Ok(Ok(bytes)) => {
                let status = status(&bytes).map_or_else(|| "nothing".to_owned(), |status| status.to_string());
                return Err(format!("the report was not taken, {status} was answered"));
            }
            Ok(Err(error)) => return Err(format!("listener `{}`: {error}", door.name)),
            Err(_) => return Err(format!("no answer within {} s", DEADLINE.as_secs())),
        }
        sent.push(Planted { subject: blocked, words: format!("{name} as {kind}") });
    }
    Ok(sent)
}

/// A report as a browser writes it.
struct Form {
    kind: &'static str,
    name: &'static str,
    /// From where the thing came that was blocked, as the reader has it.
    blocked: String,
    body: String,
}

/// What browsers send: of a policy in the older form and in the newer one, and of an integrity policy.
fn forms(host: &str, tls: bool, mark: &str) -> [Form; 3] {
    let scheme = if tls { "https" } else { "http" };
    let page = format!("{scheme}://{host}/");
    let (policy, directive) = ("script-src 'self'", "script-src-elem");
    let form = |nth: usize, name: &'static str, kind: &'static str, body: &dyn Fn(&str) -> Value| {
        let blocked = format!("https://{mark}-{nth}.drill.portcullis.invalid");
        let body = body(&format!("{blocked}/d.js")).to_string();
        Form { kind, name, blocked, body }
    };
    let older = |blocked: &str| {
        json!({ "csp-report": {
            "document-uri": page, "referrer": "", "violated-directive": directive, "effective-directive": directive,
            "original-policy": policy, "disposition": "report", "blocked-uri": blocked, "status-code": 200,
        } })
    };
    let newer = |kind: &str, body: Value| json!([{ "type": kind, "age": 0, "url": page, "body": body }]);
    let csp = |blocked: &str| {
        let body = json!({
            "documentURL": page, "blockedURL": blocked, "effectiveDirective": directive, "originalPolicy": policy,
            "disposition": "report", "statusCode": 200,
        });
        newer("csp-violation", body)
    };
    let integrity = |blocked: &str| {
        let body = json!({ "documentURL": page, "blockedURL": blocked, "destination": "script", "reportOnly": true });
        newer("integrity-violation", body)
    };
    [
        form(0, "of a policy", "application/csp-report", &older),
        form(1, "of a policy", "application/reports+json", &csp),
        form(2, "of an integrity policy", "application/reports+json", &integrity),
    ]
}

#[cfg(test)]
mod tests {
    use portcullis_wire::report;

    use super::*;

    #[test]
    fn each_form_is_read_as_a_browser_s_is() {
        let forms = forms("example.org", true, "0123456789abcdef0123456789abcdef");
        let read = forms.map(|form| (report::read(form.kind.as_bytes(), form.body.as_bytes()), form.blocked));
        let kinds = read.map(|(batch, blocked)| {
            let batch = batch.expect("a browser's own form");
            let [said] = &batch.reports[..] else { panic!("one each: {batch:?}") };
            assert_eq!((&said.blocked, said.host.as_str(), said.enforced), (&blocked, "example.org", false));
            said.kind.name()
        });
        assert_eq!(kinds, ["csp", "csp", "integrity-policy"]);
    }
}
