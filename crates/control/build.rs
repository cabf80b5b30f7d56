//! Packs the console's pages, if they were built, into the binary: `assets.rs` is a list of what lies in `console/dist`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console/dist");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where"));
    // What is missing would be looked for in each build, and the binary linked anew.
    let watched = if pages.is_dir() { pages.as_path() } else { pages.parent().expect("it has one") };
    println!("cargo::rerun-if-changed={}", watched.display());
    let mut files = Vec::new();
    collect(&pages, &pages, &mut files);
    files.sort();
    // The build of the pages packs them as Brotli, which takes an eighth less, where that pays.
    let smaller: Vec<String> = files.extract_if(.., |path| path.ends_with(".br")).collect();
    let mut list = "static ASSETS: &[Asset] = &[\n".to_owned();
    for (number, path) in files.iter().enumerate() {
        let bytes = fs::read(pages.join(path)).expect("a file that was listed");
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&bytes).expect("memory");
        let packed = packed.finish().expect("memory");
        let name = format!("{number}.gz");
        // FNV-1a: it only tells versions of one file apart.
        let tag = bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        fs::write(out.join(&name), packed).expect("the directory that cargo made");
        let kind = kind(path);
        let gzip = format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))");
        let brotli = match smaller.iter().find(|name| name.strip_suffix(".br") == Some(path)) {
            Some(name) => {
                fs::copy(pages.join(name), out.join(format!("{number}.br"))).expect("a file that was listed");
                format!("Some(include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{number}.br\")))")
            }
            None => "None".to_owned(),
        };
        // Weak: it is the same however the file is packed (RFC 9110 section 8.8.1).
        let _ = writeln!(
            list,
            "    Asset {{ path: {path:?}, kind: {kind:?}, gzip: {gzip}, brotli: {brotli}, tag: \"W/\\\"{tag:016x}\\\"\" }},"
        );
    }
    list.push_str("];\n");
    fs::write(out.join("assets.rs"), list).expect("the directory that cargo made");
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if path.is_dir() {
            collect(root, &path, files);
        } else if let (false, Ok(path)) = (hidden, path.strip_prefix(root)) {
            files.push(path.to_string_lossy().into_owned());
        }
    }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
