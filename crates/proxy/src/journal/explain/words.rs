//! Sentences of explanations in English.

use portcullis_engine::Clause;
use portcullis_types::Reason;

/// One sentence.
pub(super) fn english(clause: &Clause) -> String {
    let number = |name: &str| clause.numbers.get(name).copied().unwrap_or_default();
    let name = |name: &str| clause.names.get(name).map_or("?", String::as_str);
    let reason = |gap: &str| Reason::from_code(name(gap));
    let value = name("value");
    let n = number("n");
    match clause.code.as_str() {
        "reference" => value.to_owned(),
        "request-served" => format!("{} was served with status {}.", name("asked"), number("status")),
        "request-refused" => format!("{} was refused with status {}.", name("asked"), number("status")),
        "request-closed" => format!("{} was refused by closing the connection.", name("asked")),
        "request-failed" => format!("{} was let in, then failed with status {}.", name("asked"), number("status")),
        "request-broke" => format!("{} failed, and the connection was closed.", name("asked")),
        "connection-served" => "A connection was served.".to_owned(),
        "connection-refused" => format!("A connection was refused with status {}.", number("status")),
        "connection-closed" => "A connection was refused by closing it.".to_owned(),
        "connection-failed" => format!("A connection was let in, then failed with status {}.", number("status")),
        "connection-broke" => "A connection failed and was closed.".to_owned(),
        "moved" => format!("{} bytes came in, {} went out.", number("came"), number("went")),
        "session-over" => format!("A session of {} ended.", role(clause)),
        "session-cut" => format!("A session of {} was ended by the gate.", role(clause)),
        "statement-ran" => format!("A statement of {} ran.", role(clause)),
        "statement-refused" => {
            format!("Something that {} asked for was refused; the session, if there was one, went on.", role(clause))
        }
        "statement-observed" => format!(
            "Something that {} asked for would have been refused and passed, because it is only observed.",
            role(clause)
        ),
        "canary-near" => format!("A canary was about to reach {}.", role(clause)),
        "books-differ" => format!(
            "The server's own books of database {} show what the gate did not see: {}.",
            name("database"),
            name("detail")
        ),
        "rows-left" => format!("Rows that left: {n}."),
        "bytes-left" => format!("Bytes that left: {n}."),
        "rows-came" => format!("Rows that came in: {n}."),
        "why" => format!("{}: {}", name("code"), reason("reason").map_or("", Reason::description)),
        "why-unknown" => format!("{}: a reason that this version does not know.", name("code")),
        "detail" => format!("In detail: {value}."),
        "hint" => reason("hint").map_or("", Reason::hint).to_owned(),
        "answer" => format!("The visitor gets status {}.", number("status")),
        "answer-none" => "The visitor gets none: the connection is closed, or the stream reset.".to_owned(),
        "blame-client" => "It is the client's doing.".to_owned(),
        "blame-upstream" => "It is the doing of the platform behind the gate.".to_owned(),
        "blame-gate" => "It is the gate's doing.".to_owned(),
        "listener" => format!("It came to listener {} of node {}.", name("listener"), name("node")),
        "node" => format!("It came to node {}.", name("node")),
        "version" => format!("It spoke HTTP/{value}."),
        "tls" => format!("It was encrypted with TLS {value}."),
        "client" => format!("It came from {}.", name("client")),
        "client-connected" => format!("It came from {}, connected from {}.", name("client"), name("peer")),
        "client-proxied" => format!("It came from {}, as the PROXY header from {} says.", name("client"), name("peer")),
        "client-forwarded" => format!("It came from {}, as the trusted proxy {} says.", name("client"), name("peer")),
        "ja4" => format!("Its TLS print (JA4) is {value}."),
        "h2" => format!("Its HTTP/2 settings are {value}."),
        "order" => format!("The print of its header order is {value}."),
        "trust-suspect" => "suspect: it did what people's browsers do not.".to_owned(),
        "trust-fresh" => "fresh: nobody had seen it before.".to_owned(),
        "trust-human" => "human: it did what people's browsers do.".to_owned(),
        "trust-passed" => "passed: it had passed a challenge.".to_owned(),
        "trust-history" => "history: it had been here on other days.".to_owned(),
        "trust-crawler" => "crawler: its owner publishes its addresses, and it came from there.".to_owned(),
        "trust-partner" => "partner: the organisation vouches for it.".to_owned(),
        "trust-staff" => "staff: the organisation vouches for it.".to_owned(),
        "trust-other" => format!("{}.", name("trust")),
        "platform" => format!("It was for platform {value}."),
        "route" => format!("It took route {value}."),
        "class" => format!("The route's class is {value}."),
        "inside" => format!("It was for {value} inside the server."),
        "application" => format!("The application calls itself {value}."),
        "posture" => format!("The platform was in {} since {}.", name("posture"), name("time")),
        "in-force" => format!("{} ({}, {}).", name("id"), name("kind"), name("action")),
        "only-observed" => "Only observed: it passed.".to_owned(),
        "found-rule" => format!("Rule {} in {}: {}.", name("rule"), name("where"), name("why")),
        "found-rule-answer" => format!("Rule {} in the answer's {}: {}.", name("rule"), name("where"), name("why")),
        "found-family" => format!("Detection of family {} in {}: {}.", name("family"), name("where"), name("why")),
        "found-family-answer" => {
            format!("Detection of family {} in the answer's {}: {}.", name("family"), name("where"), name("why"))
        }
        "tags" => format!("It is against {}.", name("tags")),
        "score" => format!("It counts {} points.", number("score")),
        "matched" => format!("Matched: \"{}\".", name("part")),
        "matched-after" => format!("Matched: \"{}\" after {}.", name("part"), name("via")),
        "found-more" => "More was found than is recorded.".to_owned(),
        "exclusion" => format!("{} on {}{}.", name("exclusions"), name("platform"), name("route")),
        "exclusion-none" => "No exclusion of single values lets it pass.".to_owned(),
        "exclusion-untried" => format!("None can be tried: {}.", name("why")),
        "exclusion-unasked" => "Not tried: that needs --config, which has the rules.".to_owned(),
        "exclusion-refused" => format!("The configuration would not take it: {}", name("why")),
        "tried" => format!("Tried: it lets {} pass and no other that is recorded.", requests(n)),
        "tried-beside" => format!(
            "Tried: it lets {} pass, and BESIDE them {}: {}.",
            requests(n),
            requests(number("others")),
            name("named")
        ),
        "tried-stay" => format!("{n} in which it has a part are refused still."),
        "tried-unread" => format!("Of {n} the body was never looked at."),
        "statement" => format!("The statement begins: {value}"),
        "statement-key" => format!("Its number is {value}."),
        "for-request" => format!("The application ran it for request {value}."),
        "upstream" => format!("It went to upstream {value}."),
        "attempts" => format!("It was sent {} times.", number("attempts")),
        "began" => format!("The upstream began to answer after {} ms.", number("ms")),
        "left-records" => format!("Records in the answer: {n}."),
        "left-values" => format!("Values of kind {}: {n}.", name("of")),
        "left-export" => "It left as an export.".to_owned(),
        "left-unread" => format!("{n} bytes were not looked at ({}).", name("why")),
        "when" => format!("{}.", name("time")),
        "took" => format!("It took {} ms.", number("ms")),
        "lost" => format!("{} records before this one could not be written.", number("records")),
        // Of acts the words of that time stand; these are for other languages, and for a program that prints no others.
        "act-gate" => format!("{}, {}, by the gate itself:", name("time"), name("platform")),
        "act-operator" => format!("{}, {}, by an operator:", name("time"), name("platform")),
        "act-person" => format!("{}, {}, by {}:", name("time"), name("platform"), name("who")),
        "pattern" => format!("It matches {}.", name("pattern")),
        "matched-so-far" => format!("It had matched {} requests by then.", number("matched")),
        other => other.to_owned(),
    }
}

fn role(clause: &Clause) -> String {
    let name = |name: &str| clause.names.get(name).map_or("?", String::as_str);
    format!("role {} on database {}", name("role"), name("database"))
}

fn requests(n: f64) -> String {
    format!("{n} recorded request{}", if (n - 1.0).abs() < 0.5 { "" } else { "s" })
}
