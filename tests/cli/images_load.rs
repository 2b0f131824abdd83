//! `images load -i`: errors for files that cannot be loaded.

use crate::fixture::Fixture;

fn machine() -> Fixture {
    let machine = Fixture::new();
    machine.on("docker version").says("20.10.24 1.41 1.41\n");
    machine
}

#[test]
fn a_file_that_is_not_there_is_said_before_anything_is_asked_of_the_cluster() {
    let machine = machine();
    machine
        .milvusctl(&["images", "load", "-i", "none.tar"])
        .ends_with(2)
        .complains_of(&["none.tar", "could not open"]);
    assert!(machine.calls().iter().all(|call| !call.starts_with("kubectl")), "{:?}", machine.calls());
}

#[test]
fn a_folder_is_no_archive() {
    machine()
        .milvusctl(&["images", "load", "-i", "."])
        .ends_with(2)
        .complains_of(&["`.` is a folder", "tar -C FOLDER"]);
}

#[test]
fn what_is_no_archive_of_images_is_said_with_how_to_make_one() {
    let machine = machine();
    machine.file("notes.txt", "just words\n");
    machine
        .milvusctl(&["images", "load", "-i", "notes.txt"])
        .ends_with(1)
        .complains_of(&["`notes.txt` cannot be used as an archive of images", "docker save -o"]);
}

#[test]
fn nothing_on_standard_input_is_no_archive() {
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
