//! Who asks over a socket of this machine: the word that they give for themselves, and the user that the system knows them as.

/// The word with the user behind it: `alice (root)`; `alice (uid 1000)` where `passwd`, the text of `/etc/passwd`, has no name for them.
/// Only what stands in the last brackets is the system's.
#[must_use]
pub fn signed(by: &str, uid: u32, passwd: &str) -> String {
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, own) = (fields.next()?, fields.nth(1)?);
        (own.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    });
    named.map_or_else(|| format!("{by} (uid {uid})"), |name| format!("{by} ({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_the_system_s_word_and_never_the_asker_s() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\nbroken\n:x:7:7::/:\nportcullis:x:998:998::/:\ntwin:x:998:998::/:\n";
        let table = [
            ("alice", 0, passwd, "alice (root)"),
            ("alice", 998, passwd, "alice (portcullis)"),
            ("alice", 1000, passwd, "alice (uid 1000)"),
            ("alice", 7, passwd, "alice (uid 7)"),
            ("gate", 0, passwd, "gate (root)"),
            ("bob (root)", 1000, passwd, "bob (root) (uid 1000)"),
            ("alice", 0, "", "alice (uid 0)"),
        ];
        for (by, uid, passwd, expected) in table {
            assert_eq!(signed(by, uid, passwd), expected);
        }
    }
}
