//! A secret that is used but never shown, and the encodings in which others may repeat it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A secret value: `Debug` hides it, there is no `Display`, and only [`Secret::expose`] returns it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The characters that a query leaves unescaped (RFC 3986, section 2.3).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The characters that a path leaves unescaped.
const PATH: &AsciiSet = &QUERY.remove(b'/');
/// Shorter pieces of base64 occur in too many texts by chance.
const LEAST_BASE64: usize = 6;

/// The forms in which a program may repeat `value`: verbatim, inside JSON (once and twice), base64, alone or
/// inside a longer value, and URL-encoded. Longest first, since one may contain another.
pub fn forms(value: &str) -> Vec<String> {
    let json = json(value);
    let go = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let query = utf8_percent_encode(value, QUERY).to_string();
    let path = utf8_percent_encode(value, PATH).to_string();
    let mut forms = vec![
        value.to_owned(),
        self::json(&json),
        json.replace('/', "\\/"),
        self::json(&go),
        go,
        json,
        query.replace("%20", "+"),
        lower(&query),
        lower(&path),
        query,
        path,
    ];
    for offset in 0..3 {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            forms.extend(base64_within(value, offset, engine));
        }
    }
    forms.retain(|form| !form.is_empty());
    forms.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    forms.dedup();
    forms
}

/// The JSON string of `value` without its quotes.
fn json(value: &str) -> String {
    let quoted = serde_json::Value::String(value.to_owned()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Lowers the hex digits of `%2F`, as some encoders write them.
fn lower(encoded: &str) -> String {
    let mut lower = String::with_capacity(encoded.len());
    let mut digits = 0;
    for c in encoded.chars() {
        lower.push(if digits > 0 { c.to_ascii_lowercase() } else { c });
        digits = if c == '%' { 2 } else { u8::saturating_sub(digits, 1) };
    }
    lower
}

/// The base64 characters that `value` alone determines when `offset` bytes (modulo 3) precede it, as in the
/// `user:password` of a login. At offset 0 these are all, since nothing need follow.
fn base64_within(
    value: &str,
    offset: usize,
    engine: &base64::engine::general_purpose::GeneralPurpose,
) -> Option<String> {
    let padded = [&vec![0; offset][..], value.as_bytes()].concat();
    let encoded = engine.encode(&padded);
    let begin = [0, 2, 3][offset];
    // The last character also encodes what follows, unless the bytes fill it or end the text.
    let end = match padded.len() % 3 {
        0 => encoded.len(),
        _ => encoded.len() - 1,
    };
    let within = encoded.get(begin..end)?;
    (within.len() >= LEAST_BASE64).then(|| within.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("s3cr3t")), "Secret(***)");
    }

    /// Masks every form of `value` in `text`.
    fn hidden(value: &str, text: &str) -> String {
        forms(value).iter().fold(text.to_owned(), |text, form| text.replace(form, "***"))
    }

    #[test]
    fn a_value_is_found_in_every_encoding() {
        let value = "p\"a/s s+w&ör<d";
        let json = serde_json::to_string(value).unwrap();
        let rows = [
            value.to_owned(),
            json.clone(),
            serde_json::to_string(&json).unwrap(),
            r#"p\"a/s s+w\u0026ör\u003cd"#.to_owned(),
            r#"p\"a\/s s+w&ör<d"#.to_owned(),
            "p%22a%2Fs%20s%2Bw%26%C3%B6r%3Cd".to_owned(),
            "p%22a%2fs%20s%2bw%26%c3%b6r%3cd".to_owned(),
            "p%22a/s%20s%2Bw%26%C3%B6r%3Cd".to_owned(),
            "p%22a%2Fs+s%2Bw%26%C3%B6r%3Cd".to_owned(),
        ];
        for text in rows {
            let shown = hidden(value, &text);
            assert!(
                shown.contains("***") && !shown.contains("s+w") && !shown.contains("a%2"),
                "{text}: {shown}"
            );
        }
    }

    #[test]
    fn a_value_is_found_within_longer_base64() {
        for before in ["", "u:", "me:", "user:", "someone:"] {
            for after in ["", "\n", "@x", ":more"] {
                let encoded = STANDARD_NO_PAD.encode(format!("{before}hunter22-long{after}"));
                let shown = hidden("hunter22-long", &encoded);
                assert!(shown.contains("***") && shown.len() <= encoded.len() - 12, "{encoded}: {shown}");
            }
        }
    }

    #[test]
    fn an_empty_value_has_no_forms() {
        assert_eq!(forms(""), [""; 0]);
    }
}
