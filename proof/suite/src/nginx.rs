//! Debian's nginx as a real platform: pages, assets, a large file with ranges, a slow download, TLS and HTTP/2 aside.
//!
//! It never runs as a daemon, and its files stay in the test's own place.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::client::{Wire, eventually, pattern};
use crate::ports::free_address;
use crate::process::Running;
use crate::tools;

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    address: SocketAddr,
    process: Running,
    site: PathBuf,
}

impl Nginx {
    /// Starts nginx with its site in `place/nginx`, or says what is missing.
    ///
    /// # Panics
    /// When nginx is there but does not come up.
    #[must_use]
    pub fn start(place: &Path, test: &str) -> Option<Self> {
        Self::start_with(place, test, free_address(), configuration)
    }

    /// nginx with a fixed capacity: so many requests a second, half a second's worth in its queue, 503 beyond. Each is
    /// written to [`Nginx::accesses`].
    ///
    /// # Panics
    /// When nginx is there but does not come up.
    #[must_use]
    pub fn limited(place: &Path, test: &str, address: SocketAddr, per_second: u32) -> Option<Self> {
        Self::start_with(place, test, address, |home, site, address| limited(home, site, address, per_second))
    }

    fn start_with(
        place: &Path,
        test: &str,
        address: SocketAddr,
        configuration: impl FnOnce(&Path, &Path, SocketAddr) -> String,
    ) -> Option<Self> {
        if !tools::have("nginx", "nginx-light", test) {
            return None;
        }
        let home = place.join("nginx");
        let site = home.join("site");
        fs::create_dir_all(&site).expect("the site's directory can be made");
        write_site(&site);
        let config = home.join("nginx.conf");
        fs::write(&config, configuration(&home, &site, address)).expect("the configuration can be written");
        let mut command = Command::new(tools::find("nginx")?);
        command.arg("-p").arg(&home).arg("-c").arg(&config).arg("-e").arg(home.join("error.log"));
        let mut process = Running::start(command, &home.join("output.log"));
        let up = eventually(Duration::from_secs(10), || process.ended().is_some() || Wire::try_plain(address).is_ok());
        assert!(up && process.ended().is_none(), "nginx did not come up: {}", process.output());
        Some(Self { address, process, site })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Of a [`Nginx::limited`] one, each request: seconds since 1970, the visitor that the gate named, status.
    #[must_use]
    pub fn accesses(&self) -> Vec<(f64, String, u16)> {
        let text = fs::read_to_string(self.site.with_file_name("access.log")).unwrap_or_default();
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.to_owned(), words.next()?.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }

    /// The directory that it serves.
    #[must_use]
    pub fn site(&self) -> &Path {
        &self.site
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // TERM to the master ends its workers too.
        self.process.signal(Signal::TERM);
        self.process.wait(Duration::from_secs(5));
    }
}

fn write_site(site: &Path) {
    let page = concat!(
        "<!doctype html><html><head><title>Sample</title><link rel=stylesheet href=/style.css>",
        "<script src=/app.js defer></script></head><body><h1>Sample</h1><img src=/dot.svg alt=dot>",
        "<p id=out>waiting</p></body></html>\n"
    );
    let script = "fetch('/data.json').then(r => r.json()).then(d => { document.getElementById('out').textContent = 'loaded ' + d.answer; });\n";
    let dot = "<svg xmlns='http://www.w3.org/2000/svg' width='2' height='2'><rect width='2' height='2'/></svg>\n";
    let files: [(&str, Vec<u8>); 8] = [
        ("index.html", page.into()),
        ("app.js", script.into()),
        ("style.css", "body { font-family: sans-serif }\n".repeat(64).into()),
        ("dot.svg", dot.into()),
        ("data.json", "{\"answer\": 42}\n".into()),
        ("1k.bin", pattern(1024)),
        ("100k.bin", pattern(100 * 1024)),
        ("10m.bin", pattern(10 * 1024 * 1024)),
    ];
    for (name, bytes) in files {
        fs::write(site.join(name), bytes).expect("the site can be written");
    }
}

fn limited(home: &Path, site: &Path, address: SocketAddr, per_second: u32) -> String {
    let (home, site, burst) = (home.display(), site.display(), per_second / 2);
    // What comes together in a tenth of a second is not spread out, as threads of a real platform would not.
    let at_once = per_second / 10;
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off; worker_processes 1; pid {home}/nginx.pid; {user}\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
           types {{ text/html html; text/css css; application/javascript js; image/svg+xml svg; }}\n\
           default_type text/html; keepalive_requests 1000000;\n\
           log_format line '$msec $http_x_forwarded_for $status'; access_log {home}/access.log line;\n\
           client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;\n\
           uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;\n\
           limit_req_zone $server_port zone=capacity:1m rate={per_second}r/s;\n\
           server {{\n\
             listen {address}; root {site}; limit_req zone=capacity burst={burst} delay={at_once};\n\
             location / {{ try_files $uri /index.html; }}\n\
           }}\n\
         }}\n"
    )
}

fn configuration(home: &Path, site: &Path, address: SocketAddr) -> String {
    let (home, site) = (home.display(), site.display());
    // nginx started by root gives up its rights and could then not read a site below a private home.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off; worker_processes 1; pid {home}/nginx.pid; {user}\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
           types {{ text/html html; text/css css; application/javascript js; application/json json; image/svg+xml svg; }}\n\
           access_log off; keepalive_requests 1000000; gzip on; gzip_types text/css; gzip_min_length 256; gzip_proxied any;\n\
           client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;\n\
           uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi; client_max_body_size 64m;\n\
           server {{\n\
             listen {address}; root {site};\n\
             location /slow/ {{ alias {site}/; limit_rate 50k; }}\n\
             location = /health {{ return 200 'well'; }}\n\
             location = /here {{ return 204; }}\n\
           }}\n\
         }}\n"
    )
}
