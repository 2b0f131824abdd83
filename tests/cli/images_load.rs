//! `images load -i`: errors for files that cannot be loaded.

use crate::fixture::Fixture;

fn machine() -> Fixture {
    let machine = Fixture::new();
    machine.on("docker version").says("20.10.24 1.41 1.41\n");
    machine
}

#[test]
fn a_missing_file_is_reported_before_asking_the_cluster() {
    let machine = machine();
    machine
        .milvusctl(&["images", "load", "-i", "none.tar"])
        .ends_with(2)
        .complains_of(&["none.tar", "could not open"]);
    assert!(machine.calls().iter().all(|call| !call.starts_with("kubectl")), "{:?}", machine.calls());
}

#[test]
fn a_folder_is_not_an_archive() {
    machine()
        .milvusctl(&["images", "load", "-i", "."])
        .ends_with(2)
        .complains_of(&["`.` is a folder", "tar -C FOLDER"]);
}

#[test]
fn other_files_are_refused_with_a_hint_on_making_an_archive() {
    let machine = machine();
    machine.file("notes.txt", "just words\n");
    machine
        .milvusctl(&["images", "load", "-i", "notes.txt"])
        .ends_with(1)
        .complains_of(&["`notes.txt` cannot be used as an archive of images", "docker save -o"]);
}

#[test]
fn empty_standard_input_is_not_an_archive() {
    machine()
        .milvusctl(&["images", "load", "-i", "-"])
        .ends_with(1)
        .complains_of(&["standard input cannot be used"]);
}

#[test]
fn an_archive_and_names_together_are_refused() {
    machine()
        .milvusctl(&["images", "load", "-i", "a.tar", "busybox"])
        .ends_with(2)
        .complains_of(&["cannot be used with"]);
    machine().milvusctl(&["images", "load"]).ends_with(2).complains_of(&["<REF>"]);
}
