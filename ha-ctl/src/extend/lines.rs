//! What a script of ours printed: lines, each a word and what was found.

/// The lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines(Vec<(String, String)>);

impl Lines {
    pub(super) fn parse(printed: &str) -> Lines {
        let lines = printed.lines().map(|line| {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            (word.to_owned(), value.trim_end().to_owned())
        });
        Lines(lines.collect())
    }

    /// All values of a word.
    pub(super) fn all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.0.iter().filter(move |(known, _)| known == word);
        lines.map(|(_, value)| value.as_str())
    }

    /// The first value of a word that has one.
    pub(super) fn one(&self, word: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == word);
        values
            .find(|(_, value)| !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, word: &str, value: &str) -> bool {
        self.all(word).any(|found| found == value)
    }
}
