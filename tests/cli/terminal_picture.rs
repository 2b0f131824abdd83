//! `examples/terminal-picture.sh`: what stands on the screen at a command's end stands in the picture.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Pictures what `script` prints, and returns the run and the picture; nothing where there is no Python.
#[expect(clippy::disallowed_methods, reason = "the script under test is what this runs")]
#[expect(clippy::print_stderr, reason = "who reads the tests' output should know that one was left out")]
fn picture(arguments: &[&str], script: &str) -> Option<(Output, String)> {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        eprintln!("left out: python3 is not installed");
        return None;
    }
    let folder = TempDir::new().unwrap();
    // A short name, so that the prompt takes one line.
    std::fs::write(folder.path().join("run"), script).unwrap();
    let file = folder.path().join("picture.svg");
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/terminal-picture.sh"))
        .arg("--output")
        .arg(&file)
        .args(arguments)
        .args(["sh", "run"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let svg = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    Some((output, svg))
}

/// The value of an attribute of a tag.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    tag.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

/// Each text of the picture: how far down and to the right it stands in lines and columns, its tag, its words.
fn texts(svg: &str) -> Vec<(u32, f64, &str, String)> {
    let found = svg.split("<text ").skip(1).map(|rest| rest.split_once("</text>").unwrap().0);
    let found = found.map(|text| {
        let (tag, words) = text.split_once('>').unwrap();
        let place = |tag: &str| attribute(&format!(" {tag}"), "y").unwrap().parse::<u32>().unwrap();
        let x: f64 = attribute(&format!(" {tag}"), "x").unwrap().parse().unwrap();
        let words = words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        ((place(tag) - 64) / 20, ((x - 16.0) / 8.4).round(), tag, words)
    });
    found.collect()
}

/// The lines of the picture below the prompt.
fn lines(svg: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (row, _, _, words) in texts(svg).into_iter().filter(|(row, ..)| *row > 0) {
        lines.resize(lines.len().max(row as usize), String::new());
        lines[row as usize - 1].push_str(&words);
    }
    lines
}

#[test]
fn what_was_written_over_is_not_in_the_picture() {
    let script = r"printf 'first\rsecond\n'; printf 'bar 1\nbar 2\n\033[2A\033[2Kdone\n\033[2Kall\n'";
    let Some((_, svg)) = picture(&[], script) else { return };
    assert_eq!(lines(&svg), ["second", "done", "all"]);
}

#[test]
fn lines_that_a_spinner_took_away_leave_no_gap() {
    let script =
        r"printf '\r\033[2K- working'; printf '\r\033[2K'; printf 'done (3s)\n'; printf 'x\n\033[1A\033[J'";
    let Some((_, svg)) = picture(&[], script) else { return };
    assert_eq!(lines(&svg), ["done (3s)"]);
}

#[test]
fn colours_and_weights_are_in_the_picture() {
    let script = r"printf '\033[32mgreen\033[0m\033[1mbold\033[22m\033[2mdim\033[0m\033[38;2;1;2;3mexact'";
    let Some((_, svg)) = picture(&[], script) else { return };
    let texts = texts(&svg);
    let look = |words: &str| texts.iter().find(|text| text.3 == words).unwrap().2;
    assert!(look("green").contains("fill=\"#4ade80\""), "{svg}");
    assert!(look("bold").contains("font-weight=\"bold\"") && !look("bold").contains("fill="), "{svg}");
    assert!(look("dim").contains("opacity=") && !look("dim").contains("bold"), "{svg}");
    assert!(look("exact").contains("fill=\"#010203\""), "{svg}");
}

#[test]
fn what_stands_behind_wide_characters_stands_where_it_should() {
    let Some((_, svg)) = picture(&[], "printf '加载 3 images <&>\\n'") else { return };
    let texts: Vec<_> =
        texts(&svg).into_iter().filter(|text| text.0 == 1).map(|text| (text.1, text.3)).collect();
    let owned = |column, words: &str| (column, words.to_owned());
    assert_eq!(texts, [owned(0.0, "加"), owned(2.0, "载"), owned(4.0, " 3 images <&>")]);
}

#[test]
fn a_line_is_folded_at_the_last_column() {
    let Some((_, svg)) =
        picture(&["--columns", "10"], "printf '0123456789abc\\n'; stty size | cut -d' ' -f2")
    else {
        return;
    };
    let below: Vec<String> = texts(&svg).into_iter().map(|text| text.3).collect();
    assert_eq!(below[below.len() - 3..], ["0123456789", "abc", "10"]);
}

#[test]
fn the_picture_begins_with_the_command_and_ends_with_its_exit_code() {
    let Some((output, svg)) = picture(&[], "exit 5") else { return };
    assert_eq!(output.status.code(), Some(5));
    let words: Vec<String> = texts(&svg).into_iter().map(|text| text.3).collect();
    assert_eq!(words, ["$", "sh run"]);
}

#[test]
fn the_picture_needs_nothing_from_elsewhere() {
    let Some((_, svg)) = picture(&[], "echo hello") else { return };
    let without_its_name = svg.replacen("xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
    assert!(!without_its_name.contains("http") && !svg.contains("<script"), "{svg}");
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
}
