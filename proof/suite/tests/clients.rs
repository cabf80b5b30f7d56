//! Real clients against real upstreams: curl, openssl, h2load, wrk, gRPC, WebSocket, and a browser.

use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis_suite::{
    Authority, Gate, HOST, Nginx, Origin, Output, Plan, Python, Wire, digest, eventually, free_port, have, pattern, run,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A gate with TLS in front of nginx (`gate.test`) and of an echo (`echo.test`).
struct Site {
    gate: Gate,
    authority: Authority,
    origin: Origin,
    nginx: Nginx,
}

impl Site {
    fn new(name: &str) -> Option<Self> {
        let plan = Plan::new(name);
        let nginx = Nginx::start(plan.place(), name)?;
        let authority = Authority::new(plan.place());
        let origin = Origin::echo();
        let gate = plan
            .tls(&[authority.leaf(&[HOST, "echo.test"])])
            .platform("pages", &[HOST], &[nginx.url()], "")
            .platform(
                "echo",
                &["echo.test"],
                &[origin.url()],
                "[[platform.route]]\npath = \"/upgrade\"\nclass = \"api\"\nupgrade = true\n",
            )
            .limits("body_bytes = \"64MiB\"")
            .start();
        Some(Self { gate, authority, origin, nginx })
    }

    /// curl with the names resolved to the gate; the URL's port is that of the scheme's listener.
    fn curl(&self, arguments: &[&str], scheme: &str, host: &str, path: &str) -> Output {
        let address = if scheme == "https" { self.gate.https() } else { self.gate.http() };
        let resolve = format!("{host}:{}:127.0.0.1", address.port());
        let url = format!("{scheme}://{host}:{}{path}", address.port());
        let ca = self.authority.pem.to_string_lossy();
        let fixed =
            ["-sS", "--fail-with-body", "--max-time", "30", "--noproxy", "*", "--cacert", &*ca, "--resolve", &*resolve];
        let all: Vec<&str> = fixed.into_iter().chain(arguments.iter().copied()).chain([&*url]).collect();
        run("curl", &all, MINUTE)
    }
}

fn file_digest(path: &Path) -> String {
    digest(&fs::read(path).unwrap_or_default())
}

#[test]
fn curl_in_every_version() {
    if !have("curl", "curl", "curl") {
        return;
    }
    let Some(site) = Site::new("clients-curl") else { return };
    let page = fs::read_to_string(site.nginx.site().join("index.html")).expect("the page is there");
    let versions: [(&[&str], &str, &str); 7] = [
        (&["--http1.0"], "http", "1.1"),
        (&["--http1.1"], "http", "1.1"),
        (&["--http2-prior-knowledge"], "http", "2"),
        (&["--http1.1"], "https", "1.1"),
        (&["--http2"], "https", "2"),
        (&["--http2", "--tlsv1.2", "--tls-max", "1.2"], "https", "2"),
        (&["--http2", "--tlsv1.3"], "https", "2"),
    ];
    for (arguments, scheme, version) in versions {
        let told = [arguments, &["-w", "|%{http_version}|%{http_code}"]].concat();
        let output = site.curl(&told, scheme, HOST, "/index.html");
        let expected = format!("{page}|{version}|200");
        assert!(
            output.success && output.stdout == expected,
            "{arguments:?} {scheme}: {} {}",
            output.stdout,
            output.stderr
        );
    }
    // A version that nobody should speak.
    let old = site.curl(&["--tls-max", "1.1", "--tlsv1.0", "--ciphers", "DEFAULT:@SECLEVEL=0"], "https", HOST, "/");
    assert!(!old.success, "TLS 1.1 is not spoken");
}

#[test]
fn curl_with_ranges_heads_uploads_and_downloads() {
    if !have("curl", "curl", "curl") {
        return;
    }
    let Some(site) = Site::new("clients-bodies") else { return };
    let place = site.gate.place().to_owned();
    let big = place.join("upload.bin");
    fs::write(&big, pattern(20_000_000)).expect("the file can be written");
    let (sum, down) = (file_digest(&big), place.join("download.bin"));
    let (upload, target) = (format!("@{}", big.display()), down.to_string_lossy().into_owned());
    for version in [&["--http1.1"][..], &["--http2"][..]] {
        let curl =
            |arguments: &[&str], host: &str, path: &str| site.curl(&[version, arguments].concat(), "https", host, path);
        let range = curl(&["-r", "1000-1999", "-o", &target, "-w", "%{http_code}"], HOST, "/10m.bin");
        assert_eq!(range.stdout, "206", "{version:?}: {}", range.stderr);
        assert_eq!(file_digest(&down), digest(pattern(2000).get(1000..).unwrap_or_default()), "{version:?}: the range");
        let head = curl(&["-I", "-w", "%{http_code} %{size_download}"], HOST, "/10m.bin");
        assert!(
            head.stdout.ends_with("200 0") && head.stdout.to_lowercase().contains("content-length: 10485760"),
            "{}",
            head.stdout
        );
        let whole = curl(&["-o", &target], HOST, "/10m.bin");
        assert!(whole.success, "{version:?}: {}", whole.stderr);
        assert_eq!(file_digest(&down), digest(&pattern(10 << 20)), "{version:?}: ten megabytes arrive as they were");
        let zipped = curl(&["--compressed", "-D", "-", "-o", &target], HOST, "/style.css");
        assert!(zipped.stdout.to_lowercase().contains("content-encoding: gzip"), "{version:?}: {}", zipped.stdout);

        // curl itself sends `Expect: 100-continue` with a body of this size over HTTP/1.1.
        let sent =
            curl(&["--data-binary", &upload, "-H", "Content-Type: application/octet-stream"], "echo.test", "/up");
        let told: serde_json::Value = serde_json::from_str(&sent.stdout).unwrap_or_default();
        assert_eq!(told["body_sha256"].as_str(), Some(&*sum), "{version:?}: {} {}", sent.stdout, sent.stderr);
        let chunked = curl(&["-T", &big.to_string_lossy(), "-H", "Transfer-Encoding: chunked"], "echo.test", "/up");
        let told: serde_json::Value = serde_json::from_str(&chunked.stdout).unwrap_or_default();
        assert_eq!(told["body_sha256"].as_str(), Some(&*sum), "{version:?}: {} {}", chunked.stdout, chunked.stderr);
        let trailers = curl(&["-D", "-", "-o", &target], "echo.test", "/trailers");
        assert!(trailers.success, "{version:?}: {}", trailers.stderr);
        assert_eq!(fs::read_to_string(&down).unwrap_or_default(), "hello");
    }
    assert!(site.origin.take().iter().all(|seen| !seen.line.is_empty()));
}

#[test]
fn curl_upgrades_to_a_websocket() {
    if !have("curl", "curl", "curl") {
        return;
    }
    let Some(site) = Site::new("clients-curl-websocket") else { return };
    let upgrade = [
        "--http1.1",
        "--max-time",
        "2",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        "Connection: Upgrade",
        "-H",
        "Upgrade: websocket",
        "-H",
        "Sec-WebSocket-Version: 13",
        "-H",
        "Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ==",
    ];
    let output = site.curl(&upgrade, "http", "echo.test", "/upgrade");
    assert!(output.stdout.starts_with("101"), "{} {}", output.stdout, output.stderr);
}

#[test]
fn tls_sessions_are_resumed() {
    if !have("openssl", "openssl", "TLS session resumption") {
        return;
    }
    let Some(site) = Site::new("clients-resumption") else { return };
    let address = site.gate.https().to_string();
    let ca = site.authority.pem.to_string_lossy().into_owned();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = site.gate.place().join(format!("session{version}"));
        let session = session.to_string_lossy().into_owned();
        let script = |extra: &str| {
            // The request makes the server speak, so that the tickets of TLS 1.3 have arrived before the end.
            format!(
                "(printf 'GET /index.html HTTP/1.1\\r\\nHost: {HOST}\\r\\nConnection: close\\r\\n\\r\\n'; sleep 1) | \
                 openssl s_client -connect {address} -servername {HOST} -CAfile '{ca}' -verify_return_error {version} {extra} 2>&1"
            )
        };
        let first = run("sh", &["-c", &script(&format!("-sess_out '{session}'"))], MINUTE);
        assert!(first.stdout.contains("New, ") && first.stdout.contains("200 OK"), "{version}: {}", first.stdout);
        let second = run("sh", &["-c", &script(&format!("-sess_in '{session}'"))], MINUTE);
        assert!(second.stdout.contains("Reused, ") && second.stdout.contains("200 OK"), "{version}: {}", second.stdout);
    }
}

#[test]
fn h2load_and_wrk_lose_nothing() {
    let Some(site) = Site::new("clients-load") else { return };
    let (http, https) = (site.gate.http(), site.gate.https().port());
    if have("h2load", "nghttp2-client", "h2load") {
        for (scheme, port) in [("http", http.port()), ("https", https)] {
            let (url, to) = (format!("{scheme}://{HOST}:{port}/1k.bin"), format!("--connect-to=127.0.0.1:{port}"));
            let output = run("h2load", &["-n", "5000", "-c", "8", "-m", "16", &to, &url], MINUTE);
            let all = "5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout";
            assert!(
                output.stdout.contains(all) && output.stdout.contains("5000 2xx"),
                "{url}: {} {}",
                output.stdout,
                output.stderr
            );
        }
        let (url, to) = (format!("http://{HOST}:{}/1k.bin", http.port()), format!("--connect-to={http}"));
        let output = run("h2load", &["--h1", "-n", "5000", "-c", "16", &to, &url], MINUTE);
        assert!(
            output.stdout.contains("5000 succeeded, 0 failed") && output.stdout.contains("5000 2xx"),
            "{}",
            output.stdout
        );
    }
    if have("wrk", "wrk", "wrk") {
        for url in [format!("http://{http}/1k.bin"), format!("https://127.0.0.1:{https}/100k.bin")] {
            let output = run("wrk", &["-t1", "-c32", "-d2s", "-H", &format!("Host: {HOST}"), &url], MINUTE);
            let clean =
                output.success && !output.stdout.contains("Socket errors") && !output.stdout.contains("Non-2xx");
            assert!(clean, "{url}: {}", output.stdout);
        }
    }
}

#[test]
fn grpc_with_streams_errors_and_trailers() {
    let Some(python) = Python::new("gRPC") else { return };
    let plan = Plan::new("clients-grpc");
    let authority = Authority::new(plan.place());
    let port = free_port();
    let server = python.serve("grpc_server.py", &[&port.to_string()], &plan.place().join("grpc-server.log"));
    let up = eventually(Duration::from_secs(20), || server.output().contains("ready"));
    assert!(up, "the gRPC server did not come up: {}", server.output());
    let gate = plan.tls(&[authority.leaf(&[HOST])]).upstream(&[format!("h2c://127.0.0.1:{port}")], "").start();
    let pem = authority.pem.to_string_lossy();
    for (address, pem) in [(gate.http(), "-"), (gate.https(), &*pem)] {
        let output = python.run("grpc_client.py", &[&address.to_string(), HOST, pem], MINUTE);
        assert!(
            output.success && output.stdout.trim() == "all well",
            "{address}: {}\n{}",
            output.stdout,
            output.stderr
        );
    }
}

#[test]
fn websocket_frames_pass_both_ways() {
    let Some(python) = Python::new("WebSocket") else { return };
    let plan = Plan::new("clients-websocket");
    let authority = Authority::new(plan.place());
    let port = free_port();
    let server = python.serve("ws_server.py", &[&port.to_string()], &plan.place().join("ws-server.log"));
    let up = eventually(Duration::from_secs(20), || server.output().contains("ready"));
    assert!(up, "the WebSocket server did not come up: {}", server.output());
    let gate = plan
        .tls(&[authority.leaf(&[HOST])])
        .upstream(
            &[format!("http://127.0.0.1:{port}")],
            "[[platform.route]]\npath = \"/live\"\nclass = \"api\"\nupgrade = true\n",
        )
        .start();
    let pem = authority.pem.to_string_lossy();
    for (address, pem) in [(gate.http(), "-"), (gate.https(), &*pem)] {
        let output = python.run("ws_client.py", &[&address.to_string(), HOST, pem], MINUTE);
        assert!(
            output.success && output.stdout.trim() == "all well",
            "{address}: {}\n{}",
            output.stdout,
            output.stderr
        );
    }
}

#[test]
fn a_browser_loads_a_page_with_its_assets() {
    if !have("chromium", "chromium", "a browser") {
        return;
    }
    let Some(site) = Site::new("clients-browser") else { return };
    let port = site.gate.https().port();
    let profile = site.gate.place().join("profile");
    let profile = format!("--user-data-dir={}", profile.display());
    let resolve = format!("--host-resolver-rules=MAP {HOST} 127.0.0.1");
    let url = format!("https://{HOST}:{port}/");
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-default-apps",
        "--disable-dev-shm-usage",
        "--ignore-certificate-errors",
        "--virtual-time-budget=8000",
        &profile,
        &resolve,
        "--dump-dom",
        &url,
    ];
    let output = run("chromium", &arguments, MINUTE);
    assert!(
        output.stdout.contains("loaded 42"),
        "page, script and data were loaded: {}\n{}",
        output.stdout,
        output.stderr
    );
    for asset in ["/", "/style.css", "/app.js", "/dot.svg", "/data.json"] {
        let record = site.gate.journal().find(|record| record["path"] == asset && record["status"] == 200);
        let record = record.unwrap_or_else(|| panic!("the browser did not load {asset}"));
        assert_eq!(record["version"].as_str(), Some("2"), "browsers speak HTTP/2: {record}");
        assert!(
            record["ja4"].is_string() && record["h2"].is_string() && record["order"].is_string(),
            "prints: {record}"
        );
    }
}

#[test]
fn a_download_that_is_cut_short_is_known_to_be() {
    let Some(site) = Site::new("clients-slow") else { return };
    let mut wire = Wire::plain(site.gate.http());
    wire.send(format!("GET /slow/100k.bin HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).expect("it is read");
    assert_eq!(
        wire.response().map(|response| digest(&response.body)),
        Ok(digest(&pattern(100 * 1024))),
        "two seconds at 50 kB/s"
    );
    // Its opposite: a visitor who goes away is counted as that, and as nothing else.
    let mut wire = Wire::plain(site.gate.http());
    wire.send(format!("GET /slow/10m.bin HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).expect("it is read");
    assert!(wire.some().is_ok());
    drop(wire);
    let record = site.gate.journal().find(|record| record["path"] == "/slow/10m.bin");
    assert_eq!(record.as_ref().and_then(|record| record["reason"].as_str()), Some("client-closed"), "{record:?}");
}
