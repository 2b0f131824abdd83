//! Findings about kind, kubectl and helm.

use super::super::tools::kind_needed;
use super::*;

#[test]
fn a_missing_tool_exits_with_3_and_can_be_downloaded() {
    let mut facts = machine();
    facts.tools.remove(1);
    let finding = find(&facts, &needs(), "tool_helm");
    assert_eq!((finding.level, finding.exit), (Level::Fail, Some(3)));
    assert_eq!(finding.what, "`helm` was not found in PATH");
    assert_eq!(finding.commands, ["milvusctl doctor --fix"]);
}

#[test]
fn versions_are_parsed_in_every_format() {
    let rows = [
        ("v0.27.0", Some(Version::new(0, 27, 0))),
        ("kind v0.33.0-alpha+14e85a5d go1.24 linux/amd64", Some(Version::new(0, 33, 0))),
        ("v3.17.3+ge4da497", Some(Version::new(3, 17, 3))),
        ("1.32", Some(Version::new(1, 32, 0))),
        ("20.10.24+dfsg1", Some(Version::new(20, 10, 24))),
        ("dev", None),
        ("", None),
        ("7", None),
    ];
    for (text, expected) in rows {
        assert_eq!(version_in(text), expected, "{text}");
    }
}

#[test]
fn a_node_image_needs_a_recent_kind() {
    let needed = |minor| kind_needed(Some(&Version::new(1, minor, 0))).map(|(kind, _)| kind.minor);
    let rows = [(20, None), (32, None), (33, Some(27)), (35, Some(27)), (36, Some(32)), (37, Some(32))];
    for (kubernetes, kind) in rows {
        assert_eq!(needed(kubernetes), kind, "1.{kubernetes}");
    }
    assert_eq!(kind_needed(None), None);
}

#[test]
fn a_kind_too_old_for_the_node_image_is_reported_with_the_one_to_use() {
    let mut facts = machine();
    facts.tools[0] = tool("kind", "v0.27.0");
    let needs = Needs { kubernetes: Some(Version::new(1, 36, 1)), ..needs() };
    let finding = find(&facts, &needs, "tool_kind");
    assert_eq!(
        finding.what,
        "kind 0.27.0 is too old for the node image: 0.32.0 or newer is needed (`/usr/bin/kind`)"
    );
    assert_eq!((finding.level, finding.exit), (Level::Fail, Some(3)));
}

#[test]
fn tools_have_version_bounds() {
    let rows = [
        ("tool_helm", tool("helm", "v3.11.9"), (Level::Fail, Some(3))),
        ("tool_helm", tool("helm", "v3.12.0"), (Level::Ok, None)),
        ("tool_helm", tool("helm", "v4.1.1"), (Level::Ok, None)),
        ("tool_helm", tool("helm", "unknown"), (Level::Warn, None)),
        ("tool_kind", tool("kind", "v0.26.0"), (Level::Warn, None)),
        // kind 0.33 defaults to Kubernetes 1.37.
        ("tool_kubectl", tool("kubectl", "v1.36.4"), (Level::Ok, None)),
        ("tool_kubectl", tool("kubectl", "v1.35.0"), (Level::Warn, None)),
    ];
    for (id, tool, expected) in rows {
        let mut facts = machine();
        let what = format!("{tool:?}");
        facts.tools.retain(|other| other.name != tool.name);
        facts.tools.push(tool);
        assert_eq!(level(&facts, &needs(), id), expected, "{what}");
    }
}
