//! `man`: a page for the program and for each of its commands.

use std::fs;

use crate::fixture::Fixture;

#[test]
fn the_main_page_lists_the_exit_codes() {
    let page = Fixture::with_tools(&[]).milvusctl(&["man"]).ends_with(0).out;
    assert!(page.starts_with(".ie") || page.contains(".TH milvusctl 1"), "{page}");
    assert!(page.contains(".SH \"EXIT STATUS\""), "{page}");
    assert!(page.contains("\\fB130\\fR\ninterrupted\n"), "{page}");
}

#[test]
fn the_page_of_a_command_has_each_example_on_its_own_line() {
    let page = Fixture::with_tools(&[]).milvusctl(&["man", "images", "load"]).ends_with(0).out;
    assert!(page.contains(".TH milvusctl-images-load 1"), "{page}");
    assert!(page.contains(".PP\n\\fBmilvusctl images load \\-i images.tar.gz\\fR\n"), "{page}");
}

#[test]
fn an_unknown_page_gets_a_suggestion() {
    let machine = Fixture::with_tools(&[]);
    machine.milvusctl(&["man", "upp"]).ends_with(2).complains_of(&["`upp`", "did you mean `up`?"]);
    machine
        .milvusctl(&["man", "images", "xyz"])
        .ends_with(2)
        .complains_of(&["`milvusctl images`", "explain"]);
    machine
        .milvusctl(&["man", "up", "all"])
        .ends_with(2)
        .complains_of(&["`milvusctl up`", "`milvusctl man`"]);
}

#[test]
fn all_pages_are_written_into_a_new_folder() {
    let machine = Fixture::with_tools(&[]);
    let folder = machine.file("x", "").with_file_name("share/man1");
    let written = machine.milvusctl(&["man", "--dir", folder.to_str().unwrap()]).ends_with(0).out;
    let below = |command: &clap::Command| command.get_subcommands().count();
    let all =
        1 + below(&milvusctl::command()) + milvusctl::command().get_subcommands().map(below).sum::<usize>();
    assert_eq!(written.lines().count(), all);
    for path in written.lines() {
        assert!(fs::read_to_string(path).unwrap().contains(".SH EXAMPLES"), "{path}");
    }
}

#[test]
fn pages_do_not_need_a_valid_configuration() {
    let machine = Fixture::with_tools(&[]);
    machine.file("milvusctl.yaml", "nonsense: [");
    machine.milvusctl(&["man", "up"]).ends_with(0);
}
