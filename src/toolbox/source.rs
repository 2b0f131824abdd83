//! Where tools come from: their projects, a mirror with the same files, or a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::release::Tool;

/// Where to fetch a tool from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolSource {
    /// The official address of the tool's project.
    Official,
    /// An `http://` or `https://` address in place of the official one, without a trailing slash.
    Mirror(String),
    /// A folder on this machine.
    Folder(PathBuf),
}

/// The mirrors in a `MILVUSCTL_TOOLS_MIRROR` value: one for all tools, or one for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    by_tool: BTreeMap<Tool, ToolSource>,
}

/// Why a mirror value was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// The address has an unsupported scheme.
    #[error("tools mirror: expected an `http://` or `https://` address or a folder, found `{0}`")]
    Scheme(String),
    /// A part of a list does not name a tool.
    #[error(
        "tools mirror: expected `kind=`, `helm=` or `kubectl=` before each address of a list, found `{0}`"
    )]
    Tool(String),
    /// An address or folder is empty.
    #[error("tools mirror: the address or folder in `{0}` is empty")]
    Empty(String),
}

impl Mirrors {
    /// Parses `value`: an address or a folder for all tools, or `kind=…,helm=…,kubectl=…` with one for each.
    ///
    /// `https://M` is short for `https://M/kind`, `https://M/helm` and `https://M/kubectl`; an address given
    /// for one tool replaces that tool's official base address as is. Tools missing from a list come from
    /// their projects, and so do all if the value is empty.
    ///
    /// # Errors
    /// Fails on a scheme other than `http` and `https`, on a list that names another tool, and on an empty
    /// address.
    pub fn parse(value: &str) -> Result<Self, MirrorError> {
        let value = value.trim();
        if value.is_empty() {
            return Ok(Self::default());
        }
        let is_list = Tool::ALL.iter().any(|tool| tool_value(value, *tool).is_some());
        let mut by_tool = BTreeMap::new();
        if !is_list {
            for tool in Tool::ALL {
                let source = match source_of(value)? {
                    ToolSource::Mirror(base) => ToolSource::Mirror(format!("{base}/{tool}")),
                    other => other,
                };
                by_tool.insert(tool, source);
            }
            return Ok(Self { by_tool });
        }
        for part in value.split(',').map(str::trim) {
            let found = Tool::ALL.into_iter().find_map(|tool| Some((tool, tool_value(part, tool)?)));
            let Some((tool, place)) = found else { return Err(MirrorError::Tool(part.to_owned())) };
            if place.is_empty() {
                return Err(MirrorError::Empty(part.to_owned()));
            }
            by_tool.insert(tool, source_of(place)?);
        }
        Ok(Self { by_tool })
    }

    /// All tools from one folder.
    pub fn folder(folder: &Path) -> Self {
        let by_tool = Tool::ALL.map(|tool| (tool, ToolSource::Folder(folder.to_path_buf())));
        Self { by_tool: by_tool.into() }
    }

    /// Returns where to fetch `tool` from.
    pub fn source(&self, tool: Tool) -> ToolSource {
        self.by_tool.get(&tool).cloned().unwrap_or(ToolSource::Official)
    }
}

/// Returns what follows `TOOL=` in `part`, if it starts with that.
fn tool_value(part: &str, tool: Tool) -> Option<&str> {
    Some(part.strip_prefix(tool.name())?.strip_prefix('=')?.trim())
}

fn source_of(place: &str) -> Result<ToolSource, MirrorError> {
    if let Some((scheme, rest)) = place.split_once("://") {
        let rest = rest.trim_end_matches('/');
        return match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" if rest.is_empty() => Err(MirrorError::Empty(place.to_owned())),
            scheme @ ("http" | "https") => Ok(ToolSource::Mirror(format!("{scheme}://{rest}"))),
            "file" => Ok(ToolSource::Folder(PathBuf::from(rest))),
            _ => Err(MirrorError::Scheme(place.to_owned())),
        };
    }
    Ok(ToolSource::Folder(Path::new(place).to_path_buf()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(value: &str) -> Result<[ToolSource; 3], MirrorError> {
        Mirrors::parse(value).map(|mirrors| Tool::ALL.map(|tool| mirrors.source(tool)))
    }

    fn mirror(url: &str) -> ToolSource {
        ToolSource::Mirror(url.to_owned())
    }

    #[test]
    fn one_address_stands_for_all_tools() {
        assert_eq!(
            sources("https://mirror.example/tools/"),
            Ok([
                mirror("https://mirror.example/tools/kind"),
                mirror("https://mirror.example/tools/helm"),
                mirror("https://mirror.example/tools/kubectl"),
            ])
        );
    }

    #[test]
    fn one_folder_stands_for_all_tools() {
        let folder = ToolSource::Folder(PathBuf::from("/opt/tools"));
        assert_eq!(sources("/opt/tools"), Ok([folder.clone(), folder.clone(), folder.clone()]));
        assert_eq!(sources("file:///opt/tools/"), Ok([folder.clone(), folder.clone(), folder]));
    }

    #[test]
    fn tools_missing_from_a_list_come_from_their_projects() {
        assert_eq!(
            sources("kind=http://127.0.0.1:8000/k, kubectl=/opt/tools"),
            Ok([
                mirror("http://127.0.0.1:8000/k"),
                ToolSource::Official,
                ToolSource::Folder(PathBuf::from("/opt/tools")),
            ])
        );
    }

    #[test]
    fn an_empty_value_means_the_official_sources() {
        assert_eq!(sources("  "), Ok([ToolSource::Official, ToolSource::Official, ToolSource::Official]));
    }

    #[test]
    fn values_that_name_nothing_are_refused() {
        assert_eq!(sources("ftp://x/y"), Err(MirrorError::Scheme("ftp://x/y".to_owned())));
        assert_eq!(sources("kind=/a,k9s=/b"), Err(MirrorError::Tool("k9s=/b".to_owned())));
        assert_eq!(sources("kind=,helm=/b"), Err(MirrorError::Empty("kind=".to_owned())));
        assert_eq!(sources("https://"), Err(MirrorError::Empty("https://".to_owned())));
    }
}
