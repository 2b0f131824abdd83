//! The source files: their modules, code, literals and imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

pub(super) fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Adds the Rust files below `folder`.
pub(super) fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// All Rust files of the program, each with its top-level module.
pub(super) fn files() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    below(&source(), &mut found);
    let module = |path: &Path| {
        let first = path.strip_prefix(source()).unwrap().components().next().unwrap();
        first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
    };
    // Tests may use anything.
    let is_test = |part: &str| part == "tests" || part.ends_with("_tests") || part.ends_with("tests.rs");
    found.retain(|path| !path.iter().any(|part| is_test(&part.to_string_lossy())));
    found.into_iter().map(|path| (module(&path), path)).collect()
}

/// A file's lines without comments.
pub(super) fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    code.join("\n")
}

/// The top-level modules that code names as `crate::module` or `crate::{module, …}`.
pub(super) fn used(code: &str) -> BTreeSet<String> {
    let one = Regex::new(r"\bcrate::([a-z_]+)").unwrap();
    let several = Regex::new(r"\bcrate::\{((?s).*?)\};").unwrap();
    let word = Regex::new(r"^\s*([a-z_]+)").unwrap();
    let mut used: BTreeSet<String> = one.captures_iter(code).map(|found| found[1].to_owned()).collect();
    for group in several.captures_iter(code) {
        let mut depth = 0;
        let entries = group[1].split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        used.extend(entries.filter_map(|entry| Some(word.captures(entry)?[1].to_owned())));
    }
    used
}

/// A file's code without comments and tests.
pub(super) fn code_without_tests(path: &Path) -> String {
    let tests = Regex::new(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub\S* )?mod \w+ \{").unwrap();
    let code = code(path);
    code[..tests.find(&code).map_or(code.len(), |found| found.start())].to_owned()
}

/// The string literals in code.
pub(super) fn literals(code: &str) -> BTreeSet<String> {
    let code = code.replace("'\"'", "' '");
    let literal = Regex::new(r#""((?:\\(?s:.)|[^"\\])*)""#).unwrap();
    literal.captures_iter(&code).map(|found| found[1].to_owned()).collect()
}

/// The files by module name, each with the files it imports. An item that a `mod.rs` re-exports counts as
/// imported from the file that defines it.
pub(super) fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let use_of = Regex::new(r"(?s)\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);").unwrap();
    let inline = Regex::new(r"\b(?:crate|super)(?:::\w+)+").unwrap();
    let code: BTreeMap<String, String> = files()
        .into_iter()
        .filter(|(module, _)| module != "lib" && module != "main")
        .map(|(_, path)| {
            let name = path.strip_prefix(source()).unwrap().with_extension("");
            let mut parts: Vec<_> = name.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            parts.retain(|part| part != "mod");
            (parts.join("::"), code_without_tests(&path))
        })
        .collect();
    let mut handed_on: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    let mut named: BTreeMap<&String, Vec<Vec<String>>> = BTreeMap::new();
    for (file, text) in &code {
        let own: Vec<String> = file.split("::").map(str::to_owned).collect();
        let mut rest = text.clone();
        for found in use_of.captures_iter(text) {
            for path in flat(&found[2]).iter().filter_map(|path| absolute(&own, path, &code)) {
                if found.get(1).is_some() {
                    let name = path.last().unwrap().clone();
                    handed_on.insert([&own[..], &[name]].concat(), path);
                } else {
                    named.entry(file).or_default().push(path);
                }
            }
            rest = rest.replace(&found[0], "");
        }
        let paths = inline.find_iter(&rest).filter_map(|path| absolute(&own, path.as_str(), &code));
        named.entry(file).or_default().extend(paths);
    }
    let file_of = |path: &Vec<String>| {
        let mut path = path.clone();
        // Follow re-exports from one `mod.rs` to the next, at most a few times.
        for _ in 0..5 {
            let Some(next) = (1..=path.len()).find_map(|n| handed_on.get(&path[..n])) else { break };
            path.clone_from(next);
        }
        (1..=path.len()).rev().map(|n| path[..n].join("::")).find(|name| code.contains_key(name))
    };
    let all_of = |file: &String, paths: &Vec<Vec<String>>| {
        paths.iter().filter_map(file_of).filter(|used| used != file).collect()
    };
    named.into_iter().map(|(file, paths)| (file.clone(), all_of(file, &paths))).collect()
}

/// Expands `a::{b, c::{d, e}}` to `a::b`, `a::c::d` and `a::c::e`, dropping renames.
fn flat(path: &str) -> Vec<String> {
    let Some((before, group)) = path.trim().split_once('{') else {
        return vec![path.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let group = &group[..group.rfind('}').unwrap_or(group.len())];
    let mut depth = 0;
    let entries = group.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let entries = entries.filter(|entry| !entry.trim().is_empty()).flat_map(flat);
    entries.map(|entry| format!("{}{entry}", before.trim())).collect()
}

/// The path from the root, if it leads to something in the program.
fn absolute(own: &[String], path: &str, code: &BTreeMap<String, String>) -> Option<Vec<String>> {
    let mut parts: Vec<String> = path.split("::").map(str::to_owned).collect();
    let mut base = own.to_vec();
    match parts[0].as_str() {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            while parts.first().is_some_and(|part| part == "super") {
                base.pop();
                parts.remove(0);
            }
            return Some([base, parts].concat());
        }
        child if code.contains_key(&[own, &[child.to_owned()]].concat().join("::")) => {
            return Some([base, parts].concat());
        }
        _ => return None,
    }
    Some([base, parts[1..].to_vec()].concat())
}
