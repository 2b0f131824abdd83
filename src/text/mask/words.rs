//! Masks secrets within one line: assignments, flags, headers, logins in URLs, and recognisable tokens.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::MASK;
use super::names::is_secret;

static PRIVATE_KEY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|\z)",
    )
});
/// Tokens with a recognisable format.
static SHAPE: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(\.[A-Za-z0-9_-]*)*", // JWT
        r"|\b(AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{12,}",            // AWS
        r"|\b(LTAI|AKID)[A-Za-z0-9]{12,}",                             // Alibaba Cloud, Tencent Cloud
        r"|\bAIza[A-Za-z0-9_-]{30,}",                                  // Google
        r"|\bgh[pousr]_[A-Za-z0-9]{16,}|\bgithub_pat_[A-Za-z0-9_]{16,}|\bglpat-[A-Za-z0-9_-]{16,}",
        r"|\bdckr_pat_[A-Za-z0-9_-]{10,}|\bnpm_[A-Za-z0-9]{20,}|\bhf_[A-Za-z0-9]{20,}",
        r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/[A-Za-z0-9/]+",
        r"|\bsk-[A-Za-z0-9_-]{20,}|\bSG\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    ))
});
/// kubeadm's bootstrap token, which kind nodes log.
static BOOTSTRAP: LazyLock<Regex> = LazyLock::new(|| regex(r"\b[a-z0-9]{6}\.(?P<key>[a-z0-9]{16})\b"));
static SCHEME: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)\b(?P<kind>bearer|basic|negotiate)\s+(?P<value>[a-z0-9+/_.=~-]{6,})"));
static USER: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"(?P<flag>(?:^|\s)(?:-u|--user)[ =]["']?)[^\s:"']+:[^\s"']+"#));
static URL: LazyLock<Regex> = LazyLock::new(|| regex(r"[A-Za-z][A-Za-z0-9+.-]*://"));
static FLAG: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"(?P<flag>--?(?P<name>[A-Za-z][\w-]*)["']?,?[ \t]+)(?P<value>[^\s-].*)"#));
static BARE_FLAG: LazyLock<Regex> = LazyLock::new(|| regex(r#"^["']?--?(?P<name>[A-Za-z][\w-]*)["']?,?$"#));
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"(?P<name>[A-Za-z_.][\w.-]*)(?P<close>\\*["'`]?)(?P<separator>[ \t]*(?::=|=>|==|[:=])[ \t]*)"#)
});
static QUOTED: LazyLock<Regex> = LazyLock::new(|| regex(r#""(?:[^"\\\n]|\\.)*\\["nu](?:[^"\\\n]|\\.)*""#));
/// Empty values, and what `kubectl describe` prints for a reference.
static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"^(?:(?i:true|false|yes|no|on|off|null|nil|none|~|<none>|<nil>|<unset>|unset|""|''|(?:map)?\[\]|\{\}|\*\*\*|"\*\*\*")["',;)}\]]*(?:\s|$)|<set to the |\(v1:[\w.\[\]'/-]+\))"#,
    )
});

pub(super) fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a built-in pattern is valid")
}

/// Masks private keys, which span lines; a truncated one is masked to the end.
pub(super) fn without_private_keys(text: &str) -> String {
    PRIVATE_KEY.replace_all(text, MASK).into_owned()
}

/// Whether an argument is a flag whose secret value is the next argument.
pub(super) fn is_bare_secret_flag(argument: &str) -> bool {
    BARE_FLAG.captures(argument).is_some_and(|found| is_secret(&found["name"]))
}

/// Whether a value is empty, or only tells where a secret is.
pub(super) fn is_harmless(value: &str) -> bool {
    value.trim().is_empty() || HARMLESS.is_match(value)
}

/// Masks one line; `nested` masks the contents of a quoted string with escapes.
pub(super) fn masked(line: &str, nested: &dyn Fn(&str) -> String) -> String {
    let line = QUOTED.replace_all(line, |found: &Captures<'_>| unquoted(&found[0], nested));
    let line = SHAPE.replace_all(&line, MASK);
    let line = BOOTSTRAP.replace_all(&line, |found: &Captures<'_>| {
        let is_token = found["key"].contains(|c: char| c.is_ascii_digit());
        if is_token { MASK.to_owned() } else { found[0].to_owned() }
    });
    let line = without_logins(&line);
    let line = SCHEME.replace_all(&line, |found: &Captures<'_>| {
        // `basic authentication` and `Basic System` are prose.
        let is_prose = found["value"].trim_end_matches('.').chars().skip(1).all(|c| c.is_ascii_lowercase());
        if is_prose { found[0].to_owned() } else { format!("{} {MASK}", &found["kind"]) }
    });
    let line = USER.replace_all(&line, format!("${{flag}}{MASK}"));
    assignments(&flags(&line))
}

fn unquoted(quoted: &str, nested: &dyn Fn(&str) -> String) -> String {
    let Ok(text) = serde_json::from_str::<String>(quoted) else { return quoted.to_owned() };
    let masked = nested(&text);
    if masked == text {
        return quoted.to_owned();
    }
    serde_json::Value::String(masked).to_string()
}

/// Replaces the logins in URLs with `***`.
pub fn without_logins(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut from = 0;
    while let Some(scheme) = URL.find_at(line, from) {
        masked.push_str(&line[from..scheme.end()]);
        let rest = &line[scheme.end()..];
        let login = login_length(rest);
        if login > 0 {
            masked.push_str(MASK);
        }
        from = scheme.end() + login;
    }
    masked.push_str(&line[from..]);
    masked
}

/// The length in bytes of `user:password`, `:password` or `token` before the `@` of a URL; 0 if there is
/// none.
fn login_length(rest: &str) -> usize {
    let word = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`'))
        .unwrap_or(rest.len());
    let word = &rest[..word];
    let host = word.find(['/', '?', '#']).unwrap_or(word.len());
    let login =
        |end: usize| word[..end].rfind('@').filter(|at| !word[at + 1..].starts_with("sha256:")).unwrap_or(0);
    // A password may contain `@` and, though it should not, `/`: S3 keys often do.
    match word[..host].split_once(':') {
        Some((_, port)) if !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) => 0,
        Some(_) => login(word.len()),
        None => login(host),
    }
}

/// Masks the arguments after secret flags: `--password X`.
fn flags(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut from = 0;
    while let Some(found) = FLAG.captures_at(line, from) {
        let (Some(flag), Some(value)) = (found.name("flag"), found.name("value")) else { break };
        masked.push_str(&line[from..flag.end()]);
        from = flag.end();
        // A minus inside a word does not begin a flag.
        let begins =
            line[..flag.start()].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '-');
        if begins && is_secret(&found["name"]) && !is_harmless(value.as_str()) {
            let value = Value::of(&line[from..], false);
            masked.push_str(&value.masked());
            from += value.length;
        }
    }
    masked.push_str(&line[from..]);
    masked
}

/// Masks `name=value`, `name: value`, `"name": "value"` and the like.
fn assignments(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut from = 0;
    while let Some(found) = ASSIGNED.captures_at(line, from) {
        let (Some(whole), Some(name)) = (found.get(0), found.name("name")) else { break };
        masked.push_str(&line[from..whole.end()]);
        from = whole.end();
        let separator = &found["separator"];
        let rest = &line[from..];
        let before = line[..name.start()].chars().next_back();
        // `registry/token:v1` is an image, and so is `token:v1` in quotes.
        let is_tight = separator == ":" && found["close"].is_empty() && !rest.starts_with(['"', '\'', '\\']);
        // Go reports requests as `Get "https://…/pods/my-token": dial tcp`.
        let ends_url = before == Some('/') && !rest.starts_with(['"', '\'', '\\', '[', '{']);
        let may_be = !is_tight || before.is_none_or(|c| c.is_whitespace() || "[{,(".contains(c));
        if ends_url || !may_be || !is_secret(name.as_str()) || is_harmless(rest) || rest.starts_with("//") {
            continue;
        }
        let value = Value::of(rest, separator.starts_with([':', ' ']) && is_header(name.as_str()));
        masked.push_str(&value.masked());
        from += value.length;
    }
    masked.push_str(&line[from..]);
    masked
}

/// Whether a name is a header whose value may have several words.
fn is_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("cookie") || name.ends_with("authorization")
}

/// A secret value at the start of a text.
struct Value {
    /// The quote around it, with the backslashes before it.
    quote: String,
    /// Its length in bytes, including quotes and anything directly attached.
    length: usize,
}

impl Value {
    fn of(text: &str, is_header: bool) -> Self {
        let backslashes = text.len() - text.trim_start_matches('\\').len();
        let mark = text[backslashes..].chars().next();
        match mark {
            Some(quote @ ('"' | '\'' | '`')) => {
                let quote = format!("{}{quote}", &text[..backslashes]);
                let length = quoted_length(text, &quote, backslashes);
                // `'it'\''s'` and `"a"b` continue after the quote.
                let ends =
                    |c: char| c.is_whitespace() || ",;)}]".contains(c) || (backslashes > 0 && c == '\\');
                let tail = text[length..].find(ends).unwrap_or(text.len() - length);
                Self { quote, length: length + tail }
            }
            Some('[' | '{' | '(') if backslashes == 0 => {
                Self { quote: String::new(), length: bracketed_length(text) }
            }
            _ if is_header => {
                let end = text.find(['"', '\'', '\\']).unwrap_or(text.len());
                Self { quote: String::new(), length: end }
            }
            _ => Self { quote: String::new(), length: text.find(char::is_whitespace).unwrap_or(text.len()) },
        }
    }

    fn masked(&self) -> String {
        format!("{0}{MASK}{0}", self.quote)
    }
}

/// The length in bytes of a quoted value with its quotes; to the end of the text if unterminated.
fn quoted_length(text: &str, quote: &str, backslashes: usize) -> usize {
    let mut at = quote.len();
    while let Some(found) = text[at..].find(quote) {
        let end = at + found + quote.len();
        let before = text[..at + found].len() - text[..at + found].trim_end_matches('\\').len();
        let is_escaped = if backslashes == 0 { before % 2 == 1 && quote != "'" } else { before > 0 };
        let is_doubled = quote == "'" && text[end..].starts_with('\'');
        // Shells write `'\''` for a quote inside quotes.
        let is_left = quote == "'" && text[end..].starts_with(r"\''");
        match (is_escaped, is_doubled, is_left) {
            (false, false, false) => return end,
            (_, true, _) => at = end + 1,
            (_, _, true) => at = end + 3,
            _ => at = end,
        }
    }
    text.len()
}

/// The length in bytes of a bracketed value; all of the text if unclosed.
fn bracketed_length(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}
