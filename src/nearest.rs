//! Which of several known names somebody meant who typed another.

/// Returns the name of `known` that is nearest to `typed`, if one is near enough to be meant.
///
/// Case does not count. Up to a third of the letters may differ, one in any case, but never all.
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
    fn the_nearest_name_is_meant() {
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
    fn a_name_of_other_letters_alone_is_not_meant() {
        assert_eq!(nearest("a", ["b"]), None);
    }
}
