//! Splits a program's output into lines of bounded length.

use std::io::Read;

/// The longest line to keep; the rest of a longer one is dropped.
const LONGEST: usize = 16 * 1024;

/// Splits bytes that arrive in pieces into lines, at line feeds and carriage returns. Skips empty lines.
#[derive(Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
    /// The start of the line has been passed on; skip the rest.
    is_cut: bool,
}

impl Lines {
    /// Passes each complete line to `on_line`, which returns whether to go on.
    pub(super) fn take(&mut self, bytes: &[u8], on_line: &mut impl FnMut(String) -> bool) -> bool {
        let mut pieces = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).peekable();
        while let Some(piece) = pieces.next() {
            if !self.is_cut {
                let room = LONGEST - self.rest.len();
                self.rest.extend(&piece[..piece.len().min(room)]);
                if piece.len() > room {
                    self.is_cut = true;
                    if !on_line(format!("{}…", text(&self.rest))) {
                        return false;
                    }
                }
            }
            if pieces.peek().is_some() && !self.end(on_line) {
                return false;
            }
        }
        true
    }

    /// Passes on what follows the last line break.
    pub(super) fn end(&mut self, on_line: &mut impl FnMut(String) -> bool) -> bool {
        let is_whole = !std::mem::take(&mut self.is_cut);
        let line = std::mem::take(&mut self.rest);
        !is_whole || line.is_empty() || on_line(text(&line))
    }
}

/// Passes each line of `output` to `on_line` until the output ends or `on_line` returns false.
pub fn each_line(mut output: impl Read, mut on_line: impl FnMut(String) -> bool) {
    let mut chunk = vec![0; 64 * 1024];
    let mut lines = Lines::default();
    // A pseudo-terminal returns an error (EIO) once its other side is closed.
    while let Ok(n @ 1..) = output.read(&mut chunk) {
        if !lines.take(&chunk[..n], &mut on_line) {
            return;
        }
    }
    lines.end(&mut on_line);
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    console::strip_ansi_codes(&text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(output: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        each_line(output, |line| {
            lines.push(line);
            true
        });
        lines
    }

    #[test]
    fn lines_end_at_line_feeds_and_carriage_returns() {
        assert_eq!(lines(b"one\rtwo\r\n\nthree"), ["one", "two", "three"]);
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let mut output = vec![b'x'; LONGEST * 20];
        output.extend(b"\nnext\n");
        assert_eq!(lines(&output), [format!("{}…", "x".repeat(LONGEST)), "next".to_owned()]);
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        let (mut seen, mut lines) = (Vec::new(), Lines::default());
        for piece in ["o", "ne\nt", "wo"] {
            lines.take(piece.as_bytes(), &mut |line| {
                seen.push(line);
                true
            });
        }
        lines.end(&mut |line| {
            seen.push(line);
            true
        });
        assert_eq!(seen, ["one", "two"]);
    }
}
