//! The source keeps to the layers: what a module may use is written down here, and every file is read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// The floors of the house: what stands on one may use what stands below it or beside it in the same folder.
///
/// Rooms that act (they name tools, the terminal or the context) are from floor 2 on; below it only `process`, `ui`
/// and `tools` do.
const FLOORS: [&[&str]; 10] = [
    &["archive", "kube", "nearest", "process", "smoke", "text", "ui", "words", "yaml"],
    &["error", "images", "templates", "tools"],
    &["context", "settings"],
    &["load", "registry", "store"],
    &["cluster", "status"],
    &["milvus"],
    &["machine", "reach", "render"],
    &["cli", "diagnosis", "toolbox", "up"],
    &["commands"],
    &["lib", "main", "start"],
];

/// Arrows that still lean the wrong way; the list only ever gets shorter.
const STILL_WRONG: [(&str, &str); 5] =
    [("kube", "milvus"), ("load", "machine"), ("load", "milvus"), ("milvus", "up"), ("status", "diagnosis")];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&module))
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files of the program, with the module at the top that each belongs to.
fn files() -> Vec<(String, PathBuf)> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    below(&source(), &mut found);
    let module = |path: &Path| {
        let first = path.strip_prefix(source()).unwrap().components().next().unwrap();
        first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
    };
    // Tests may take what they need from anywhere.
    found.retain(|path| !path.file_name().unwrap().to_string_lossy().ends_with("tests.rs"));
    found.into_iter().map(|path| (module(&path), path)).collect()
}

/// A file's lines that are no comments, joined again.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    code.join("\n")
}

/// The modules at the top that code names as `crate::module` or `crate::{module, …}`.
fn used(code: &str) -> BTreeSet<String> {
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

#[test]
fn uses_are_found_in_each_way_of_writing_them() {
    let code =
        "use crate::ui::Ui;\nuse crate::{commands, tools::{Kind, kind}};\nlet x = crate::yaml::read(y);\n";
    assert_eq!(
        used(code).iter().map(String::as_str).collect::<Vec<_>>(),
        ["commands", "tools", "ui", "yaml"]
    );
}

#[test]
fn no_module_uses_what_is_above_it() {
    let mut wrong = BTreeSet::new();
    for (module, path) in files() {
        for name in used(&code(&path)).iter().filter(|name| **name != module) {
            let leans_up = floor(name).is_some_and(|used| floor(&module).is_some_and(|floor| used > floor));
            if leans_up && !STILL_WRONG.contains(&(module.as_str(), name.as_str())) {
                wrong.insert(format!("{} uses {name}", path.strip_prefix(source()).unwrap().display()));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

#[test]
fn the_process_layer_uses_nothing_of_the_program_but_text() {
    for (module, path) in files() {
        if module == "process" {
            let used: Vec<_> =
                used(&code(&path)).into_iter().filter(|name| name != "process" && name != "text").collect();
            assert_eq!(used, [""; 0], "{}", path.display());
        }
    }
}

#[test]
fn every_module_at_the_top_has_its_floor() {
    for (module, _) in files() {
        assert!(floor(&module).is_some(), "{module}");
    }
}

#[test]
fn yaml_is_read_in_one_place() {
    for (module, path) in files() {
        assert!(module == "yaml" || !code(&path).contains("serde_yaml"), "{}", path.display());
    }
}

#[test]
fn nothing_prints_past_the_user_interface() {
    let print = Regex::new(r"\be?print(ln)?!|\bdbg!").unwrap();
    for (_, path) in files() {
        assert!(!print.is_match(&code(&path)), "{}", path.display());
    }
}

#[test]
fn the_standard_streams_belong_to_the_user_interface() {
    let stream = Regex::new(r"\bstd(out|err)\(\)\s*\.?\s*(lock|write|\))").unwrap();
    for (module, path) in files() {
        assert!(module == "ui" || !stream.is_match(&code(&path)), "{}", path.display());
    }
}
