//! The source keeps to its layers: this file lists what each module may use, and checks every source file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

mod source;

use source::{below, code, code_without_tests, files, imports, literals, source, used};

/// The layers, lowest first. A module may use those below it, and those beside it in the same folder.
///
/// Modules with side effects start at layer 2; below, only `process`, `ui` and `tools` have any.
const LAYERS: [&[&str]; 10] = [
    &["archive", "kube", "nearest", "net", "process", "smoke", "string_enum", "text", "ui", "words", "yaml"],
    &["images", "templates", "tools"],
    &["context", "error", "settings"],
    &["bundle", "load", "registry", "store"],
    &["cluster", "status"],
    &["milvus"],
    &["machine", "reach", "render"],
    &["cli", "diagnosis", "toolbox", "up"],
    &["commands"],
    &["lib", "main", "start"],
];

/// Modules on the two lowest layers that only decide and describe, without any tool or terminal.
const PURE: [&str; 10] =
    ["archive", "images", "kube", "nearest", "smoke", "string_enum", "templates", "text", "yaml", "process"];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

#[test]
fn uses_are_found_in_every_syntax() {
    let code =
        "use crate::ui::Ui;\nuse crate::{commands, tools::{Kind, kind}};\nlet x = crate::yaml::read(y);\n";
    assert_eq!(
        used(code).iter().map(String::as_str).collect::<Vec<_>>(),
        ["commands", "tools", "ui", "yaml"]
    );
}

#[test]
fn no_module_uses_a_higher_layer() {
    let mut wrong = BTreeSet::new();
    for (module, path) in files() {
        for name in used(&code(&path)).iter().filter(|name| **name != module) {
            let is_higher = layer(name).is_some_and(|used| layer(&module).is_some_and(|own| used > own));
            if is_higher {
                wrong.insert(format!("{} uses {name}", path.strip_prefix(source()).unwrap().display()));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

#[test]
fn pure_modules_use_neither_tools_nor_the_terminal() {
    for (module, path) in files() {
        let used = used(&code(&path));
        let acts = ["tools", "ui", "context"].iter().any(|name| used.contains(*name));
        assert!(!PURE.contains(&module.as_str()) || !acts, "{}", path.display());
    }
}

#[test]
fn only_tools_builds_commands() {
    let build = Regex::new(r"\bCmd::(read|write)\b").unwrap();
    for (module, path) in files() {
        let is_allowed = module == "tools" || module == "process";
        assert!(is_allowed || !build.is_match(&code(&path)), "{}", path.display());
    }
}

/// Phrases that tools are recognized by: what `src/tools` searches their output for.
fn phrases_of_tools() -> BTreeSet<String> {
    let array = r#"&?\[\s*(?:"(?:\\.|[^"\\])*"\s*,?\s*)+\]"#;
    let searched = Regex::new(&format!(
        r#"(?x) \b (?:mentions|says|contains|starts_with|ends_with|strip_prefix) \( (?: {array} | "(?:\\.|[^"\\])*" )
           | \b const\ \w+:\ (?: &\[&str\] | \[&str;\ \d+\] )\ =\s* {array}
           | {array} \s*\. (?:iter|into_iter)\(\) \s*\. (?:any|find)"#
    ))
    .unwrap();
    let of_tools = files().into_iter().filter(|(module, _)| module == "tools");
    of_tools
        .flat_map(|(_, path)| {
            let code = code_without_tests(&path);
            let found: Vec<String> =
                searched.find_iter(&code).flat_map(|found| literals(found.as_str())).collect();
            found
        })
        .map(|phrase| phrase.to_lowercase())
        .collect()
}

#[test]
fn only_tools_knows_the_phrases_of_tools() {
    let mut phrases = phrases_of_tools();
    assert!(phrases.contains("no space left on device") && phrases.len() > 100, "{phrases:?}");
    // Other things are called so as well.
    phrases.retain(|phrase| !["eof", "timed out", "timeout", "waiting"].contains(&phrase.as_str()));
    for (module, path) in files() {
        // The kubelet passes on containerd's errors; the registry's client names rustls's.
        let is_exempt =
            module == "tools" || path.ends_with("kube/kubelet.rs") || path.ends_with("registry/error.rs");
        let known = |text: &String| phrases.contains(&text.to_lowercase());
        let known: Vec<String> = literals(&code_without_tests(&path)).into_iter().filter(known).collect();
        assert!(is_exempt || known.is_empty(), "{}: {known:?}", path.display());
    }
}

/// Files that search text of others, with the reason.
const READERS: [(&str, &str); 11] = [
    ("archive/content.rs", "listings of a node's content, which decide what it lacks"),
    ("load/kind.rs", "an error of its own, of two kinds"),
    ("load/verify.rs", "errors of its own, to say nothing twice"),
    ("machine/host.rs", "/proc/meminfo"),
    ("net/mod.rs", "std has no kind for a name that cannot be resolved"),
    ("registry/error.rs", "rustls tells in words alone why a handshake failed"),
    ("registry/fake.rs", "a test server"),
    ("smoke/faults.rs", "errors of Milvus"),
    ("text", "whatever is shown"),
    ("toolbox/test_server.rs", "a test server"),
    ("yaml", "documents of users"),
];

#[test]
fn only_tools_and_kube_search_what_others_wrote() {
    let search = Regex::new(
        r"(?x) \b (?: error | words | message | reason | stderr | stdout | output | tail | line | log | said )
          (?: \(\) )? (?: \s*\.\s* (?: to_\w+ | trim\w* | as_\w+ | tail | last_words ) \(\) )*
          \s*\.\s* (?: contains | starts_with | ends_with | find | rfind | strip_\w+ | split_once | matches ) \(
        | \. mentions \(",
    )
    .unwrap();
    let mut wrong = Vec::new();
    for (module, path) in files() {
        let name = path.strip_prefix(source()).unwrap().display().to_string();
        let is_exempt = ["tools", "kube", "process"].contains(&module.as_str());
        if !is_exempt && !READERS.iter().any(|(reader, _)| name.starts_with(reader)) {
            let code = code_without_tests(&path);
            wrong.extend(search.find_iter(&code).map(|found| format!("{name}: {}", found.as_str())));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn one_file_knows_the_words_of_the_kubelet() {
    let home = source().join("kube/kubelet.rs");
    let mut words = literals(&code_without_tests(&home));
    // These have other uses as well.
    words.retain(|word| {
        !["", ": not found", "Error", "Image", "Pending", "PersistentVolumeClaim"].contains(&word.as_str())
    });
    assert!(words.contains("CrashLoopBackOff"), "{words:?}");
    for (_, path) in files() {
        let known: Vec<String> = literals(&code_without_tests(&path)).intersection(&words).cloned().collect();
        assert!(path == home || known.is_empty(), "{}: {known:?}", path.display());
    }
}

#[test]
fn a_long_file_says_at_its_top_why_it_is_one() {
    let is_long = |text: &str| text.lines().count() > 400;
    let is_explained = |text: &str| {
        let head: Vec<_> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let head = head.join(" ").replace("//! ", "");
        head.contains("One long file") || head.contains("share one file")
    };
    let mut all = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests"] {
        below(&root.join(folder), &mut all);
    }
    let unexplained: Vec<_> = all
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            is_long(&text) && !is_explained(&text)
        })
        .collect();
    assert_eq!(unexplained, [""; 0].map(PathBuf::from));
}

#[test]
fn a_command_is_short() {
    for (module, path) in files() {
        let code = code_without_tests(&path);
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(module != "commands" || lines <= 120, "{}: {lines} lines", path.display());
    }
}

#[test]
fn type_names_are_unique() {
    let type_of = Regex::new(r"\b(?:struct|enum|trait) ([A-Z]\w*)").unwrap();
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (_, path) in files() {
        for found in type_of.captures_iter(&code(&path)) {
            let before = seen.insert(found[1].to_owned(), path.clone());
            assert_eq!(before, None, "{} is in {} as well", &found[1], path.display());
        }
    }
}

#[test]
fn no_command_imports_another() {
    for (file, names) in imports() {
        let Some(own) = file.strip_prefix("commands::") else { continue };
        let subject = |name: &str| name.split("::").next().unwrap_or_default().to_owned();
        let others: Vec<&String> = names
            .iter()
            .filter(|name| name.strip_prefix("commands::").is_some_and(|name| subject(name) != subject(own)))
            .collect();
        assert!(others.is_empty(), "{file} imports {others:?}");
    }
}

#[test]
fn files_do_not_import_each_other_in_a_cycle() {
    let imports = imports();
    // A file that no remaining file imports, or that imports none of them, is in no cycle.
    let mut left: BTreeSet<&String> = imports.keys().collect();
    loop {
        let before = left.len();
        let leads_on = |file: &&String| imports[*file].iter().any(|used| left.contains(used));
        let kept: BTreeSet<&String> = left.iter().copied().filter(leads_on).collect();
        let used: BTreeSet<&String> = kept.iter().flat_map(|file| &imports[*file]).collect();
        left = kept.into_iter().filter(|file| used.contains(file)).collect();
        if left.len() == before {
            break;
        }
    }
    let cycle: Vec<String> = left
        .iter()
        .map(|file| {
            let used: Vec<&String> = imports[*file].iter().filter(|used| left.contains(used)).collect();
            format!("{file} -> {used:?}")
        })
        .collect();
    assert_eq!(cycle, [""; 0]);
}

#[test]
fn process_uses_only_text() {
    for (module, path) in files() {
        if module == "process" {
            let used: Vec<_> =
                used(&code(&path)).into_iter().filter(|name| name != "process" && name != "text").collect();
            assert_eq!(used, [""; 0], "{}", path.display());
        }
    }
}

#[test]
fn every_top_level_module_has_a_layer() {
    for (module, _) in files() {
        assert!(layer(&module).is_some(), "{module}");
    }
}

#[test]
fn yaml_is_read_in_one_place() {
    for (module, path) in files() {
        assert!(module == "yaml" || !code(&path).contains("serde_yaml"), "{}", path.display());
    }
}

#[test]
fn only_ui_prints() {
    let print = Regex::new(r"\be?print(ln)?!|\bdbg!").unwrap();
    for (_, path) in files() {
        assert!(!print.is_match(&code(&path)), "{}", path.display());
    }
}

#[test]
fn only_ui_uses_the_standard_streams() {
    let stream = Regex::new(r"\bstd(out|err)\(\)\s*\.?\s*(lock|write|\))").unwrap();
    for (module, path) in files() {
        assert!(module == "ui" || !stream.is_match(&code(&path)), "{}", path.display());
    }
}
