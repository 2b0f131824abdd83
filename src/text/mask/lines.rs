//! Masks secrets in texts structured by indentation: YAML and `kubectl describe`.
//!
//! The text is not parsed as YAML: `kubectl describe` prints none, a log may stop midway, and the rest must
//! stay as written.

use std::sync::LazyLock;

use regex::Regex;

use super::MASK;
use super::names::{is_environment, is_harmless_variable, is_secret};
use super::words::{is_bare_secret_flag, is_harmless, regex};

/// `key: value`, in a list item or not. A key of more than three words is prose.
static ENTRY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"^(?P<lead>[ \t]*(?:-[ \t]+)*)(?P<key>"[^"]*"|'[^']*'|[A-Za-z_.][\w./()-]*(?: [\w./()-]+){0,2})[ \t]*:(?:(?P<gap>[ \t]+)(?P<value>.*))?$"#,
    )
});
static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"^(?P<lead>[ \t]*(?:-[ \t]+)?["']?)(?P<name>[A-Za-z_][\w.-]*)=(?P<value>.+)$"#));
static ITEM: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?P<lead>[ \t]*(?:-[ \t]+)*)(?P<value>.*)$"));

/// A `key: value` line.
struct KeyLine<'a> {
    /// The text before the key.
    lead: &'a str,
    key: &'a str,
    gap: &'a str,
    /// Empty if the value is on the more deeply indented lines that follow.
    value: &'a str,
}

impl<'a> KeyLine<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let found = ENTRY.captures(line)?;
        let group = |name: &str| found.name(name).map_or("", |group| group.as_str());
        Some(Self { lead: group("lead"), key: group("key"), gap: group("gap"), value: group("value") })
    }

    /// The column of the key.
    fn column(&self) -> usize {
        self.lead.len()
    }

    fn name(&self) -> &'a str {
        self.key.trim_matches(['"', '\''])
    }
}

/// The variables below an `env:` line.
struct Environment {
    column: usize,
    /// The column of the first variable, once seen.
    variables: Option<usize>,
}

/// Masks the secrets in `text`; `rest` masks the remaining lines.
pub(super) fn masked(text: &str, rest: &dyn Fn(&str) -> String) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut shown: Vec<String> = Vec::with_capacity(lines.len());
    let mut environments: Vec<Environment> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        if line.trim().is_empty() {
            shown.push(line.to_owned());
            continue;
        }
        if at >= 2 && is_after_flag(lines[at - 2], line) {
            let lead = ITEM.captures(line).map_or(String::new(), |found| found["lead"].to_owned());
            shown.push(format!("{lead}{MASK}"));
            continue;
        }
        let indentation = indentation(line);
        while environments.last().is_some_and(|environment| ends(environment.column, line, indentation)) {
            environments.pop();
        }
        let Some(entry) = KeyLine::of(line) else {
            shown.push(match VARIABLE.captures(line) {
                Some(found) if !environments.is_empty() && !is_harmless_variable(&found["name"]) => {
                    format!("{}{}={MASK}", &found["lead"], &found["name"])
                }
                _ => rest(line),
            });
            continue;
        };
        let is_variable = environments.last_mut().is_some_and(|environment| {
            // List items are objects with a `name` and a `value`.
            let first = if entry.lead.contains('-') { usize::MAX } else { entry.column() };
            *environment.variables.get_or_insert(first) == entry.column()
        });
        let only_refers = entry.value.is_empty() && refers(&lines[at..]);
        let is_secret = if is_variable {
            !is_harmless_variable(entry.name())
        } else {
            is_secret_entry(&entry, &lines, at - 1)
        };
        let below = below(&entry, &lines[at..]);
        let has_value = below > 0 || !is_harmless(entry.value);
        if is_secret && !only_refers && has_value {
            let gap = if entry.gap.is_empty() { " " } else { entry.gap };
            shown.push(format!("{}{}:{gap}{MASK}", entry.lead, entry.key));
            at += below;
            continue;
        }
        if entry.value.is_empty() && is_environment(entry.name()) {
            environments.push(Environment { column: entry.column(), variables: None });
        }
        shown.push(rest(line));
    }
    shown.join("\n")
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

/// Whether a line is no longer below the key in `column`; a list may be in its key's column.
fn ends(column: usize, line: &str, indentation: usize) -> bool {
    indentation < column || (indentation == column && !line.trim_start().starts_with("- "))
}

/// The number of lines after an entry that belong to its value.
fn below(entry: &KeyLine<'_>, lines: &[&str]) -> usize {
    let column = entry.column();
    // Only if the value has not begun on the key's own line can it be a list in the key's column.
    let may_be_list = entry.value.is_empty();
    let belongs = |line: &&&str| {
        let indentation = indentation(line);
        line.trim().is_empty()
            || indentation > column
            || (may_be_list && indentation == column && line.trim_start().starts_with("- "))
    };
    let count = lines.iter().take_while(belongs).count();
    // Trailing empty lines belong to the text.
    count - lines[..count].iter().rev().take_while(|line| line.trim().is_empty()).count()
}

/// Whether `line` is the argument of a secret flag alone on the line `before`.
fn is_after_flag(before: &str, line: &str) -> bool {
    let value = |line: &str| ITEM.captures(line).map(|found| found["value"].trim().to_owned());
    let is_flag = value(before).is_some_and(|before| is_bare_secret_flag(&before));
    is_flag && value(line).is_some_and(|value| !value.trim_matches(['"', '\'']).starts_with('-'))
}

fn is_secret_entry(entry: &KeyLine<'_>, lines: &[&str], at: usize) -> bool {
    match entry.name() {
        "stringData" => true,
        "data" => sibling(lines, at, entry.column(), "kind").is_some_and(|kind| kind == "Secret"),
        "value" => {
            sibling(lines, at, entry.column(), "name").is_some_and(|name| !is_harmless_variable(&name))
        }
        name => is_secret(name),
    }
}

/// Whether the lines only refer to a secret, or are a container or volume that `kubectl describe` prints
/// below a user-chosen name.
fn refers(lines: &[&str]) -> bool {
    let first = lines.iter().find(|line| !line.trim().is_empty()).and_then(|line| KeyLine::of(line));
    first.is_some_and(|entry| {
        matches!(entry.name(), "secretName" | "secretKeyRef" | "valueFrom" | "Container ID")
            || (entry.name() == "Type" && entry.value.contains("(a "))
    })
}

/// The value of `key` in the same mapping as the entry on line `at`.
fn sibling(lines: &[&str], at: usize, column: usize, key: &str) -> Option<String> {
    let begins_item = |line: &str| {
        KeyLine::of(line).is_some_and(|entry| entry.column() == column && entry.lead.contains('-'))
    };
    let is_outside = |line: &str| {
        !line.trim().is_empty()
            && (line.starts_with("---") || (indentation(line) < column && !begins_item(line)))
    };
    let found = |line: &str| {
        let entry = KeyLine::of(line).filter(|entry| entry.column() == column && entry.name() == key)?;
        Some(entry.value.trim().trim_matches(['"', '\'']).to_owned())
    };
    if !begins_item(lines[at]) {
        for line in lines[..at].iter().rev() {
            if is_outside(line) {
                break;
            }
            if let Some(value) = found(line) {
                return Some(value);
            }
            if begins_item(line) {
                break;
            }
        }
    }
    for line in &lines[at + 1..] {
        if is_outside(line) || begins_item(line) {
            break;
        }
        if let Some(value) = found(line) {
            return Some(value);
        }
    }
    None
}
