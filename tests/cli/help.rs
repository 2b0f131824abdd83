//! Compares `--help` of every command with the committed text, to make changes of the command line visible.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --test cli help` updates the texts.

use std::collections::BTreeSet;
use std::fs;

use crate::fixture::Fixture;
use crate::snapshot::{assert_same, folder};

/// The words of every command, starting with the program alone.
fn commands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
        found.push(words.to_vec());
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let words: Vec<_> = words.iter().cloned().chain([inner.get_name().to_owned()]).collect();
            below(inner, &words, found);
        }
    }
    let mut found = Vec::new();
    below(&milvusctl::command(), &[], &mut found);
    found
}

fn file_name(words: &[String]) -> String {
    let name = if words.is_empty() { "milvusctl".to_owned() } else { words.join("-") };
    format!("{name}.txt")
}

#[test]
fn the_help_of_every_command_is_the_committed_text() {
    let machine = Fixture::with_tools(&[]);
    for words in commands() {
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let shown = machine.milvusctl(&args).ends_with(0).out;
        assert_same(&format!("help/{}", file_name(&words)), &shown);
    }
}

#[test]
fn removed_commands_have_no_help_text() {
    let wanted: BTreeSet<String> = commands().iter().map(|words| file_name(words)).collect();
    let mut present = BTreeSet::new();
    for entry in fs::read_dir(folder("help")).unwrap() {
        present.insert(entry.unwrap().file_name().into_string().unwrap());
    }
    assert_eq!(present, wanted);
}

#[test]
fn the_help_names_every_exit_code() {
    let help = Fixture::with_tools(&[]).milvusctl(&["--help"]).ends_with(0).out;
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let codes: Vec<String> = codes.lines().map(first).collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "130"]);
}
