//! What is in a root directory, file by file, so that two can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::run;
use crate::world::Error;

/// Kind, mode, owner, link target and content of everything, by path below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest(BTreeMap<String, String>);

/// One line for each entry, and one more with the content's sum for each file.
const LIST: &str = r#"
cd "$1"
find . -xdev -mindepth 1 -printf '%P\t%y %m %U:%G %l\n'
find . -xdev -type f -print0 | xargs -0 --no-run-if-empty md5sum | sed 's|^\\\{0,1\}\([0-9a-f]*\)  \./\(.*\)$|\2\tmd5 \1|'
"#;

impl Manifest {
    /// Reads a root directory.
    ///
    /// # Errors
    /// Something in it cannot be read.
    pub fn of(root: &Path) -> Result<Self, Error> {
        let lines = run::run(
            "sh",
            &[
                "-euc".as_ref(),
                LIST.as_ref(),
                "list".as_ref(),
                root.as_os_str(),
            ],
        )?;
        Ok(Self::parse(&lines))
    }

    fn parse(lines: &str) -> Self {
        let mut entries: BTreeMap<String, String> = BTreeMap::new();
        for (path, what) in lines.lines().filter_map(|line| line.split_once('\t')) {
            let entry = entries.entry(path.to_owned()).or_default();
            if !entry.is_empty() {
                entry.push(' ');
            }
            entry.push_str(what);
        }
        Self(entries)
    }

    /// The paths that are in one only, or not the same in both.
    pub fn differences(&self, other: &Self) -> BTreeSet<String> {
        let paths: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        paths
            .into_iter()
            .filter(|path| self.0.get(*path) != other.0.get(*path))
            .cloned()
            .collect()
    }
}
