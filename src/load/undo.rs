//! Undoes what a failed import left under an image's name, without touching anything from before the run.

use crate::archive::Digest;
use crate::context::Context;
use crate::load::Method;
use crate::load::containerd::Targets;
use crate::tools::docker_words;

/// What to do about a name.
#[derive(Debug, PartialEq, Eq)]
enum Remedy<'a> {
    /// Unchanged by this run, or changed by somebody else since.
    Leave,
    /// Created by the import.
    Remove,
    /// Pointed elsewhere before the run, and this other name still points there.
    PutBack(&'a str),
    /// Pointed elsewhere before the run, and no name points there any more.
    Lost,
}

/// Decides from what the node's names pointed to before the run and now. `sent` is the manifest sent to the
/// node, if known.
fn remedy<'a>(before: &Targets, now: &'a Targets, name: &str, sent: Option<Digest>) -> Remedy<'a> {
    let (old, new) = (before.get(name), now.get(name));
    if old == new || new.zip(sent).is_some_and(|(new, sent)| *new != sent) {
        return Remedy::Leave;
    }
    let Some(old) = old else { return Remedy::Remove };
    // containerd's CRI plugin gives every image a second name, its config digest, which stays when the first
    // name moves to another image (`UpdateImage` in its image service).
    match now.iter().find(|(_, target)| *target == old) {
        Some((other, _)) => Remedy::PutBack(other),
        None => Remedy::Lost,
    }
}

/// Removes a half-loaded image, so that no pod uses it (kind#2402), and restores the name to its previous
/// image. Touches nothing if the node does not answer.
///
/// # Errors
/// Returns a message for the user if the previous image could not be restored.
pub(super) fn undo(
    context: &Context,
    method: &Method,
    node: &str,
    name: &str,
    sent: Option<Digest>,
) -> Result<(), String> {
    let Some(before) = method.before(context, node) else { return Ok(()) };
    let node = context.tools.node(node);
    let now = match node.targets() {
        Ok(now) => now,
        Err(error) => {
            context
                .ui
                .verbose(&format!("could not ask what `{name}` points to now: {}", docker_words(&error)));
            return Ok(());
        }
    };
    let lost = |why: &str| {
        let old = before.get(name).map(ToString::to_string).unwrap_or_default();
        format!("the name pointed to {old} before, and could not be restored: {why}")
    };
    match remedy(&before, &now, name, sent) {
        Remedy::Leave => Ok(()),
        Remedy::Remove => {
            // A missing name is fine.
            _ = node.remove_image(name);
            Ok(())
        }
        Remedy::PutBack(other) => node.point_at(name, other).map_err(|error| lost(&error.to_string())),
        Remedy::Lost => Err(lost("the node no longer lists it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "docker.io/a/b:1";

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn names(names: &[(&str, &str)]) -> Targets {
        names.iter().map(|(name, target)| ((*name).to_owned(), digest(target))).collect()
    }

    #[test]
    fn a_name_created_by_the_import_is_removed() {
        let now = names(&[(NAME, "new")]);
        for sent in [Some(digest("new")), None] {
            assert_eq!(remedy(&names(&[]), &now, NAME, sent), Remedy::Remove);
        }
    }

    #[test]
    fn an_unchanged_name_is_left_alone() {
        let table = names(&[(NAME, "old")]);
        for sent in [Some(digest("new")), Some(digest("old")), None] {
            assert_eq!(remedy(&table, &table, NAME, sent), Remedy::Leave);
        }
        assert_eq!(remedy(&names(&[]), &names(&[]), NAME, None), Remedy::Leave);
    }

    #[test]
    fn a_name_changed_by_somebody_else_is_left_alone() {
        let now = names(&[(NAME, "pulled by the kubelet")]);
        assert_eq!(remedy(&names(&[]), &now, NAME, Some(digest("new"))), Remedy::Leave);
        assert_eq!(remedy(&names(&[(NAME, "old")]), &now, NAME, Some(digest("new"))), Remedy::Leave);
    }

    #[test]
    fn a_replaced_name_is_restored_from_another_name() {
        let before = names(&[(NAME, "old"), ("sha256:1", "old")]);
        let now = names(&[(NAME, "new"), ("sha256:1", "old"), ("sha256:2", "new")]);
        assert_eq!(remedy(&before, &now, NAME, Some(digest("new"))), Remedy::PutBack("sha256:1"));
    }

    #[test]
    fn an_existing_name_is_kept_even_if_its_old_image_is_gone() {
        let now = names(&[(NAME, "new")]);
        assert_eq!(remedy(&names(&[(NAME, "old")]), &now, NAME, Some(digest("new"))), Remedy::Lost);
    }
}
