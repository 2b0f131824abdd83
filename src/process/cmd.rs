//! A command line as a value: built, compared, printed and logged before anything runs.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::text::{forms, quote_on_one_line};

/// Whether a command changes anything outside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Only reads; also runs in a dry run.
    Read,
    /// Changes something; a dry run prints it instead.
    Write,
}

/// A command's standard input.
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing: standard input is closed.
    None,
    Text(String),
    /// Text that no log, error or dry run may show.
    Secret(String),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Secret(_) => f.write_str("Secret(***)"),
        }
    }
}

/// Words that a command was given and that its output must not reveal, in every form it may print them in.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Hidden(Vec<String>);

impl Hidden {
    /// Replaces each word in the line with `***`.
    pub(super) fn masked(&self, line: String) -> String {
        self.0.iter().fold(line, |line, word| line.replace(word, "***"))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Hidden({})", self.0.len())
    }
}

/// Work a program does without printing anything.
#[derive(Debug, Clone)]
pub(super) struct CmdWork {
    working: Arc<AtomicBool>,
    silence: Duration,
}

impl PartialEq for CmdWork {
    fn eq(&self, other: &Self) -> bool {
        self.silence == other.silence
    }
}

impl Eq for CmdWork {}

/// How many bytes of standard output a command may write unless more is expected of it: a chart's definitions, the longest
/// answer that does not grow with a cluster, take 2 MiB.
const OUTPUT: usize = 16 << 20;

/// A program with its arguments and input.
///
/// Its `Display` is the line a user could type, quoted for a POSIX shell; it never shows the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmd {
    pub(super) program: String,
    pub(super) args: Vec<String>,
    pub(super) input: Input,
    pub(super) effect: Effect,
    pub(super) limit: Duration,
    pub(super) output_limit: usize,
    pub(super) silence: Option<Duration>,
    pub(super) work: Option<CmdWork>,
    pub(super) terminal: bool,
    pub(super) hidden: Hidden,
}

impl Cmd {
    /// A command that only reads. It is stopped after running for `limit`.
    ///
    /// For one started alongside us the limit counts from the end of its input; until then, whoever feeds it
    /// watches it.
    pub fn read(program: impl Into<String>, limit: Duration) -> Self {
        Self::new(program.into(), Effect::Read, limit)
    }

    /// A command that changes something; its limit is as with [`Cmd::read`].
    pub fn write(program: impl Into<String>, limit: Duration) -> Self {
        Self::new(program.into(), Effect::Write, limit)
    }

    fn new(program: String, effect: Effect, limit: Duration) -> Self {
        Self {
            program,
            args: Vec::new(),
            input: Input::None,
            effect,
            limit,
            output_limit: OUTPUT,
            silence: None,
            work: None,
            terminal: false,
            hidden: Hidden::default(),
        }
    }

    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets the standard input.
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Input::Text(text.into());
        self
    }

    /// Sets a secret as the standard input. If the command's output repeats one of its `words`, `***`
    /// replaces it.
    pub fn secret_input<S: Into<String>>(
        mut self,
        text: impl Into<String>,
        words: impl IntoIterator<Item = S>,
    ) -> Self {
        self.input = Input::Secret(text.into());
        self.hidden = Hidden(words.into_iter().flat_map(|word| forms(&word.into())).collect());
        self
    }

    /// Replaces the limit.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Replaces how many bytes of standard output are kept; a command that writes more is stopped.
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Stops the command once neither it nor any other command with such a limit has written anything for
    /// `silence`. Commands of one daemon may wait for each other, so output from one counts for all.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = Some(silence);
        self
    }

    /// Allows `silence` while `working` is set, for programs that print nothing during part of their work.
    /// Whoever reads the output sets the flag.
    pub fn silence_while(mut self, working: &Arc<AtomicBool>, silence: Duration) -> Self {
        self.work = Some(CmdWork { working: Arc::clone(working), silence });
        self
    }

    /// How long it may be silent at the moment.
    pub(super) fn silence_now(&self, usual: Duration) -> Duration {
        let working = self.work.as_ref().filter(|work| work.working.load(Ordering::Relaxed));
        working.map_or(usual, |work| work.silence.max(usual))
    }

    /// Gives the command a pseudo-terminal as its standard output, for programs that report bytes only to a
    /// terminal (`docker pull`). The captured lines hold what a terminal would have shown.
    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// The text for the standard input; `***` if it is a secret.
    pub fn shown_input(&self) -> Option<&str> {
        match &self.input {
            Input::None => None,
            Input::Text(text) => Some(text),
            Input::Secret(_) => Some("***"),
        }
    }

    /// The command on one line, for logs and errors. Line breaks and other control characters, which may come
    /// from outside, are escaped.
    pub fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args);
        let quoted = words.map(|word| quote_on_one_line(word).unwrap_or_else(|| quote(word)));
        quoted.collect::<Vec<_>>().join(" ")
    }

    /// The command as lines of a shell script, with its input as a here-document.
    ///
    /// A secret input becomes the placeholder `***`, so such a script must be completed by hand.
    pub fn to_script(&self) -> String {
        let Some(input) = self.shown_input() else { return self.to_string() };
        let mut mark = String::from("EOF");
        while input.lines().any(|line| line == mark) {
            mark.push('_');
        }
        let newline = if input.ends_with('\n') { "" } else { "\n" };
        format!("{self} <<'{mark}'\n{input}{newline}{mark}")
    }
}

impl Display for Cmd {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&quote(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quote(arg))?;
        }
        Ok(())
    }
}

/// Quotes a word for a POSIX shell if it needs quoting.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIEF: Duration = Duration::from_secs(1);

    #[test]
    fn a_command_prints_as_a_shell_would_read_it() {
        let cmd = Cmd::write("kind", BRIEF).args(["create", "cluster", "--name", "a b", "it's", ""]);
        assert_eq!(cmd.to_string(), r"kind create cluster --name 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_command_is_logged_on_one_line_whatever_its_arguments() {
        let cmd = Cmd::write("docker", BRIEF).args(["rm", "a b", "x\nerror: \x1b[2J"]);
        assert_eq!(cmd.line(), r"docker rm 'a b' $'x\nerror: \x1b[2J'");
    }

    #[test]
    fn input_becomes_a_here_document_that_its_own_lines_cannot_end() {
        let cmd = Cmd::write("kubectl", BRIEF).args(["apply", "-f", "-"]).input("EOF\na: 1");
        assert_eq!(cmd.to_script(), "kubectl apply -f - <<'EOF_'\nEOF\na: 1\nEOF_");
    }

    #[test]
    fn a_secret_input_is_shown_nowhere() {
        let cmd = Cmd::write("kubectl", BRIEF)
            .args(["apply", "-f", "-"])
            .secret_input("accesskey: hunter2", ["hunter2"]);
        let shown = format!("{cmd} {cmd:?} {}", cmd.to_script());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("***"), "{shown}");
    }
}
