//! A session of PostgreSQL: hostile bytes of either side neither panic nor loop, and how they are cut changes nothing that comes out.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::Cuts;
use portcullis_pgguard::policy::{Context, Denial, Effect, Ruling, Statement, Verdict};
use portcullis_pgguard::session::{Desk, Event, Outflow, Session, Step, Terms};
use portcullis_types::{Reason, Reference};
use portcullis_wire::postgres::backend::Column;
use portcullis_wire::postgres::frontend::Values;
use portcullis_wire::postgres::opening;
use portcullis_wire::read::Read;

fuzz_target!(|bytes: &[u8]| {
    let whole = opening(bytes);
    for end in Cuts::of(bytes).positions(bytes.len()) {
        match opening(&bytes[..end]) {
            Read::Incomplete => {}
            Read::Done((_, taken)) => assert_eq!(Some(taken), whole.done().map(|(_, taken)| taken)),
            early @ Read::Invalid(_) => assert_eq!(early, whole),
        }
    }
    let Some((mode, rest)) = bytes.split_first() else { return };
    // What the client sends, then what the server answers to it.
    let (client, server) = rest.split_at(rest.len().min(usize::from(mode >> 1) * 8));
    let mut once = Play::new(mode & 1 == 1);
    once.show(client, true, &[client.len()]);
    once.show(server, false, &[server.len()]);
    let mut cut = Play::new(mode & 1 == 1);
    cut.show(client, true, &Cuts::of(client).positions(client.len()));
    cut.show(server, false, &Cuts::of(server).positions(server.len()));
    assert_eq!(once.out, cut.out);
    assert_eq!(once.ended, cut.ended);
});

/// Refuses every third text, by its length; lets a thousand rows leave.
#[derive(Default)]
struct Fake {
    references: u64,
    rows: u64,
}

fn verdict(text: &[u8]) -> Arc<Verdict> {
    let denial = Denial { reason: Reason::StatementUnknown, detail: "fuzz".into() };
    let ruling = match text.len() % 3 {
        0 => Ruling::Refused(denial),
        1 => Ruling::Observed(denial),
        _ => Ruling::Pass,
    };
    let name = || String::from_utf8_lossy(text.get(1..3).unwrap_or_default()).into_owned().into_boxed_str();
    let plain = |effect| Statement {
        key: 1,
        effect,
        sensitive: text.first() == Some(&b's'),
        values_matter: text.last() == Some(&b'$'),
        described: None,
    };
    let effect = match text.first() {
        Some(b'p') => Effect::Prepare { name: name(), statement: Box::new(plain(Effect::None)) },
        Some(b'e') => Effect::Execute { name: name() },
        Some(b'd') => Effect::Deallocate { name: Some(name()) },
        _ => Effect::None,
    };
    Arc::new(Verdict { ruling, statements: Arc::from([plain(effect)]) })
}

impl Desk for Fake {
    fn judge(&mut self, text: &[u8], _: &Context) -> Option<Arc<Verdict>> {
        (text.len() % 2 == 0).then(|| verdict(text))
    }
    fn bind(&mut self, _: &Statement, values: &Values<'_>, _: &Context) -> Ruling {
        let denial = Denial { reason: Reason::StatementUnknown, detail: "fuzz".into() };
        if values.iter().count() > 1 { Ruling::Refused(denial) } else { Ruling::Pass }
    }
    fn execute(&mut self, _: &Statement, _: &Statement, _: &Context) -> Ruling {
        Ruling::Pass
    }
    fn charge(&mut self, outflow: &Outflow<'_>, _: &Context) -> Result<(), Denial> {
        self.rows += outflow.rows;
        Ok(())
    }
    fn is_sensitive(&mut self, column: &Column<'_>) -> Option<bool> {
        (column.relation < 100).then_some(column.attribute == 1)
    }
    fn reference(&mut self) -> Reference {
        self.references += 1;
        Reference(self.references)
    }
    fn note(&mut self, _: Event<'_>, _: &Context) {}
}

struct Play {
    session: Session,
    desk: Fake,
    /// What went to the server, and to the application.
    out: [Vec<u8>; 2],
    ended: Option<Reason>,
}

impl Play {
    fn new(enforce: bool) -> Self {
        let terms = Terms {
            enforce,
            statement_bytes: 256,
            name_bytes: 32,
            values_bytes: 128,
            plans: 8,
            pipeline: 32,
            functions: Arc::from([7]),
        };
        let context = Context {
            guard: "g".into(),
            role: "r".into(),
            database: "d".into(),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            application: "".into(),
        };
        let mut play = Self {
            session: Session::new(context, terms),
            desk: Fake::default(),
            out: [Vec::new(), Vec::new()],
            ended: None,
        };
        let greeting = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x07abcdZ\0\0\0\x05I";
        play.show(greeting, false, &[greeting.len()]);
        play
    }

    fn show(&mut self, bytes: &[u8], client: bool, ends: &[usize]) {
        let (mut held, mut from) = (Vec::new(), 0);
        for end in ends {
            held.extend_from_slice(&bytes[from..*end]);
            from = *end;
            self.look(&mut held, client);
        }
    }

    fn look(&mut self, held: &mut Vec<u8>, client: bool) {
        let mut steps = 0;
        while self.ended.is_none() && !held.is_empty() {
            steps += 1;
            assert!(steps < 20_000, "it goes round in circles");
            let (session, desk) = (&mut self.session, &mut self.desk);
            match if client { session.from_client(held, desk) } else { session.from_server(held, desk) } {
                Step::Forward(count) => {
                    assert!(count > 0 && count <= held.len());
                    self.out[usize::from(!client)].extend(held.drain(..count));
                }
                Step::Replace(count, with) => {
                    assert!(count > 0 && count <= held.len());
                    held.drain(..count);
                    self.out[usize::from(!client)].extend(with);
                }
                Step::Ask(range) => self.session.answer(verdict(&held[range])),
                Step::More | Step::Wait => return,
                Step::End(end) => self.ended = Some(end.denial.reason),
            }
        }
    }
}
