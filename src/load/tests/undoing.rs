//! What becomes of a node's names when an import fails.

use super::*;

#[test]
fn a_failed_import_keeps_the_nodes_previous_image() {
    let old = Digest::of(b"old");
    let runner = script_on(&[(NAME, old)])
        .answer(CONTENT, NO_CONTENT)
        .fail(IMPORT, "ctr: no space left on device")
        .answer(CHECK, &listed(true).replace(&image().1.to_string(), &old.to_string()));
    // Neither `images rm` nor `images tag` is scripted: asking for one would end the test.
    let (images, _) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].outcome, Outcome::LoadFailed);
}

#[test]
fn an_image_replaced_by_a_partial_one_is_restored() {
    let (old, new) = (Digest::of(b"old"), image().1);
    let runner = script_on(&[(NAME, old), ("sha256:old", old)])
        .answer(LIST, &names(&[(NAME, new), ("sha256:old", old)]))
        .answer(CONTENT, NO_CONTENT)
        .fail(IMPORT, "ctr: no space left on device")
        .answer(CHECK, &listed(false))
        .answer(TAG, "");
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!((images[0].outcome, times(&asked, TAG)), (Outcome::LoadFailed, 1));
}

#[test]
fn an_image_that_cannot_be_restored_is_reported_and_keeps_its_name() {
    let old = Digest::of(b"old");
    let runner = script_on(&[(NAME, old)])
        .answer(LIST, &names(&[(NAME, image().1)]))
        .answer(CONTENT, NO_CONTENT)
        .fail(IMPORT, "ctr: no space left on device")
        .answer(CHECK, &listed(false));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    let error = format!(
        "node `n1`: ctr: no space left on device; the name pointed to {old} before, and could not be restored: \
         the node no longer lists it"
    );
    assert_eq!((images[0].error.as_deref(), times(&asked, REMOVE)), (Some(error.as_str()), 0));
}

#[test]
fn a_partial_image_is_removed_after_the_last_attempt() {
    let runner = script()
        .answer(LIST, &names(&[(NAME, image().1)]))
        .answer(CONTENT, NO_CONTENT)
        .answer(IMPORT, "")
        .answer(REMOVE, "")
        .answer(CHECK, &listed(false));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!((images[0].outcome, times(&asked, REMOVE)), (Outcome::LoadFailed, 2));
}

#[test]
fn nothing_is_removed_from_a_node_that_did_not_list_its_images() {
    let runner = ScriptedRunner::default()
        .answer(INSPECT, &inspected())
        .answer_bytes(SAVE, ARCHIVE)
        .answer(CONFIG, "")
        .answer(GATEWAY, "")
        .answer(HELP, "")
        .fail(LIST, "ctr: connection refused")
        .answer(CONTENT, NO_CONTENT)
        .answer(IMPORT, "")
        .answer(CHECK, &listed(false));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!((images[0].outcome, times(&asked, REMOVE)), (Outcome::LoadFailed, 0));
}
