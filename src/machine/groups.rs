//! Groups findings under titles, and sums them up in a line.

use super::{Finding, Level};
use crate::ui::count;

/// Groups findings under titles, keeping their order.
pub(crate) fn grouped(found: &[Finding]) -> Vec<(&'static str, Vec<&Finding>)> {
    let titles = ["Tools", "Engine", "Machine", "Ports", "Network", "Kubeconfig"];
    let of = |title: &str| found.iter().filter(|finding| title_of(finding.id) == title).collect();
    titles.into_iter().map(|title| (title, of(title))).collect()
}

fn title_of(id: &str) -> &'static str {
    match id {
        "port" => "Ports",
        "network" | "proxy" | "registry" => "Network",
        "kubeconfig" => "Kubeconfig",
        id if id.starts_with("tool_") => "Tools",
        id if id.starts_with("engine") => "Engine",
        _ => "Machine",
    }
}

/// A line that counts the problems and says what to do next; `fixed` tells whether `--fix` has run.
pub(crate) fn summary(found: &[Finding], fixed: bool) -> String {
    let number = |level: Level| found.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings) = (number(Level::Fail), number(Level::Warn));
    let said = match (problems, warnings) {
        (0, 0) => return "Ready; run `milvusctl up`".to_owned(),
        (0, _) => format!("{}; you can run `milvusctl up`", count(warnings, "warning")),
        (_, 0) => count(problems, "problem"),
        (_, _) => format!("{} and {}", count(problems, "problem"), count(warnings, "warning")),
    };
    let has_commands = found.iter().any(|finding| finding.level > Level::Ok && !finding.commands.is_empty());
    if fixed && has_commands {
        return format!("{said}; run the commands after `$` yourself");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &'static str, level: Level, commands: &[&str]) -> Finding {
        let commands = commands.iter().map(|command| (*command).to_owned()).collect();
        let exit = (level == Level::Fail).then_some(1);
        let (subject, why, fix) = (None, None, Vec::new());
        Finding { id, subject, level, what: id.to_owned(), why, fix, commands, exit }
    }

    #[test]
    fn findings_are_grouped_in_order() {
        let ids = ["tool_kind", "engine_snap", "memory", "cgroup", "port", "registry", "proxy", "kubeconfig"];
        let found: Vec<Finding> = ids.into_iter().map(|id| finding(id, Level::Ok, &[])).collect();
        let groups = grouped(&found);
        let shown: Vec<(&str, Vec<&str>)> = groups
            .iter()
            .map(|(title, found)| (*title, found.iter().map(|finding| finding.id).collect()))
            .collect();
        assert_eq!(
            shown,
            [
                ("Tools", vec!["tool_kind"]),
                ("Engine", vec!["engine_snap"]),
                ("Machine", vec!["memory", "cgroup"]),
                ("Ports", vec!["port"]),
                ("Network", vec!["registry", "proxy"]),
                ("Kubeconfig", vec!["kubeconfig"]),
            ]
        );
    }

    #[test]
    fn the_summary_counts_and_says_what_is_next() {
        let well = finding("memory", Level::Ok, &["x"]);
        let doubt = finding("cpus", Level::Warn, &[]);
        let bad = finding("inotify", Level::Fail, &["sudo sysctl"]);
        let rows = [
            (vec![well.clone()], "Ready; run `milvusctl up`"),
            (vec![well, doubt.clone()], "1 warning; you can run `milvusctl up`"),
            (vec![bad.clone()], "1 problem"),
            (vec![doubt, bad.clone()], "1 problem and 1 warning"),
        ];
        for (found, text) in rows {
            assert_eq!(summary(&found, false), text);
        }
        assert_eq!(summary(&[bad], true), "1 problem; run the commands after `$` yourself");
    }
}
