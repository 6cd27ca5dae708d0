//! Any bytes as vars.yml: an error that says something, or a cluster that can be written down in
//! every form.

#![no_main]

use cib_gen::cli::Format;
use cib_gen::nodes::Known;
use cib_gen::{Cluster, Mistakes, Site, Vars, render};
use clap::ValueEnum;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(mistakes) = write(bytes) {
        let said = mistakes.to_string();
        assert!(mistakes.iter().count() > 0 && said.starts_with("error["));
        // What is shown is for a terminal, whatever was in the file.
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'));
    }
});

fn write(bytes: &[u8]) -> Result<(), Mistakes> {
    let vars = Vars::parse("vars.yml", bytes)?;
    let given = (1..=vars.node_count()).filter_map(|n| format!("n{n}=10.9.8.{n}").parse().ok());
    let known = Known {
        given: given.collect(),
        ..Known::default()
    };
    let site: Site = vars.resolve(&Known::default()).or_else(|_| vars.resolve(&known))?;
    let cluster = Cluster::of(&site);
    for format in Format::value_variants() {
        match render::render(&site, &cluster, *format) {
            Ok(text) => assert!(text.ends_with('\n')),
            Err(error) => assert!(error.to_string().contains("error[E25]")),
        }
    }
    Ok(())
}
