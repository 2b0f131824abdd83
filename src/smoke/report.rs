//! The results of a smoke test: live as [`StepEvent`]s, and at the end as a [`SmokeReport`].

use serde::Serialize;

/// A step of the smoke test. The names in reports are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(any(feature = "smoke", test)), expect(dead_code, reason = "only the client takes steps"))]
pub enum SmokeStepName {
    /// Reach the server and log in.
    Connect,
    CreateCollection,
    /// Insert all rows but the last, and flush them to storage.
    Insert,
    CreateIndex,
    /// Load the collection for searching.
    Load,
    /// Insert the last row and read it with the promised consistency.
    Consistency,
    /// Search for known rows and compare with brute force.
    Search,
    /// Read rows by id.
    Get,
    /// Read the rows of one colour.
    Filter,
    /// Find the collection in the list.
    List,
    /// Compare the collection's schema and index with what was created.
    Describe,
    Delete,
    Count,
    Drop,
}

impl SmokeStepName {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::CreateCollection => "create_collection",
            Self::Insert => "insert",
            Self::CreateIndex => "create_index",
            Self::Load => "load",
            Self::Consistency => "consistency",
            Self::Search => "search",
            Self::Get => "get",
            Self::Filter => "filter",
            Self::List => "list",
            Self::Describe => "describe",
            Self::Delete => "delete",
            Self::Count => "count",
            Self::Drop => "drop",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SmokeStep {
    pub name: SmokeStepName,
    /// Whether every request succeeded and every answer was right.
    pub ok: bool,
    /// How long the step took, in seconds.
    pub seconds: f64,
    /// What went wrong and what to do about it; `None` if `ok`.
    pub error: Option<String>,
}

/// The result of a smoke test; serialises to the JSON of `milvusctl smoke -o json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SmokeReport {
    /// Whether every step ran and succeeded.
    pub ok: bool,
    /// The tested server.
    pub uri: String,
    /// The steps in order. After a failure only `drop` runs.
    pub steps: Vec<SmokeStep>,
    /// Whether the caller stopped the test.
    pub interrupted: bool,
}

impl SmokeReport {
    /// The first step that failed.
    pub fn failed_step(&self) -> Option<&SmokeStep> {
        self.steps.iter().find(|step| !step.ok)
    }
}

/// Progress to show while the test runs.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(not(any(feature = "smoke", test)), expect(dead_code, reason = "only the client takes steps"))]
pub enum StepEvent<'a> {
    Started(SmokeStepName),
    Finished(&'a SmokeStep),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_serialises_to_the_documented_fields() {
        let report = SmokeReport {
            ok: false,
            uri: "http://localhost:19530".into(),
            steps: vec![
                SmokeStep { name: SmokeStepName::Connect, ok: true, seconds: 0.25, error: None },
                SmokeStep {
                    name: SmokeStepName::CreateCollection,
                    ok: false,
                    seconds: 1.5,
                    error: Some("refused".into()),
                },
            ],
            interrupted: false,
        };
        assert_eq!(
            serde_json::to_value(&report).unwrap(),
            serde_json::json!({
                "ok": false,
                "uri": "http://localhost:19530",
                "steps": [
                    {"name": "connect", "ok": true, "seconds": 0.25, "error": null},
                    {"name": "create_collection", "ok": false, "seconds": 1.5, "error": "refused"},
                ],
                "interrupted": false,
            })
        );
    }

    #[test]
    fn a_name_serialises_as_it_is_shown() {
        for name in [
            SmokeStepName::Connect,
            SmokeStepName::CreateCollection,
            SmokeStepName::Insert,
            SmokeStepName::CreateIndex,
            SmokeStepName::Load,
            SmokeStepName::Consistency,
            SmokeStepName::Search,
            SmokeStepName::Get,
            SmokeStepName::Filter,
            SmokeStepName::List,
            SmokeStepName::Describe,
            SmokeStepName::Delete,
            SmokeStepName::Count,
            SmokeStepName::Drop,
        ] {
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
        }
    }
}
