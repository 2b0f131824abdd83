//! The results of loading images, in the form that `-o json` prints.

use serde::Serialize;

use super::plan::LeftOut;
use super::refusal::Refusal;
use crate::archive::Digest;
use crate::kube::kubelet::WaitingReason;
use crate::kube::pod::PodName;

/// What came of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every target node lists it as complete.
    Loaded,
    Present,
    Refused,
    /// It could not be pulled.
    PullFailed,
    /// It could not be loaded into a node.
    LoadFailed,
}

/// The outcome of one image on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeOutcome {
    pub node: String,
    pub outcome: Outcome,
    /// The bytes written to the node.
    pub bytes_sent: u64,
    /// Whether the node rejected an archive without the layers it seemed to hold, and was then sent the whole
    /// image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sent_whole: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where an image came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// The name that it was pulled by; none if the engine, the store or an archive had it.
    pub pulled_from: Option<String>,
    /// The digest that this name resolved to; none if only the engine knows.
    pub digest: Option<Digest>,
    /// What the image's own registry says, if a mirror served its tag.
    pub origin: Option<OriginAnswer>,
}

/// How the image's own registry compares with what a mirror served for its tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum OriginAnswer {
    Same,
    /// The tag resolves to another image there.
    Differs {
        digest: Digest,
    },
    /// It was not queried or did not answer.
    Unknown {
        error: String,
    },
}

/// What came of one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageOutcome {
    /// The image's full name, or the text as written if it is not a valid name.
    pub image: String,
    /// Why pods wait for it.
    pub reasons: Vec<WaitingReason>,
    /// The pods that wait for it.
    pub pods: Vec<PodName>,
    pub outcome: Outcome,
    #[serde(flatten)]
    pub provenance: Provenance,
    /// The outcome on each node.
    pub nodes: Vec<NodeOutcome>,
    /// How long it took, not counting the wait for other images.
    pub seconds: f64,
    pub error: Option<String>,
    /// How to fix it.
    pub hint: Option<String>,
}

impl ImageOutcome {
    /// An outcome of which nothing else is known.
    pub fn new(image: String, outcome: Outcome) -> Self {
        Self {
            image,
            reasons: Vec::new(),
            pods: Vec::new(),
            outcome,
            provenance: Provenance::default(),
            nodes: Vec::new(),
            seconds: 0.0,
            error: None,
            hint: None,
        }
    }
}

/// The time and data it took to get images into nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Effort {
    /// Until all nodes had their images and were checked.
    pub seconds: f64,
    /// Until the nodes with waiting pods had the images those wait for, which go first.
    pub seconds_until_pods_can_start: f64,
    /// Bytes read from the engine; each archive counts once, however many nodes it went to.
    pub bytes_read: u64,
}

impl Effort {
    /// Combines two consecutive efforts.
    pub fn and(self, later: Self) -> Self {
        let waited = if later.seconds_until_pods_can_start > 0.0 {
            self.seconds + later.seconds_until_pods_can_start
        } else {
            self.seconds_until_pods_can_start
        };
        Self {
            seconds: self.seconds + later.seconds,
            seconds_until_pods_can_start: waited,
            bytes_read: self.bytes_read + later.bytes_read,
        }
    }
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadReport {
    pub cluster: String,
    /// All images, sorted by name.
    pub images: Vec<ImageOutcome>,
    /// How many images were missing.
    pub missing: usize,
    /// How many of them are loaded now.
    pub loaded: usize,
    /// How many could not be loaded, including refused ones.
    pub failed: usize,
    #[serde(flatten)]
    pub effort: Effort,
}

impl LoadReport {
    /// Counts the outcomes. Images that were already present do not count as missing.
    pub fn new(cluster: &str, mut images: Vec<ImageOutcome>) -> Self {
        images.sort_by(|a, b| a.image.cmp(&b.image));
        let count = |wanted: &dyn Fn(Outcome) -> bool| images.iter().filter(|i| wanted(i.outcome)).count();
        let loaded = count(&|outcome| outcome == Outcome::Loaded);
        let failed = count(&|outcome| !matches!(outcome, Outcome::Loaded | Outcome::Present));
        Self {
            cluster: cluster.to_owned(),
            missing: loaded + failed,
            loaded,
            failed,
            images,
            effort: Effort::default(),
        }
    }

    pub fn with_effort(self, effort: Effort) -> Self {
        Self { effort, ..self }
    }

    /// Adds a later wave, whose outcomes replace earlier ones of the same image.
    pub fn merge(&mut self, later: Self) {
        let mut images = std::mem::take(&mut self.images);
        for image in later.images {
            match images.iter_mut().find(|known| known.image == image.image) {
                // An image loaded in one wave and present in the next still counts as loaded.
                Some(known) if image.outcome == Outcome::Present && known.outcome == Outcome::Loaded => {}
                Some(known) => *known = image,
                None => images.push(image),
            }
        }
        let effort = self.effort.and(later.effort);
        *self = Self::new(&self.cluster, images).with_effort(effort);
    }
}

impl LeftOut {
    /// Adds the skipped nodes to the image's outcome, which then counts as failed.
    pub fn add_to(&self, outcomes: &mut Vec<ImageOutcome>) {
        let image = self.image.to_string();
        let at = outcomes.iter().position(|outcome| outcome.image == image).unwrap_or_else(|| {
            outcomes.push(ImageOutcome {
                reasons: self.reasons.iter().copied().collect(),
                pods: self.pods.iter().cloned().collect(),
                ..ImageOutcome::new(image, Outcome::LoadFailed)
            });
            outcomes.len() - 1
        });
        let outcome = &mut outcomes[at];
        if outcome.outcome == Outcome::Loaded {
            outcome.outcome = Outcome::LoadFailed;
        }
        for (node, why) in &self.nodes {
            outcome.error.get_or_insert_with(|| format!("node `{node}` cannot be entered: {why}"));
            outcome.nodes.push(NodeOutcome {
                node: node.clone(),
                outcome: Outcome::LoadFailed,
                bytes_sent: 0,
                sent_whole: false,
                error: Some(why.clone()),
            });
        }
        outcome.hint.get_or_insert_with(|| {
            let nodes: Vec<&str> = self.nodes.keys().map(String::as_str).collect();
            let nodes = nodes.join(" ");
            format!("`docker start {nodes}`, or `docker unpause {nodes}` if paused; then load again")
        });
    }
}

impl From<&Refusal> for ImageOutcome {
    fn from(refusal: &Refusal) -> Self {
        Self {
            reasons: refusal.reasons.iter().copied().collect(),
            pods: refusal.pods.iter().cloned().collect(),
            error: Some(refusal.error.clone()),
            hint: Some(refusal.hint.clone()),
            ..Self::new(refusal.image.to_string(), Outcome::Refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, outcome: Outcome) -> ImageOutcome {
        ImageOutcome::new(name.into(), outcome)
    }

    #[test]
    fn a_report_counts_what_was_missing() {
        let report = LoadReport::new(
            "c",
            vec![
                image("b", Outcome::Loaded),
                image("a", Outcome::Refused),
                image("d", Outcome::PullFailed),
                image("c", Outcome::Present),
            ],
        );
        let names: Vec<_> = report.images.iter().map(|image| image.image.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert_eq!((report.missing, report.loaded, report.failed), (3, 1, 2));
    }

    #[test]
    fn an_image_is_printed_with_its_provenance() {
        let [ours, theirs] = [b"ours", b"them"].map(|bytes| Digest::of(bytes));
        let provenance = Provenance {
            pulled_from: Some("m.example.com/a:1".into()),
            digest: Some(ours),
            origin: Some(OriginAnswer::Differs { digest: theirs }),
        };
        let printed = |image: ImageOutcome| serde_json::to_value(image).unwrap();
        let told = printed(ImageOutcome { provenance, ..image("a", Outcome::Loaded) });
        let expected = serde_json::json!({"image": "a", "reasons": [], "pods": [], "outcome": "loaded",
            "pulled_from": "m.example.com/a:1", "digest": ours,
            "origin": {"answer": "differs", "digest": theirs},
            "nodes": [], "seconds": 0.0, "error": null, "hint": null});
        assert_eq!(told, expected);
        let of_the_engine = printed(image("a", Outcome::Loaded));
        let null = serde_json::Value::Null;
        assert_eq!(["pulled_from", "digest", "origin"].map(|key| &of_the_engine[key]), [&null; 3]);
    }

    #[test]
    fn a_later_wave_replaces_what_failed_before_and_keeps_what_was_loaded() {
        let mut report =
            LoadReport::new("c", vec![image("a", Outcome::PullFailed), image("b", Outcome::Loaded)]);
        report.merge(LoadReport::new("c", vec![image("a", Outcome::Loaded), image("b", Outcome::Present)]));
        assert_eq!((report.missing, report.loaded, report.failed), (2, 2, 0));
    }

    #[test]
    fn a_later_wave_adds_its_times_unless_no_pod_waits_for_it() {
        let effort =
            |seconds, until, bytes_read| Effort { seconds, seconds_until_pods_can_start: until, bytes_read };
        assert_eq!(effort(8.0, 4.0, 100).and(effort(6.0, 2.0, 50)), effort(14.0, 10.0, 150));
        assert_eq!(effort(8.0, 4.0, 100).and(effort(1.0, 0.0, 0)), effort(9.0, 4.0, 100));
    }

    #[test]
    fn a_left_out_node_makes_a_loaded_image_fail() {
        let left_out = LeftOut {
            image: "busybox:1".parse().unwrap(),
            reasons: [].into(),
            pods: [].into(),
            nodes: [("w2".to_owned(), "its container is stopped or paused".to_owned())].into(),
        };
        let mut outcomes = vec![image("docker.io/library/busybox:1", Outcome::Loaded)];
        left_out.add_to(&mut outcomes);
        let [outcome] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert_eq!(
            (outcome.outcome, outcome.nodes[0].node.as_str(), outcome.error.as_deref()),
            (
                Outcome::LoadFailed,
                "w2",
                Some("node `w2` cannot be entered: its container is stopped or paused")
            )
        );
    }
}
