//! Suggests a known name for a mistyped one.

/// Returns the name in `known` closest to `typed`, if one is close enough to be meant.
///
/// Ignores case. Up to a third of the letters may differ, at least one, but never all.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let letters = typed.chars().count();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&typed, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= (letters / 3).max(1) && *distance < letters)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_suggested() {
        let known = ["milvus-cluster", "milvus-ci", "kind"];
        let rows = [
            ("milvus-clster", Some("milvus-cluster")),
            ("milvus-ic", Some("milvus-ci")),
            ("Kind", Some("kind")),
            ("minikube", None),
            ("", None),
        ];
        for (typed, meant) in rows {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }

    #[test]
    fn an_entirely_different_name_is_not_suggested() {
        assert_eq!(nearest("a", ["b"]), None);
    }
}
