//! Formats findings as a list with marks, reasons and fixes.

use console::{Style, measure_text_width};

use crate::machine::{Finding, Level};
use crate::ui::Look;

/// Lines are not folded below this width, where each would hold a single word.
const LEAST_WIDTH: usize = 24;

/// Lists findings under their groups' titles, folded to `width` columns if given.
///
/// A good finding takes one line; others add the reason, fixes and commands. Commands are never folded, so
/// that they can be pasted.
pub(crate) fn checklist(groups: &[(&str, Vec<&Finding>)], look: Look, width: Option<usize>) -> String {
    let mut text = String::new();
    for (title, findings) in groups.iter().filter(|(_, findings)| !findings.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&Style::new().bold().apply_to(title).to_string());
        text.push('\n');
        let mut said = None;
        for (number, finding) in findings.iter().enumerate() {
            headline(&mut text, finding, look, width);
            let next = findings.get(number + 1);
            // Shared advice goes below the last of its findings.
            if finding.level > Level::Ok && next.is_none_or(|next| !is_same_advice(finding, next)) {
                advice(&mut text, finding, said, look, width);
                said = finding.why.as_deref();
            }
        }
    }
    text
}

fn is_same_advice(one: &Finding, other: &Finding) -> bool {
    let advice = |finding: &Finding| (finding.level, finding.why.clone(), finding.fix.clone());
    advice(one) == advice(other) && one.commands == other.commands
}

fn headline(text: &mut String, finding: &Finding, look: Look, width: Option<usize>) {
    let (mark, style) = match finding.level {
        Level::Ok => (look.tick(), Style::new().green()),
        Level::Warn => ("!", Style::new().yellow()),
        Level::Fail => (look.cross(), Style::new().red()),
    };
    let indent = indent(look);
    let padding = " ".repeat(indent - 3 - measure_text_width(mark));
    push(text, &format!("  {}{padding} ", style.apply_to(mark)), indent, &finding.what, width);
}

/// Adds why a finding matters, unless just `said`, and what to do about it.
fn advice(text: &mut String, finding: &Finding, said: Option<&str>, look: Look, width: Option<usize>) {
    let indent = indent(look);
    let margin = " ".repeat(indent);
    let label = |label: &str| format!("{margin}{} ", Style::new().dim().apply_to(label));
    if let Some(why) = finding.why.as_deref().filter(|why| said != Some(*why)) {
        push(text, &label("why:"), indent + 5, why, width);
    }
    for fix in &finding.fix {
        push(text, &label("fix:"), indent + 5, fix, width);
    }
    for command in &finding.commands {
        push(text, &label("  $"), indent + 4, command, None);
    }
}

/// Returns the column of the text, after the widest mark.
fn indent(look: Look) -> usize {
    let marks = [look.tick(), look.cross(), "!"];
    3 + marks.into_iter().map(measure_text_width).max().unwrap_or(1)
}

/// Adds a paragraph that begins with `first`, with its other lines indented by `indent`.
fn push(text: &mut String, first: &str, indent: usize, paragraph: &str, width: Option<usize>) {
    let room = width.map(|width| width.saturating_sub(indent)).filter(|room| *room >= LEAST_WIDTH);
    let margin = " ".repeat(indent);
    let lines = paragraph.lines().flat_map(|line| fold(line.trim(), room));
    for (number, line) in lines.enumerate() {
        text.push_str(if number == 0 { first } else { &margin });
        text.push_str(&line);
        text.push('\n');
    }
}

/// Folds a line between words to `room` columns.
fn fold(line: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else { return vec![line.to_owned()] };
    let mut lines: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        match lines.last_mut() {
            Some(last) if measure_text_width(last) + 1 + measure_text_width(word) <= room => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look { live: false, colour: false, unicode: true };

    fn finding(level: Level, what: &str) -> Finding {
        Finding {
            id: "memory",
            subject: None,
            level,
            what: what.to_owned(),
            why: Some("Milvus asks for 8 GB".to_owned()),
            fix: vec!["use a larger machine, or one node alone".to_owned()],
            commands: vec!["milvusctl up --small --timeout 30m --name small".to_owned()],
            exit: None,
        }
    }

    #[test]
    fn a_good_finding_takes_one_line() {
        let good = finding(Level::Ok, "64 GB of memory");
        assert_eq!(checklist(&[("Machine", vec![&good])], PLAIN, None), "Machine\n  ✓ 64 GB of memory\n");
    }

    #[test]
    fn other_findings_say_why_and_what_to_do() {
        let bad = finding(Level::Fail, "4 GB of memory");
        let rest = concat!(
            "    why: Milvus asks for 8 GB\n",
            "    fix: use a larger machine, or one node alone\n",
            "      $ milvusctl up --small --timeout 30m --name small\n",
        );
        assert_eq!(
            checklist(&[("Machine", vec![&bad])], PLAIN, None),
            format!("Machine\n  ✗ 4 GB of memory\n{rest}")
        );
    }

    #[test]
    fn shared_advice_is_given_once() {
        let (one, two) = (finding(Level::Warn, "one"), finding(Level::Warn, "two"));
        let three =
            Finding { fix: vec!["wait".to_owned()], commands: Vec::new(), ..finding(Level::Warn, "three") };
        assert_eq!(
            checklist(&[("Machine", vec![&one, &two, &three])], PLAIN, None),
            concat!(
                "Machine\n  ! one\n  ! two\n",
                "    why: Milvus asks for 8 GB\n",
                "    fix: use a larger machine, or one node alone\n",
                "      $ milvusctl up --small --timeout 30m --name small\n",
                "  ! three\n",
                "    fix: wait\n",
            )
        );
    }

    #[test]
    fn lines_fold_but_commands_do_not() {
        let bad = finding(Level::Fail, "4 GB of memory for standalone mode");
        assert_eq!(
            checklist(&[("Machine", vec![&bad])], PLAIN, Some(36)),
            "Machine\n  ✗ 4 GB of memory for standalone\n    mode\n    why: Milvus asks for 8 GB\n    \
             fix: use a larger machine, or\n         one node alone\n      $ \
             milvusctl up --small --timeout 30m --name small\n"
        );
    }

    #[test]
    fn without_unicode_marks_are_words_of_equal_width() {
        let good = finding(Level::Ok, "64 GB");
        let bad =
            Finding { why: None, fix: Vec::new(), commands: Vec::new(), ..finding(Level::Fail, "4 GB") };
        let look = Look { unicode: false, ..PLAIN };
        assert_eq!(
            checklist(&[("Machine", vec![&good, &bad])], look, None),
            "Machine\n  ok     64 GB\n  failed 4 GB\n"
        );
    }

    #[test]
    fn an_empty_group_has_no_title() {
        assert_eq!(checklist(&[("Ports", Vec::new())], PLAIN, None), "");
    }
}
