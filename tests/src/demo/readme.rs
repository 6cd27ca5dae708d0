//! The commands of the README's installation by hand, read from the README itself: what a test types is what a person
//! reads there.

use crate::world::Error;

const README: &str = include_str!("../../../README.md");
/// The section with the steps.
const SECTION: &str = "## Install on three EC2 instances\n";

/// The blocks of commands of a step, in their order.
///
/// # Errors
/// The README has no such step, or it has no commands.
pub fn step(number: u8) -> Result<Vec<&'static str>, Error> {
    let blocks = blocks(README, number);
    match blocks.is_empty() {
        true => Err(format!("README.md has no commands in step {number} of `{SECTION}`").into()),
        false => Ok(blocks),
    }
}

fn blocks(readme: &str, number: u8) -> Vec<&str> {
    let section = readme.split_once(SECTION).map_or("", |(_, rest)| rest);
    let section = section.split("\n## ").next().unwrap_or_default();
    let begin = format!("\n**{number}. ");
    let step = section.split_once(&begin).map_or("", |(_, rest)| rest);
    // A step ends where the next one begins.
    let next = format!("\n**{}. ", number + 1);
    let step = step.split(&next).next().unwrap_or_default();
    let parts = step.split("\n```\n").skip(1).step_by(2);
    parts.collect()
}

/// The commands with what a person would put in another place of them.
///
/// # Errors
/// The README does not have a word that is to be replaced.
pub fn with(block: &str, replaced: &[(&str, &str)]) -> Result<String, Error> {
    let mut script = block.to_owned();
    for (word, by) in replaced {
        if !script.contains(word) {
            return Err(format!("README.md has no `{word}` in:\n{block}").into());
        }
        script = script.replace(word, by);
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_blocks_are_those_of_the_step() {
        let readme = "## Install on three EC2 instances\n\n**2. First**\n\n```\na\nb\n```\n\nwords\n\n```\nc\n```\n\n\
                      **3. Second**\n\n```\nd\n```\n\n## Operate\n\n**4. No step**\n\n```\ne\n```\n";
        assert_eq!(blocks(readme, 2), ["a\nb", "c"]);
        assert_eq!(blocks(readme, 3), ["d"]);
        assert_eq!(blocks(readme, 4), Vec::<&str>::new());
    }

    #[test]
    fn every_step_by_hand_has_commands() {
        for number in 2..=7 {
            step(number).unwrap();
        }
    }

    #[test]
    fn what_is_to_be_replaced_has_to_be_there() {
        assert_eq!(with("set REGION", &[("REGION", "r")]).unwrap(), "set r");
        assert!(with("set", &[("REGION", "r")]).is_err());
    }
}
