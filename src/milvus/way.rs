//! The releases between a running Milvus and the wanted one, as Milvus's guides prescribe them. Pure.
//!
//! Milvus 2.6 only reads what 2.5.16 or newer wrote, and with its coordinators merged (milvus.io, 2.6,
//! `upgrade_milvus_cluster-operator.md`); 2.5 can be reached from 2.2 by changing the image (the same guide of 2.5).

use std::fmt;

use semver::Version;
use serde_json::Value;

use crate::images::catalog::release_order;

/// The oldest release that upgrades to 2.6.
const BEFORE_2_6: Version = Version::new(2, 5, 16);
/// The oldest release whose metadata newer ones read.
const METADATA: Version = Version::new(2, 2, 0);
/// The oldest operator that upgrades Milvus to 2.6.
const OPERATOR_OF_2_6: Version = Version::new(1, 3, 0);
/// The coordinators that 2.6 no longer has, by their fields in the resource.
const COORDINATORS: [&str; 4] = ["rootCoord", "dataCoord", "queryCoord", "indexCoord"];

/// What a way starts from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) version: &'a Version,
    /// Whether its coordinators run as separate pods.
    pub(super) has_coordinators: bool,
    /// Whether all of it runs this release.
    pub(super) is_settled: bool,
}

/// A release on the way, which must run before the next one is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) version: Version,
    /// Whether this hop replaces the coordinators by a single one.
    pub(super) merges_coordinators: bool,
}

/// Why there is no supported upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoWay {
    Candidate,
    Metadata,
    Operator,
    Coordinators,
}

impl fmt::Display for NoWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Candidate => f.write_str("Milvus supports no upgrade from a release candidate"),
            Self::Metadata => write!(
                f,
                "the metadata of releases before {METADATA} must be migrated first, see milvus-operator's \
                 `MilvusUpgrade`"
            ),
            Self::Operator => {
                write!(f, "the upgrade to 2.6 needs milvus-operator {OPERATOR_OF_2_6} or newer")
            }
            Self::Coordinators => {
                write!(
                    f,
                    "2.6 has one `mixCoord` in place of {}: name that in `milvus.spec`",
                    COORDINATORS.join(", ")
                )
            }
        }
    }
}

/// The releases between `start` and `to`, in order, both excluded; `start` itself comes first if it must be completed.
///
/// # Errors
/// Fails if the guides know no upgrade.
pub(super) fn hops(start: Start<'_>, to: &Version, operator: &Version) -> Result<Vec<Hop>, NoWay> {
    let Start { version: from, has_coordinators, is_settled } = start;
    let is_upgrade = release_order(from) < release_order(to);
    if !is_upgrade {
        return Ok(Vec::new());
    }
    if !is_release(from) && from.pre.starts_with("rc") {
        return Err(NoWay::Candidate);
    }
    if *from < METADATA {
        return Err(NoWay::Metadata);
    }
    if !crosses(from, to) {
        return Ok(Vec::new());
    }
    if *operator < OPERATOR_OF_2_6 {
        return Err(NoWay::Operator);
    }
    let is_old = release_order(from) < release_order(&BEFORE_2_6);
    let version = if is_old { BEFORE_2_6 } else { from.clone() };
    let is_needed = is_old || has_coordinators || !is_settled;
    Ok(is_needed.then_some(Hop { version, merges_coordinators: has_coordinators }).into_iter().collect())
}

/// Whether the coordinators are merged between `from` and `to`.
pub(super) fn crosses(from: &Version, to: &Version) -> bool {
    !is_2_6(from) && is_2_6(to)
}

/// Whether the upgrade from `from` to `to` skips a release that it needs.
pub(super) fn leaps(from: &Version, to: &Version) -> bool {
    release_order(from) < release_order(&BEFORE_2_6) && is_2_6(to)
}

/// A warning about an upgrade that [`leaps`].
pub(super) fn leap_warning(from: &Version, to: &Version) -> String {
    format!(
        "Milvus {to} supports upgrades from {BEFORE_2_6} or newer: the upgrade from {from} may fail; an image of \
         {BEFORE_2_6} first is the documented way"
    )
}

/// Whether a version is a release or its hotfix, unlike a candidate or another build of it.
pub(super) fn is_release(version: &Version) -> bool {
    version.build.is_empty() && (version.pre.is_empty() || version.pre.starts_with("hotfix"))
}

fn is_2_6(version: &Version) -> bool {
    (version.major, version.minor) >= (2, 6)
}

/// Whether a resource in cluster mode has separate coordinators.
pub(super) fn has_coordinators(resource: &Value) -> bool {
    let components = &resource["spec"]["components"];
    resource["spec"]["mode"] == "cluster"
        && components["mixCoord"].is_null()
        && COORDINATORS.iter().any(|name| !components[*name].is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way_of(start: &str, to: &str, has_coordinators: bool, is_settled: bool) -> Result<Vec<String>, NoWay> {
        let version = start.parse().unwrap();
        let start = Start { version: &version, has_coordinators, is_settled };
        let hops = hops(start, &to.parse().unwrap(), &Version::new(1, 3, 8))?;
        let shown =
            |hop: Hop| format!("{}{}", hop.version, if hop.merges_coordinators { "+mixCoord" } else { "" });
        Ok(hops.into_iter().map(shown).collect())
    }

    #[test]
    fn the_way_to_2_6_leads_through_2_5_16() {
        for (from, to, expected) in [
            ("2.4.17", "2.6.11", &["2.5.16"][..]),
            ("2.4.13-hotfix", "2.6.11", &["2.5.16"]),
            ("2.2.0", "2.6.0", &["2.5.16"]),
            ("2.3.4", "2.6.11", &["2.5.16"]),
            ("2.5.15", "2.6.11", &["2.5.16"]),
            ("2.5.15", "2.6.0-rc1", &["2.5.16"]),
            ("2.5.16", "2.6.11", &[]),
            ("2.5.16-hotfix", "2.6.11", &[]),
            ("2.5.27", "2.6.11", &[]),
            ("2.4.17", "2.5.16", &[]),
            ("2.4.17", "2.5.27", &[]),
            ("2.2.0", "2.4.17", &[]),
            ("2.6.0", "2.6.11", &[]),
            ("2.6.11", "2.6.11", &[]),
            ("2.6.11", "2.4.17", &[]),
        ] {
            assert_eq!(way_of(from, to, false, true).unwrap(), expected, "{from} to {to}");
        }
    }

    #[test]
    fn coordinators_are_merged_before_2_6() {
        assert_eq!(way_of("2.4.17", "2.6.11", true, true).unwrap(), ["2.5.16+mixCoord"]);
        assert_eq!(way_of("2.5.20", "2.6.11", true, true).unwrap(), ["2.5.20+mixCoord"]);
        assert_eq!(way_of("2.4.17", "2.5.16", true, true).unwrap(), [""; 0]);
    }

    #[test]
    fn a_release_on_the_way_is_completed_first() {
        assert_eq!(way_of("2.5.16", "2.6.11", false, false).unwrap(), ["2.5.16"]);
        assert_eq!(way_of("2.4.17", "2.6.11", false, false).unwrap(), ["2.5.16"]);
        assert_eq!(way_of("2.6.0", "2.6.11", false, false).unwrap(), [""; 0]);
        assert_eq!(way_of("2.5.16", "2.5.27", false, false).unwrap(), [""; 0]);
    }

    #[test]
    fn an_upgrade_that_the_guides_do_not_know_is_refused() {
        assert_eq!(way_of("2.6.0-rc1", "2.6.11", false, true), Err(NoWay::Candidate));
        assert_eq!(way_of("2.1.4", "2.6.11", false, true), Err(NoWay::Metadata));
        assert_eq!(way_of("2.1.4", "2.5.16", false, true), Err(NoWay::Metadata));
        let version = Version::new(2, 4, 17);
        let start = Start { version: &version, has_coordinators: false, is_settled: true };
        let with = |operator| hops(start, &Version::new(2, 6, 0), &operator);
        assert_eq!(with(Version::new(1, 2, 8)), Err(NoWay::Operator));
        assert!(with(Version::new(1, 3, 0)).is_ok());
    }

    #[test]
    fn only_separate_coordinators_count() {
        let of = |mode: &str, components: Value| {
            has_coordinators(&serde_json::json!({"spec": {"mode": mode, "components": components}}))
        };
        assert!(of("cluster", serde_json::json!({"rootCoord": {"replicas": 1}})));
        assert!(!of("cluster", serde_json::json!({"mixCoord": {"replicas": 1}, "rootCoord": {}})));
        assert!(!of("cluster", serde_json::json!({"proxy": {}})));
        assert!(!of("standalone", serde_json::json!({"rootCoord": {}})));
    }
}
