//! `images load -i`: errors for files that cannot be loaded.

use crate::faults::named_pipe;
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

#[test]
fn a_named_pipe_is_read_once_for_all_nodes_and_leaves_no_copy() {
    let archive = "tests/fixtures/docker-save-two-layers.docker-20.10.tar";
    let archive = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(archive);
    let machine = crate::disk::waiting_for(Fixture::new(), "docker.io/test/two:1", "");
    named_pipe(&machine, "images.tar");
    let (pipe, size) = (machine.path("images.tar"), std::fs::metadata(&archive).unwrap().len());
    // Opening it a second time would wait for ever.
    let writer = std::thread::spawn(move || {
        let (mut from, mut to) =
            (std::fs::File::open(archive).unwrap(), std::fs::File::create(pipe).unwrap());
        std::io::copy(&mut from, &mut to).unwrap()
    });
    let report = machine.milvusctl(&["images", "load", "-i", "images.tar", "-o", "json"]).ends_with(0).json();
    assert_eq!((&report["loaded"], &report["failed"]), (&1.into(), &0.into()));
    assert_eq!(writer.join().unwrap(), size);
    assert!(report["bytes_read"].as_u64().unwrap() <= size, "{report}");
    assert_eq!(machine.temporary_files(), [""; 0].map(std::path::PathBuf::from));
}
