//! The key that a directory is signed by: made once, kept beside it, readable by its owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use portcullis_ledger::note::{Algorithm, SignerKey};

use crate::random;

/// Where the key lies in the directory. Whoever reads it can sign.
pub const KEY: &str = "key";
/// Where what others check signatures by lies.
pub const PUBLIC_KEY: &str = "key.pub";

/// The key of this directory; one of this name is made where there is none.
///
/// # Errors
/// When it cannot be read or made, or is none.
pub fn key(directory: &Path, name: &str, algorithm: Algorithm) -> io::Result<SignerKey> {
    let path = directory.join(KEY);
    let wrong = |why| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()));
    let key = match fs::read_to_string(&path) {
        Ok(text) => return SignerKey::parse(&text).map_err(wrong),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {
            let mut seed = [0; 32];
            random(&mut seed)?;
            SignerKey::new(name, algorithm, &seed).map_err(wrong)?
        }
    };
    fs::create_dir_all(directory)?;
    // Whole or not at all: half a key would be a new one at the next start, and a new key is another log.
    let new = directory.join("key.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{}", key.secret())?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    fs::write(directory.join(PUBLIC_KEY), format!("{}\n", key.public()))?;
    fs::File::open(directory)?.sync_all()?;
    Ok(key)
}
