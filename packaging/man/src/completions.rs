//! The completions of cib-gen, from the definition of its command line. Two mistakes of
//! clap_complete 4.6 are put right in what it writes.

use cib_gen::cli::Cli;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::aot::Generator;

/// File name and text for each shell.
///
/// # Errors
/// clap_complete writes something else than what is put right here.
pub(crate) fn completions() -> Result<[(&'static str, String); 3], String> {
    Ok([
        ("cib-gen.bash", bash(&generated(Shell::Bash)?)),
        ("_cib-gen", generated(Shell::Zsh)?),
        ("cib-gen.fish", fish(&generated(Shell::Fish)?)?),
    ])
}

fn generated(shell: Shell) -> Result<String, String> {
    let mut command = Cli::command();
    command.set_bin_name("cib-gen");
    command.build();
    let mut text = Vec::new();
    shell
        .try_generate(&command, &mut text)
        .map_err(|error| format!("write the completion for {shell}: {error}"))?;
    String::from_utf8(text).map_err(|error| format!("the completion for {shell}: {error}"))
}

/// The hyphen of the command's name is not spelled in the same way in both places, and nothing
/// of a subcommand would be completed.
fn bash(text: &str) -> String {
    text.replace("cib__subcmd__gen__", "cib__gen__")
}

/// While the value of an option is being completed, the words before it do not hold it yet,
/// `argparse` fails for that, and files would be offered instead of the values of --format.
fn fish(text: &str) -> Result<String, String> {
    let parse = "argparse -s (__fish_cib_gen_global_optspecs) -- $cmd 2>/dev/null";
    let was = format!("    {parse}\n    or return\n");
    let now = format!(
        "    {parse}\n    or begin\n        set -e cmd[-1]\n        {parse}\n    end\n    or return\n"
    );
    match text.matches(&was).count() {
        1 => Ok(text.replacen(&was, &now, 1)),
        n => Err(format!(
            "the completion for fish has `{parse}` {n} times and not once: look whether \
             `cib-gen --format <TAB>` still has to be put right"
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What bash itself offers for the last of the words.
    fn offered(words: &[&str]) -> Vec<String> {
        let [(_, bash), ..] = completions().unwrap();
        let ask = r#"
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            function=$(complete -p cib-gen | sed 's/.*-F \([^ ]*\).*/\1/')
            "$function" cib-gen "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let output = std::process::Command::new("bash")
            .args(["--norc", "-c", &format!("{bash}\n{ask}"), "bash"])
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_completes_options_values_and_subcommands() {
        assert_eq!(offered(&["cib-gen", "--for"]), ["--format"]);
        assert_eq!(offered(&["cib-gen", "--format", "s"]), ["security-group"]);
        assert_eq!(offered(&["cib-gen", "sim"]), ["simulate"]);
        assert_eq!(offered(&["cib-gen", "apply", "--ci"]), ["--cib"]);
        assert_eq!(offered(&["cib-gen", "simulate", "--ver"]), ["--verbose"]);
    }

    #[test]
    fn every_shell_has_every_format() {
        for (file, text) in completions().unwrap() {
            for format in [
                "pcs",
                "cib",
                "corosync",
                "iam-policy",
                "security-group",
                "json",
            ] {
                assert!(text.contains(format), "{file}: {format}");
            }
        }
    }
}
