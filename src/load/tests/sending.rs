//! What a node is sent, and sent again.

use super::*;

#[test]
fn a_node_is_asked_for_its_content_only_once() {
    let runner = script().answer(CONTENT, NO_CONTENT).answer(IMPORT, "").answer(CHECK, &listed(true));
    let (images, asked) = run(runner, &[load(&["n1"]), load(&["n1"])]);
    assert_eq!(images.iter().map(|image| image.outcome).collect::<Vec<_>>(), [Outcome::Loaded; 2]);
    assert_eq!((times(&asked, CONTENT), times(&asked, IMPORT), times(&asked, CHECK)), (1, 2, 1));
    let sent: Vec<u64> = images.iter().map(|image| image.nodes[0].bytes_sent).collect();
    assert!(sent[1] < sent[0], "the second leaves out what the first brought: {sent:?}");
}

#[test]
fn ctr_imports_locally_with_the_nodes_snapshotter_if_it_can() {
    let runner = ScriptedRunner::default()
        .answer(INSPECT, &inspected())
        .answer_bytes(SAVE, ARCHIVE)
        .answer(CONFIG, "[plugins.'io.containerd.cri.v1.images']\n  snapshotter = 'native'\n")
        .answer(GATEWAY, "")
        .answer(HELP, "   --local  run import locally rather than through transfer API\n")
        .answer(LIST, NO_IMAGES)
        .answer(CONTENT, NO_CONTENT)
        .answer(&IMPORT.replace("import -", "import --local --snapshotter native -"), "")
        .answer(CHECK, &listed(true));
    let (images, asked) = run(runner, &[load(&["n1"]), load(&["n1"])]);
    assert_eq!(images.iter().map(|image| image.outcome).collect::<Vec<_>>(), [Outcome::Loaded; 2]);
    assert_eq!(times(&asked, HELP), 1);
}

#[test]
fn a_node_that_refuses_a_partial_image_gets_the_whole_one_once() {
    let runner = script()
        .answer(CONTENT, &lower_layer())
        .fail(IMPORT, "ctr: content digest sha256:95e6: not found")
        .answer(IMPORT, "")
        .answer(LIST, &names(&[(NAME, image().1)]))
        .answer(REMOVE, "")
        .answer(CHECK, &listed(true));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].outcome, Outcome::Loaded);
    assert!(images[0].nodes[0].sent_whole);
    assert_eq!((times(&asked, SAVE), times(&asked, IMPORT), times(&asked, REMOVE)), (2, 2, 1));
}

#[test]
fn a_node_that_refuses_the_whole_image_is_not_retried_forever() {
    let runner = script()
        .answer(CONTENT, NO_CONTENT)
        .fail(IMPORT, "ctr: unexpected EOF")
        .answer(CHECK, "REF TYPE DIGEST STATUS SIZE UNPACKED\n");
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].error.as_deref(), Some("node `n1`: ctr: unexpected EOF"));
    assert_eq!((images[0].outcome, times(&asked, IMPORT)), (Outcome::LoadFailed, 2));
}

#[test]
fn a_node_with_a_full_disk_is_not_retried() {
    let runner = script()
        .answer(CONTENT, &lower_layer())
        .fail(IMPORT, "ctr: no space left on device")
        .answer(CHECK, "REF TYPE DIGEST STATUS SIZE UNPACKED\n");
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].outcome, Outcome::LoadFailed);
    assert_eq!(images[0].error.as_deref(), Some("node `n1`: ctr: no space left on device"));
    assert_eq!(images[0].hint.as_deref(), Some(crate::tools::ENGINE_DISK_HINT));
    assert_eq!(times(&asked, IMPORT), 1);
}

#[test]
fn an_incomplete_image_is_removed_and_resent() {
    let runner = script()
        .answer(CONTENT, NO_CONTENT)
        .answer(LIST, &names(&[(NAME, image().1)]))
        .answer(IMPORT, "")
        .answer(REMOVE, "")
        .answer(CHECK, &listed(false))
        .answer(CHECK, &listed(true));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].outcome, Outcome::Loaded);
    let order: Vec<&str> =
        asked.iter().map(String::as_str).filter(|line| [IMPORT, CHECK, REMOVE].contains(line)).collect();
    assert_eq!(order, [IMPORT, CHECK, REMOVE, IMPORT, CHECK]);
}

#[test]
fn a_stopped_node_gets_nothing_more_and_does_not_affect_others() {
    let stopped = "Error response from daemon: Container 89ee is not running";
    let on_n2 = |line: &str| line.replace("n1", "n2");
    let runner = script()
        .answer(CONTENT, NO_CONTENT)
        .answer(IMPORT, "")
        .answer(CHECK, &listed(true))
        .answer(&on_n2(CONTENT), &lower_layer())
        .answer(&on_n2(CONFIG), "")
        .answer(&on_n2(HELP), "")
        .answer(&on_n2(GATEWAY), "")
        .answer(&on_n2(LIST), NO_IMAGES)
        .fail(&on_n2(IMPORT), stopped)
        .fail(&on_n2(CHECK), stopped);
    let (images, asked) = run(runner, &[load(&["n1", "n2"])]);
    let nodes: Vec<_> = images[0].nodes.iter().map(|node| (node.node.as_str(), node.outcome)).collect();
    assert_eq!(nodes, [("n1", Outcome::Loaded), ("n2", Outcome::LoadFailed)]);
    assert_eq!((times(&asked, SAVE), times(&asked, &on_n2(IMPORT))), (1, 1));
    assert_eq!(images[0].hint.as_deref(), Some("start the node (`docker start NODE`), then rerun"));
}

#[test]
fn a_complete_but_not_unpacked_image_counts_as_loaded() {
    let table = listed(true).replace(" true\n", " false\n");
    let runner = script().answer(CONTENT, NO_CONTENT).answer(IMPORT, "").answer(CHECK, &table);
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!((images[0].outcome, times(&asked, IMPORT)), (Outcome::Loaded, 1));
}

#[test]
fn a_node_without_waiting_pods_does_not_unpack_if_ctr_can_skip_it() {
    let waits = ImageLoad { first: vec!["n1".into()], then: vec!["n2".into()], ..load(&[]) };
    let on_n2 = |line: &str| line.replace("n1", "n2");
    for (help, flag) in [("   --no-unpack  skip unpacking\n", "--no-unpack -"), ("", "-")] {
        let later = on_n2(IMPORT).replace("import -", &format!("import {flag}"));
        let mut runner = ScriptedRunner::default().answer(INSPECT, &inspected()).answer_bytes(SAVE, ARCHIVE);
        for line in [CONFIG, HELP, GATEWAY, LIST, CONTENT, CHECK] {
            let text = match line {
                HELP => help.to_owned(),
                LIST => NO_IMAGES.to_owned(),
                CONTENT => NO_CONTENT.to_owned(),
                CHECK => listed(true),
                _ => String::new(),
            };
            runner = runner.answer(line, &text).answer(&on_n2(line), &text);
        }
        let (images, asked) = run(runner.answer(IMPORT, "").answer(&later, ""), std::slice::from_ref(&waits));
        assert_eq!(images[0].outcome, Outcome::Loaded);
        assert_eq!((times(&asked, IMPORT), times(&asked, &later)), (1, 1));
    }
}
