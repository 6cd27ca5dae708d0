//! Words and comments for a POSIX shell.

/// The text as one word of a shell command.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=:,./@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The longest line of a script.
const COLUMNS: usize = 110;

/// A command, broken into lines between its words.
pub(super) struct Command {
    text: String,
    /// The length of the last line.
    column: usize,
}

impl Command {
    pub(super) fn new(words: &str) -> Command {
        let (text, column) = (words.to_owned(), words.len());
        Command { text, column }
    }

    /// The same with more words, which are quoted already.
    pub(super) fn words(mut self, words: impl IntoIterator<Item = String>) -> Command {
        for word in words {
            // A backslash at the end of the line is two columns more.
            let fits = self.column + 1 + word.len() + 2 <= COLUMNS;
            self.text += if fits { " " } else { " \\\n    " };
            self.column = if fits { self.column + 1 } else { 4 } + word.len();
            self.text += &word;
        }
        self
    }

    pub(super) fn text(self) -> String {
        self.text + "\n"
    }
}

/// The first lines of what has comments: who wrote it, and what its reader must be told.
pub(super) fn opening(warnings: &[String]) -> String {
    let mut lines = comment(&super::heading());
    for warning in warnings {
        lines += "#\n";
        lines += &comment(warning);
    }
    lines
}

/// The text as comment lines. Every line of it stays a comment.
pub(super) fn comment(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let last = lines.len() - 1;
        if lines[last].len() > 1 && lines[last].len() + 1 + word.len() > COLUMNS {
            lines.push("#".to_owned());
        }
        if let (false, Some(line)) = (word.is_empty(), lines.last_mut()) {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_shell_reads_back_what_was_quoted(text in "[^\0]{0,24}") {
            let script = format!("printf %s {}", quoted(&text));
            let output = Command::new("sh").args(["-c", &script]).output().expect("sh runs");
            prop_assert_eq!(String::from_utf8_lossy(&output.stdout), text);
        }

        #[test]
        fn a_comment_runs_nothing(text in "\\PC{0,40}[\n\r\u{85}\u{2028}][a-z;$()`]{0,40}") {
            let comment = comment(&text);
            prop_assert!(comment.lines().all(|l| l.starts_with('#')), "{comment}");
        }
    }
}
