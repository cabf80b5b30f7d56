//! `SET`, `RESET` and `set_config`: what is set to what, and which settings are more than a setting.

use portcullis_pgguard::description::{Kind, word};
use portcullis_pgguard::lexing::reads_as_we_do;

/// What a setting comes to: the fact that policy learns, and the kind that is refused unless granted.
pub(crate) struct Setting {
    pub(crate) fact: String,
    pub(crate) kind: Option<Kind>,
}

/// Reads one setting. `value` is `None` for the default, and where only the server can compute it `Some(None)`.
pub(crate) fn setting(name: &str, value: Option<Option<&str>>) -> Setting {
    let name = name.to_ascii_lowercase();
    let said = match value {
        None => "default".to_owned(),
        Some(None) => "computed".to_owned(),
        // Settings of the application's own (`app.member`) name who asks, and have as many values as there are members.
        Some(Some(_)) if name.contains('.') => "*".to_owned(),
        Some(Some(text)) => format!("'{}'", word(text)),
    };
    let kind = match name.as_str() {
        "role" => Some(Kind::SetRole),
        "session_authorization" => Some(Kind::SessionAuthorization),
        "standard_conforming_strings" | "backslash_quote" | "client_encoding" => {
            let safe = match value {
                None => true,
                Some(Some(text)) => reads_as_we_do(&name, text),
                Some(None) => false,
            };
            (!safe).then_some(Kind::Lexing)
        }
        _ => None,
    };
    Setting { fact: format!("set {} = {said}", word(&name)), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_change_how_texts_read_are_a_kind_of_their_own() {
        let table = [
            ("search_path", Some(Some("public")), None, "set search_path = 'public'"),
            ("App.Member", Some(Some("42")), None, "set app.member = *"),
            ("role", Some(Some("admin")), Some(Kind::SetRole), "set role = 'admin'"),
            ("role", None, Some(Kind::SetRole), "set role = default"),
            (
                "standard_conforming_strings",
                Some(Some("off")),
                Some(Kind::Lexing),
                "set standard_conforming_strings = 'off'",
            ),
            ("standard_conforming_strings", Some(Some("on")), None, "set standard_conforming_strings = 'on'"),
            ("client_encoding", Some(Some("UTF8")), None, "set client_encoding = 'UTF8'"),
            (
                "client_encoding",
                Some(Some("Shift_JIS_2004")),
                Some(Kind::Lexing),
                "set client_encoding = 'Shift_JIS_2004'",
            ),
            ("client_encoding", Some(None), Some(Kind::Lexing), "set client_encoding = computed"),
        ];
        for (name, value, kind, fact) in table {
            let setting = setting(name, value);
            assert_eq!((setting.kind, setting.fact.as_str()), (kind, fact), "{name} {value:?}");
        }
    }
}
