//! The commands in the documents can be typed, and both languages say the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

use crate::fixture::Fixture;
use crate::snapshot::folder;

/// The same document in each language.
pub(crate) const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];

/// A document in the project's root.
pub(crate) fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// A document's code blocks in `language`.
pub(crate) fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// The commands in a document's shell blocks, without comments.
fn commands(text: &str) -> Vec<&str> {
    let lines = blocks(text, "bash").into_iter().flat_map(str::lines);
    let plain = lines.map(|line| line.split(" #").next().unwrap_or_default().trim());
    plain.filter(|line| !line.is_empty()).collect()
}

/// A document without its blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The code spans in a document's prose.
fn code_spans(text: &str) -> Vec<String> {
    prose(text).split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
}

/// The cells of each table in a document, without its header.
fn tables(text: &str) -> Vec<Vec<Vec<String>>> {
    let mut tables = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in prose(text).lines().chain([""]) {
        if line.starts_with('|') {
            let cells = line.replace("\\|", "\u{0}");
            let cells = cells.trim_matches('|').split('|');
            rows.push(cells.map(|cell| cell.replace('\u{0}', "|").trim().to_owned()).collect());
        } else if !rows.is_empty() {
            tables.push(rows.split_off(2));
            rows.clear();
        }
    }
    tables
}

fn first_columns(text: &str) -> Vec<Vec<String>> {
    tables(text)
        .into_iter()
        .map(|rows| rows.into_iter().map(|mut row| row.swap_remove(0)).collect())
        .collect()
}

/// The levels of a document's headings, in order.
fn heading_levels(text: &str) -> Vec<usize> {
    let levels = prose(text);
    let levels = levels.lines().map(|line| line.chars().take_while(|c| *c == '#').count());
    levels.filter(|level| *level > 0).collect()
}

/// Every command without subcommands, as it is typed.
fn leaves(command: &clap::Command, before: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let name = format!("{before}{}", below.get_name());
        if below.has_subcommands() {
            found.extend(leaves(below, &format!("{name} ")));
        } else {
            found.insert(name);
        }
    }
    found
}

#[track_caller]
fn parses(line: &str) {
    let words = line.split(['>', '|', ';']).next().unwrap_or_default().split_whitespace();
    if let Err(error) = milvusctl::command().try_get_matches_from(words) {
        panic!("`{line}`: {error}");
    }
}

#[test]
fn the_commands_in_the_readmes_parse() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in READMES {
        let text = document(name);
        let commands = commands(&text);
        assert!(commands.len() > 20, "{name}: {commands:?}");
        for line in commands {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("milvusctl") => parses(line),
                Some("cargo") => assert!(matches!(words.next(), Some("install" | "test")), "{name}: {line}"),
                Some(script) => {
                    assert!(
                        script.starts_with("examples/") && folder.join(script).exists(),
                        "{name}: {line}"
                    );
                    let Some((_, run)) = line.split_once(" milvusctl ") else { panic!("{name}: {line}") };
                    parses(&format!("milvusctl {run}"));
                }
                None => unreachable!("empty lines are left out"),
            }
        }
    }
}

#[test]
fn commands_in_the_prose_of_the_readmes_exist() {
    for name in READMES {
        let spans = code_spans(&document(name));
        let ours: Vec<&String> = spans.iter().filter(|span| span.starts_with("milvusctl ")).collect();
        assert!(ours.len() > 5, "{name}: {ours:?}");
        for line in ours.into_iter().filter(|line| !READMES.iter().any(|name| line.contains(name))) {
            parses(line);
        }
    }
}

#[test]
fn both_readmes_have_the_same_commands_in_the_same_order() {
    let [one, other] = READMES.map(document);
    assert_eq!(commands(&one), commands(&other));
}

#[test]
fn both_readmes_have_the_same_sections() {
    let [one, other] = READMES.map(document);
    assert_eq!(heading_levels(&one), heading_levels(&other));
}

#[test]
fn both_readmes_have_the_same_tables() {
    let [one, other] = READMES.map(document);
    assert_eq!(first_columns(&one), first_columns(&other));
    let widths =
        |text: &str| -> Vec<usize> { tables(text).into_iter().flatten().map(|row| row.len()).collect() };
    assert_eq!(widths(&one), widths(&other));
}

#[test]
fn both_readmes_name_the_same_commands_flags_and_variables() {
    let named = |name: &str| -> BTreeSet<String> {
        let spans = code_spans(&document(name)).into_iter();
        spans.filter(|span| span.starts_with("--") || span.starts_with("MILVUSCTL_")).collect()
    };
    assert_eq!(named(READMES[0]), named(READMES[1]));
}

#[test]
fn each_readme_links_to_the_other_at_the_top() {
    let top = |name: &str| document(name).lines().take(4).collect::<String>();
    assert!(top(READMES[0]).contains("](README.zh-CN.md)"));
    assert!(top(READMES[1]).contains("](README.md)"));
}

#[test]
fn the_command_tables_match_the_help() {
    let expected = leaves(&milvusctl::command(), "");
    for name in READMES {
        let column = first_columns(&document(name)).swap_remove(0);
        let named: BTreeSet<String> = column.iter().map(|cell| cell.trim_matches('`').to_owned()).collect();
        assert_eq!(named, expected, "{name}");
        assert_eq!(column.len(), expected.len(), "{name} names a command twice");
    }
}

#[test]
fn the_exit_code_tables_match_the_help() {
    let help = fs::read_to_string(folder("help").join("milvusctl.txt")).unwrap();
    let (_, codes) = help.split_once("Exit codes:").unwrap();
    let expected: Vec<&str> = codes.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(expected.len() > 5, "{expected:?}");
    for name in READMES {
        assert_eq!(first_columns(&document(name)).swap_remove(1), expected, "{name}");
    }
}

#[test]
fn the_configuration_in_the_readmes_is_valid() {
    let machine = Fixture::with_tools(&[]);
    for name in READMES {
        let text = document(name);
        let found = blocks(&text, "yaml");
        assert_eq!(found.len(), 1, "{name}");
        machine.file("readme.yaml", found[0]);
        let settings = machine.milvusctl(&["render", "config", "-c", "readme.yaml"]).ends_with(0).out;
        assert!(settings.contains("name: milvus-ci"), "{name}: {settings}");
    }
}

#[test]
fn the_examples_in_the_help_parse() {
    let mut seen = 0;
    for entry in fs::read_dir(folder("help")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let Some((_, examples)) = text.split_once("Examples:\n") else { continue };
        for line in examples.lines().map(str::trim).filter(|line| line.starts_with("milvusctl ")) {
            seen += 1;
            parses(line);
        }
    }
    assert!(seen > 10, "only {seen} examples were found");
}

#[test]
fn linked_files_exist() {
    for name in ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"] {
        let text = document(name);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http") && !link.starts_with('#')) {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{name}: {link}");
        }
    }
}

#[test]
fn linked_sections_exist() {
    for name in READMES {
        let text = document(name);
        let headings = prose(&text);
        let headings: BTreeSet<String> = headings
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
            .collect();
        let links: Vec<&str> = text.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(links.len() > 1, "{name}: {links:?}");
        for link in links {
            assert!(headings.contains(link), "{name}: {link}");
        }
    }
}

#[test]
fn tests_named_in_the_guide_for_contributors_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = document("CONTRIBUTING.md");
    let in_a_file = Regex::new(r"`((?:src|tests)/[\w/]+\.rs)`: `(\w+)`").unwrap();
    let wrong: Vec<_> = in_a_file
        .captures_iter(&guide)
        .map(|found| (found[1].to_owned(), found[2].to_owned()))
        .filter(|(file, test)| {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            // The second form is that of the `symptoms!` table.
            !text.contains(&format!("fn {test}(")) && !text.contains(&format!("    {test}: \""))
        })
        .collect();
    assert_eq!(wrong, []);
}
