//! Settings under which the server finds other tokens in a text than the guard does.
//!
//! Whoever can make the two differ hides a statement in what the guard takes for a constant.

/// Whether the server, with that setting, reads texts as the guard does. Settings that have nothing to do with it always do.
#[must_use]
pub fn reads_as_we_do(name: &str, value: &str) -> bool {
    let value: String = value.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match name {
        "standard_conforming_strings" => matches!(value.as_str(), "on" | "true" | "yes" | "1" | "t" | "y"),
        "backslash_quote" => matches!(value.as_str(), "safeencoding" | "off" | "false" | "no" | "0"),
        // In these the second byte of a character can be a backslash or a quote.
        "client_encoding" => !matches!(
            value.as_str(),
            "sjis"
                | "mskanji"
                | "shiftjis"
                | "win932"
                | "windows932"
                | "shiftjis2004"
                | "big5"
                | "win950"
                | "windows950"
                | "gbk"
                | "win936"
                | "windows936"
                | "gb18030"
                | "uhc"
                | "win949"
                | "windows949"
                | "johab"
        ),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_moves_the_ends_of_constants_differs() {
        let table = [
            ("standard_conforming_strings", "on", true),
            ("standard_conforming_strings", "off", false),
            ("client_encoding", "UTF8", true),
            ("client_encoding", "LATIN1", true),
            ("client_encoding", "EUC_JP", true),
            ("client_encoding", "SJIS", false),
            ("client_encoding", "Shift_JIS_2004", false),
            ("client_encoding", "GB18030", false),
            ("backslash_quote", "on", false),
            ("application_name", "off", true),
        ];
        for (name, value, alike) in table {
            assert_eq!(reads_as_we_do(name, value), alike, "{name} = {value}");
        }
    }
}
