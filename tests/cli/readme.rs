//! What the documents tell people to type can be typed.

use std::fs;
use std::path::Path;

use clap::{CommandFactory, Parser};
use milvusctl::cli::Cli;
use milvusctl::machine::Mode;

use crate::snapshot::folder;

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The lines that run milvusctl, without their comments and without what the shell does with the output.
fn typed(lines: &[&str]) -> Vec<String> {
    let plain = |line: &&str| line.starts_with("milvusctl ");
    let command = |line: &str| line.split([';', '|', '>', '#']).next().unwrap_or_default().trim().to_owned();
    lines.iter().map(|line| line.trim()).filter(plain).map(command).collect()
}

/// The lines in the blocks of shell commands of a document.
fn shell_blocks(text: &str) -> Vec<&str> {
    let blocks = text.split("```bash\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines()).collect()
}

#[track_caller]
fn parses(line: &str) {
    if let Err(error) = Cli::try_parse_from(line.split_whitespace()) {
        panic!("`{line}`: {error}");
    }
}

#[test]
fn every_command_of_the_readme_is_one() {
    let readme = document("README.md");
    let lines = typed(&shell_blocks(&readme));
    assert!(lines.len() > 5, "{lines:?}");
    for line in lines {
        parses(&line);
    }
}

#[test]
fn every_example_of_the_help_is_one() {
    let mut seen = 0;
    for entry in fs::read_dir(folder("help")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let Some((_, examples)) = text.split_once("Examples:\n") else { continue };
        for line in typed(&examples.lines().collect::<Vec<_>>()) {
            seen += 1;
            parses(&line);
        }
    }
    assert!(seen > 10, "only {seen} examples were found");
}

#[test]
fn every_command_is_in_the_readmes_table() {
    let readme = document("README.md");
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let cell = format!("`{name}");
        let named = readme.lines().any(|line| line.starts_with('|') && line.contains(&cell));
        assert!(named || name == "help", "`{name}` is not in the table");
    }
}

#[test]
fn files_that_the_readme_links_to_are_there() {
    let readme = document("README.md");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
    }
}

#[test]
fn the_readmes_exit_codes_are_those_of_the_help() {
    let readme = document("README.md");
    for code in ["0", "1", "2", "3", "4", "5", "130"] {
        assert!(readme.contains(&format!("\n| {code} | ")), "{code}");
    }
}

#[test]
fn the_readmes_modes_ask_for_what_doctor_says() {
    let readme = document("README.md");
    for (mode, name) in
        Mode::ALL.into_iter().zip(["`--small`", "`--mode standalone`", "cluster, the default"])
    {
        let asked = mode.requirements();
        let (memory, least) = (asked.memory_bytes / 1_000_000_000, asked.least_memory_bytes / 1_000_000_000);
        let row = format!("\n| {name} | {} and {memory} GB | {least} GB | ", asked.cpus);
        assert!(readme.contains(&row), "{row}");
    }
}
