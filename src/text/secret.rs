//! A value that is used and never shown, and the forms in which others may repeat it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A secret value: its `Debug` form hides it, it has no `Display`, and [`Secret::expose`] alone gives it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for handing it to who needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What a query leaves alone (RFC 3986, section 2.3).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What a path leaves alone besides.
const PATH: &AsciiSet = &QUERY.remove(b'/');
/// A part of base64 that is shorter than this stands in many texts by chance.
const LEAST_BASE64: usize = 6;

/// The forms in which a program may repeat `value`: as it is, within JSON (once and twice), base64, alone or within
/// something longer, and URL-encoded. The longest come first, as one may hold another.
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

/// The inside of the JSON string of `value`.
fn json(value: &str) -> String {
    let quoted = serde_json::Value::String(value.to_owned()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The same with the digits of `%2F` in lower case, as some encoders write them.
fn lower(encoded: &str) -> String {
    let mut lower = String::with_capacity(encoded.len());
    let mut digits = 0;
    for c in encoded.chars() {
        lower.push(if digits > 0 { c.to_ascii_lowercase() } else { c });
        digits = if c == '%' { 2 } else { u8::saturating_sub(digits, 1) };
    }
    lower
}

/// The characters of base64 that `value` alone decides where `offset` bytes (modulo 3) stand before it, as in the
/// `user:password` of a login. At offset 0, all there are: nothing need follow.
fn base64_within(
    value: &str,
    offset: usize,
    engine: &base64::engine::general_purpose::GeneralPurpose,
) -> Option<String> {
    let padded = [&vec![0; offset][..], value.as_bytes()].concat();
    let encoded = engine.encode(&padded);
    let begin = [0, 2, 3][offset];
    // The last character holds bits of what follows, unless the bytes fill it or end the whole.
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

    /// Hides the forms of `value` in `text`.
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
    fn nothing_has_no_form() {
        assert_eq!(forms(""), [""; 0]);
    }
}
