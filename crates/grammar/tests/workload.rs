//! An application's ordinary day, learned and then held to: nothing of it may be refused, and an attack on it must be.
//!
//! `PORTCULLIS_STATEMENTS=1000000` plays the long form (`make workload`); without it the short one.

use std::net::{IpAddr, Ipv4Addr};

use portcullis_grammar::describe;
use portcullis_pgguard::book::{Book, Stage};
use portcullis_pgguard::policy::{Context, Policy, Rules, Ruling};

/// What the seed decides, the same on every machine (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(all.len() as u64)).unwrap_or(0);
        all.get(at).copied().unwrap_or_default()
    }

    fn name(&mut self) -> String {
        let syllables =
            ["an", "ber", "chris", "dor", "el", "fitz", "gar", "hol", "jones", "kel", "o''mal", "smith", "tay", "wil"];
        (0..2 + self.below(2)).map(|_| self.of(&syllables)).collect()
    }

    fn list(&mut self, most: u64) -> String {
        let count = 1 + self.below(most);
        (0..count).map(|_| (1 + self.below(1_000_000)).to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// One statement of a members' platform: pages, searches, forms, jobs; as object mappers and people write them.
fn statement(chance: &mut Chance) -> String {
    let id = 2 + chance.below(1_000_000);
    let page = chance.of(&["10", "20", "25", "50", "100"]);
    let name = chance.name();
    match chance.below(34) {
        0 => format!("SELECT \"members\".\"id\", \"members\".\"email\" FROM \"members\" WHERE \"members\".\"id\" = {id} LIMIT 21"),
        1 => format!("SELECT id, name FROM members WHERE branch_id = {id} ORDER BY name LIMIT {page} OFFSET {}", chance.below(5000)),
        2 => format!("SELECT id FROM members WHERE name ILIKE '%{name}%' ORDER BY id LIMIT {page}"),
        3 => format!("SELECT id FROM members WHERE lower(email) = lower('{name}@example.org')"),
        4 => format!("SELECT * FROM branches b JOIN members m ON m.branch_id = b.id WHERE b.id IN ({})", chance.list(10)),
        5 => format!("UPDATE members SET last_seen = now(), visits = visits + 1 WHERE id = {id}"),
        6 => format!("INSERT INTO events (member_id, kind, note) VALUES ({id}, 'login', '{name}') RETURNING id"),
        7 => format!("INSERT INTO audit (a, b) VALUES ({id}, '{name}'), ({id}, 'x')"),
        8 => format!("DELETE FROM sessions WHERE token = '{name}{id}'"),
        9 => format!("DELETE FROM sessions WHERE expires < '2026-{:02}-{:02} 10:00:00+00'", 1 + chance.below(12), 1 + chance.below(28)),
        10 => "BEGIN".to_owned(),
        11 => chance.of(&["COMMIT", "commit", "COMMIT;", "ROLLBACK"]).to_owned(),
        12 => format!("SAVEPOINT sp_{id}"),
        13 => format!("RELEASE SAVEPOINT sp_{id}"),
        14 => chance.of(&["SET search_path TO public", "SET TIME ZONE 'UTC'", "SET client_encoding TO 'UTF8'", "SHOW transaction isolation level"]).to_owned(),
        15 => format!("SELECT set_config('app.member', '{id}', true)"),
        16 => format!("SELECT count(*) FROM donations WHERE paid_at BETWEEN '2026-{0:02}-01' AND '2026-{0:02}-28'", 1 + chance.below(12)),
        17 => format!("WITH recent AS (SELECT * FROM donations WHERE member_id = {id}) SELECT sum(amount) FROM recent"),
        18 => format!("SELECT data->>'nickname' FROM profiles WHERE member_id = {id}"),
        19 => format!("SELECT m.id FROM members m WHERE m.id > {} ORDER BY m.id LIMIT {page}", chance.below(1_000_000)),
        20 => format!("SELECT EXISTS (SELECT 1 FROM bans WHERE address = '10.0.{}.{}')", chance.below(256), chance.below(256)),
        21 => format!("SELECT id FROM articles WHERE published AND slug = '{name}' -- request {id}"),
        22 => format!("SELECT /*route='search'*/ id FROM articles WHERE title % '{name}' LIMIT {page}"),
        23 => "SELECT 1".to_owned(),
        24 => format!("INSERT INTO counters (k, n) VALUES ('{name}', 1) ON CONFLICT (k) DO UPDATE SET n = counters.n + 1"),
        25 => format!("SELECT a.id, (SELECT count(*) FROM comments c WHERE c.article_id = a.id) FROM articles a WHERE a.id = {id}"),
        26 => "SELECT b.name, count(*) FROM branches b LEFT JOIN members m ON m.branch_id = b.id GROUP BY b.name HAVING count(*) > 5".to_owned(),
        27 => format!("UPDATE jobs SET state = 'done' WHERE id = {id} AND state = 'running'"),
        28 => "SELECT id FROM jobs WHERE state = 'new' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1".to_owned(),
        29 => format!("SELECT id FROM members WHERE id = ANY(ARRAY[{}])", chance.list(100)),
        30 => format!("NOTIFY jobs, '{id}'"),
        31 => format!("SELECT id, CASE WHEN fee > {} THEN 'full' ELSE 'part' END FROM members WHERE id = {id}", 10 + chance.below(20)),
        32 => format!("SELECT coalesce(nick, name) FROM members WHERE id = {id} UNION ALL SELECT name FROM guests WHERE id = {id}"),
        _ => format!("BEGIN; UPDATE members SET seen = '{name}' WHERE id = {id}; COMMIT"),
    }
}

#[test]
fn an_ordinary_day_is_not_refused() {
    let asked = std::env::var("PORTCULLIS_STATEMENTS").ok().and_then(|count| count.parse::<u64>().ok());
    let count = asked.unwrap_or(20_000);
    let rules = Rules { enforce: true, ..Rules::default() };
    let mut policy = Policy::new(rules, Book::default(), [3; 16]);
    let context = Context {
        guard: "db".into(),
        role: "web".into(),
        database: "members".into(),
        client: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)),
        application: "".into(),
    };
    let mut parsed = 0_u64;
    let mut ask = |policy: &mut Policy, text: &str| {
        policy.judge(text.as_bytes(), &context, 1).unwrap_or_else(|| {
            parsed += 1;
            policy.told(text.as_bytes(), describe(text.as_bytes()), &context, 1)
        })
    };
    policy.book_mut().set_stage("web", Stage::Learn);
    let mut calm = Chance(0x5EED);
    for _ in 0..5000 {
        let text = statement(&mut calm);
        assert_eq!(ask(&mut policy, &text).ruling, Ruling::Pass, "{text}");
    }
    policy.book_mut().approve(Some("web"), None);
    policy.book_mut().set_stage("web", Stage::Enforce);
    let statements = policy.book().entries().count();
    assert!((35..80).contains(&statements), "{statements}: the book is of statements, not of texts");
    // It comes back from its file the same.
    let book = Book::read(&policy.book().write()).expect("what was written");
    *policy.book_mut() = book;

    let mut day = Chance(0xDA1);
    for number in 0..count {
        let text = statement(&mut day);
        let verdict = ask(&mut policy, &text);
        assert_eq!(verdict.ruling, Ruling::Pass, "statement {number}: {text}");
    }
    assert_eq!(policy.counts.unknown + policy.counts.forbidden + policy.counts.unreadable, 0);
    for attack in [
        "SELECT id, name FROM members WHERE branch_id = 5 ORDER BY name LIMIT 100000 OFFSET 0",
        "SELECT id FROM members WHERE name ILIKE '%%' ORDER BY id LIMIT 20",
        "SELECT id FROM articles WHERE published AND slug = '' OR 1=1 -- request 5",
        "SELECT data->>'password' FROM profiles WHERE member_id = 7",
        "SET search_path TO evil",
    ] {
        assert!(matches!(ask(&mut policy, attack).ruling, Ruling::Refused(_)), "{attack}");
    }
    println!("{count} statements, {statements} in the book, {parsed} parsed, 0 refused");
}
