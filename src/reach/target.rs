//! What the user wants to reach.

use std::fmt;
use std::str::FromStr;

/// A thing to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Attu,
    Milvus,
    Service { namespace: String, name: String },
}

/// A text that is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `attu`, `milvus` or `svc/NAMESPACE/NAME`, found `{0}`")]
pub struct UnknownTarget(String);

impl Target {
    /// The Services that may be meant, as namespace and name, most likely first, for a Milvus called `milvus`
    /// in `namespace`.
    ///
    /// `my-attu-svc` is the name of Attu's Service in the article that this tool grew from.
    pub fn candidates(&self, namespace: &str, milvus: &str) -> Vec<(String, String)> {
        let here = |name: String| (namespace.to_owned(), name);
        match self {
            Self::Attu => vec![here(format!("{milvus}-attu")), here("my-attu-svc".to_owned())],
            Self::Milvus => vec![here(format!("{milvus}-milvus"))],
            Self::Service { namespace, name } => vec![(namespace.clone(), name.clone())],
        }
    }

    /// The default local port to forward.
    pub fn usual_port(&self) -> Option<u16> {
        match self {
            Self::Milvus => Some(19530),
            Self::Attu => Some(3000),
            Self::Service { .. } => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attu => f.write_str("attu"),
            Self::Milvus => f.write_str("milvus"),
            Self::Service { namespace, name } => write!(f, "svc/{namespace}/{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(text: &str) -> Result<Self, UnknownTarget> {
        let unknown = || UnknownTarget(text.to_owned());
        match text {
            "attu" => return Ok(Self::Attu),
            "milvus" => return Ok(Self::Milvus),
            _ => {}
        }
        let (namespace, name) =
            text.strip_prefix("svc/").and_then(|rest| rest.split_once('/')).ok_or_else(unknown)?;
        if !is_label(namespace) || !is_label(name) {
            return Err(unknown());
        }
        Ok(Self::Service { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// Whether `text` is a valid name of a namespace or Service (RFC 1123).
fn is_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 63
        && text.starts_with(plain)
        && text.ends_with(plain)
        && text.chars().all(|c| plain(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_round_trip() {
        for text in ["attu", "milvus", "svc/default/my-service"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in
            ["", "Attu", "svc/", "svc/a", "svc//b", "svc/a/", "svc/a/b/c", "svc/-x/y", "svc/a/B", "a/b"]
        {
            assert_eq!(text.parse::<Target>(), Err(UnknownTarget(text.to_owned())));
        }
    }

    #[test]
    fn attu_is_looked_for_under_both_names() {
        let owned = |name: &str| ("db".to_owned(), name.to_owned());
        assert_eq!(Target::Attu.candidates("db", "m"), [owned("m-attu"), owned("my-attu-svc")]);
        assert_eq!(Target::Milvus.candidates("db", "m"), [owned("m-milvus")]);
    }
}
