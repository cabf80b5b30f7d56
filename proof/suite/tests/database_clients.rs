//! Drivers of applications through the relay: tokio-postgres, sqlx, and PostgreSQL's own for Java; with TLS and without.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_suite::postgres::{PASSWORD, Postgres, jdbc, programs};
use portcullis_suite::{Authority, Gate, Leaf, Plan, free_port, place, root, run};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{Connection as _, Executor as _, Row as _};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

fn gate(name: &str, upstream: SocketAddr, certificate: Option<&Leaf>) -> (Gate, u16) {
    let port = free_port();
    let tls = certificate.map_or_else(String::new, |leaf| format!("cert = {:?}\nkey = {:?}\n", leaf.cert, leaf.key));
    let table = format!(
        "[[database]]\nname = \"db\"\nlisten = \"127.0.0.1:{port}\"\nupstream = \"{upstream}\"\nmode = \"enforce\"\n{tls}\n"
    );
    (Plan::new(name).upstream(&["http://127.0.0.1:9".to_owned()], "").table(&table).start(), port)
}

/// Every server there is, and Debian's once more with TLS.
fn servers(test: &str) -> Vec<(String, Postgres, Option<Leaf>)> {
    let Some(programs) = programs(test) else { return Vec::new() };
    let name = test.replace(' ', "-");
    let own = Authority::new(&place(&format!("{name}-certs"))).leaf(&["127.0.0.1"]);
    let mut all = Vec::new();
    for (version, path) in &programs.servers {
        all.push((format!("{name}-{version}"), Postgres::start(path, &format!("{name}-{version}"), None), None));
        if *version == "debian" {
            let server = Postgres::start(path, &format!("{name}-tls"), Some(&own));
            all.push((format!("{name}-tls"), server, Some(own.clone())));
        }
    }
    all
}

fn block<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), work).await.expect("in time") })
}

#[test]
fn tokio_postgres_works_through_the_relay() {
    // Its TLS is a matter of other crates.
    for (name, server, _) in servers("tokio postgres").into_iter().filter(|(_, _, leaf)| leaf.is_none()) {
        let (gate, port) = gate(&name, server.address(), None);
        block(async {
            let wanted = format!("host=127.0.0.1 port={port} user=admin password='{PASSWORD}' dbname=postgres");
            let (mut client, connection) = tokio_postgres::connect(&wanted, NoTls).await.expect("connected");
            tokio::spawn(connection);
            client.batch_execute("create temporary table t (id int, name text)").await.expect("a table");
            let insert = client.prepare("insert into t values ($1, $2)").await.expect("prepared");
            for id in 0..100_i32 {
                client.execute(&insert, &[&id, &format!("member {id}")]).await.expect("a row");
            }
            // Both are under way at once.
            let some = vec![1_i32, 2];
            let (one, two) = tokio::join!(
                async { client.query("select name from t where id = any($1)", &[&some]).await },
                client.query_one("select count(*), sum(id) from t", &[]),
            );
            assert_eq!(one.expect("rows").len(), 2);
            assert_eq!(two.expect("a row").get::<_, i64>(0), 100);
            // A portal read in pieces, inside a transaction that is given up.
            let transaction = client.transaction().await.expect("begun");
            transaction.execute("delete from t where id > $1", &[&49_i32]).await.expect("deleted");
            let portal = transaction.bind("select id from t order by id", &[]).await.expect("bound");
            let mut seen = 0;
            for most in [20, 20, 20] {
                seen += transaction.query_portal(&portal, most).await.expect("rows").len();
            }
            assert_eq!(seen, 50);
            drop(portal);
            transaction.rollback().await.expect("given up");
            let refused = client.batch_execute("do $$ begin end $$").await.expect_err("refused");
            assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused}");
            assert!(refused.as_db_error().is_some_and(|said| said.message().contains("reference")), "{refused}");
            let token = client.cancel_token();
            let (slept, cancelled) = tokio::join!(client.batch_execute("select pg_sleep(30)"), async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                token.cancel_query(NoTls).await
            });
            cancelled.expect("sent");
            assert_eq!(slept.expect_err("cancelled").code(), Some(&SqlState::QUERY_CANCELED));
            let left = client.query_one("select count(*) from t", &[]).await.expect("it goes on");
            assert_eq!(left.get::<_, i64>(0), 100);
        });
        assert!(gate.metrics().sum("portcullis_database_statements_refused_total", &[]) > 0.5);
    }
}

#[test]
fn sqlx_works_through_the_relay() {
    for (name, server, leaf) in servers("sqlx") {
        let (gate, port) = gate(&name, server.address(), leaf.as_ref());
        block(async {
            let mode = if leaf.is_some() { PgSslMode::Require } else { PgSslMode::Disable };
            let wanted = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("admin");
            let wanted = wanted.password(PASSWORD).database("postgres").ssl_mode(mode);
            let mut client = PgConnection::connect_with(&wanted).await.expect("connected");
            client.execute("create temporary table t (id int, name text)").await.expect("a table");
            for id in 0..50_i32 {
                let insert = sqlx::query("insert into t values ($1, $2)").bind(id).bind(format!("member {id}"));
                insert.execute(&mut client).await.expect("a row");
            }
            let mut transaction = client.begin().await.expect("begun");
            transaction.execute("delete from t").await.expect_err("of every row: refused");
            transaction.rollback().await.expect("given up");
            let rows = sqlx::query("select id, name from t where id < $1 order by id").bind(10_i32);
            let rows = rows.fetch_all(&mut client).await.expect("rows");
            assert_eq!(rows.len(), 10);
            assert_eq!(rows[7].get::<&str, _>("name"), "member 7");
            let failed = sqlx::query("select 1 / $1").bind(0_i32).fetch_one(&mut client).await.expect_err("by zero");
            assert_eq!(failed.as_database_error().and_then(|error| error.code()).as_deref(), Some("22012"));
            let refused = client.execute("do $$ begin end $$").await.expect_err("refused");
            assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("42501"));
            let left: i64 = sqlx::query_scalar("select count(*) from t").fetch_one(&mut client).await.expect("a count");
            assert_eq!(left, 50);
            client.close().await.expect("closed");
        });
        let session = gate.journal().find(|record| record["event"] == "session").expect("a line");
        assert_eq!(session["tls"] == "none", leaf.is_none(), "{session}");
    }
}

#[test]
fn jdbc_works_through_the_relay() {
    let test = "JDBC";
    let Some((java, jar)) = jdbc(test) else { return };
    for (name, server, leaf) in servers(test) {
        let (gate, port) = gate(&name, server.address(), leaf.as_ref());
        let mode = if leaf.is_some() { "require" } else { "disable" };
        let url = format!("jdbc:postgresql://127.0.0.1:{port}/postgres?sslmode={mode}");
        let source = root().join("proof/suite/java/PostgresClient.java");
        let (jar, source) = (jar.to_string_lossy(), source.to_string_lossy());
        let arguments = ["-cp", &jar, &source, &url, "admin", PASSWORD];
        let output = run(&java, &arguments, Duration::from_secs(120));
        assert!(output.success && output.stdout.contains("well"), "{name}: {}{}", output.stdout, output.stderr);
        assert!(gate.metrics().sum("portcullis_database_cancels_total", &[]) > 0.5);
    }
}
