//! The command line of `update`.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use cib_gen::ids::ImageName;
use clap::Args;

use super::SiteArgs;
use crate::exit::Failure;

/// The option for a new compose file.
pub const COMPOSE_FILE: &str = "--compose-file";

/// Arguments of `update`.
#[derive(Debug, Clone, Default, Args)]
pub struct UpdateArgs {
    /// The new image, such as portsip/pbx:22.6.3. Not with --rollback or --accept: there this word is VARS_FILE
    #[arg(value_name = "IMAGE", required_unless_present_any = ["rollback", "accept"])]
    pub image: Option<String>,

    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,

    /// Goes back from the last update
    #[arg(long, conflicts_with_all = ["certificate_manager", "compose_file", "leave_stopped", "shorter_gap"])]
    pub rollback: bool,

    /// On a LAN: the last update is good, and the copy of the data of before is brought up to date
    ///
    /// Until then there is no second copy of the data, and --rollback goes back; after that it cannot. Where the copy of
    /// before is lost on the way back, it gives that way up, and the update can go forwards again.
    #[arg(long, conflicts_with_all = ["rollback", "certificate_manager", "compose_file", "leave_stopped", "shorter_gap"])]
    pub accept: bool,

    /// With the vendor's certificate manager
    #[arg(long, short = 'c')]
    pub certificate_manager: bool,

    /// The compose file of the new version, where it is another one. It goes to all nodes
    #[arg(long, value_name = "FILE")]
    pub compose_file: Option<PathBuf>,

    /// The PBX is not started at the end
    #[arg(long)]
    pub leave_stopped: bool,

    /// The data is brought to the new version before the snapshot at rest is completed
    ///
    /// If EC2 then cannot complete it, the way back is the snapshot that was made while the PBX ran.
    #[arg(long)]
    pub shorter_gap: bool,

    /// The profile of the AWS configuration whose credentials EC2 is asked with for snapshots and a volume
    ///
    /// And for what vars.yml does not say, where this machine has no credentials that may look at EC2.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,

    /// Does not ask before it changes something
    #[arg(long, short, conflicts_with = "dry_run")]
    pub yes: bool,

    /// Only says what would be done, and ends with 3
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The image; nothing for the way back, and where there is to be none any more.
    pub image: Option<String>,
    /// There is to be no way back any more.
    pub accept: bool,
    /// The site.
    pub site: SiteArgs,
    /// With the certificate manager.
    pub certificate_manager: bool,
    /// A new compose file.
    pub compose_file: Option<String>,
    /// What of the command line belongs to the update itself, for who is to go on with it.
    pub options: String,
    /// The PBX stays stopped.
    pub leave_stopped: bool,
    /// The snapshot at rest is not waited for.
    pub shorter_gap: bool,
    /// The profile for EC2.
    pub profile: Option<String>,
    /// Nobody is asked.
    pub yes: bool,
    /// Nothing is changed.
    pub dry_run: bool,
}

impl UpdateArgs {
    /// What is asked for.
    ///
    /// # Errors
    /// The image is none, or the compose file cannot be read.
    pub fn wanted(&self) -> Result<Wanted, Failure> {
        let mut site = self.site.clone();
        let image = match (self.rollback || self.accept, &self.image) {
            (true, Some(file)) if site.vars_file.is_some() || is_no_file_but_an_image(file) => {
                let option = if self.accept {
                    "--accept"
                } else {
                    "--rollback"
                };
                return Err(Failure::usage(format!(
                    "{option} takes no image, and `{file}` is none of its words\n  help: ha-ctl update {option} [VARS_FILE]"
                )));
            }
            (true, file) => {
                site.vars_file = site.vars_file.or_else(|| file.as_ref().map(PathBuf::from));
                None
            }
            (false, image) => {
                let image = image.clone().unwrap_or_default();
                ImageName::from_str(&image)
                    .map_err(|error| Failure::usage(format!("IMAGE: {error}{}", meant(&image))))?;
                Some(image)
            }
        };
        let compose_file = self.compose_file.as_ref().map(|file| {
            std::fs::read_to_string(file).map_err(|error| {
                Failure::usage(format!("could not read {}: {error}", file.display()))
            })
        });
        Ok(Wanted {
            image,
            accept: self.accept,
            site,
            certificate_manager: self.certificate_manager,
            compose_file: compose_file.transpose()?,
            options: self.options(),
            leave_stopped: self.leave_stopped,
            shorter_gap: self.shorter_gap,
            profile: self.profile.clone(),
            yes: self.yes,
            dry_run: self.dry_run,
        })
    }

    fn options(&self) -> String {
        let file = self.compose_file.as_ref();
        let file = file.map(|file| format!("{COMPOSE_FILE} {}", file.display()));
        let flags = [
            self.certificate_manager.then_some("-c"),
            file.as_deref(),
            self.leave_stopped.then_some("--leave-stopped"),
            self.shorter_gap.then_some("--shorter-gap"),
        ];
        let flags: Vec<&str> = flags.into_iter().flatten().collect();
        // The note in the cluster has its parts between semicolons.
        flags.join(" ").replace(';', "?")
    }
}

fn is_no_file_but_an_image(word: &str) -> bool {
    ImageName::from_str(word).is_ok() && !Path::new(word).exists()
}

/// What somebody meant who forgot the hyphens.
fn meant(image: &str) -> String {
    match image {
        "rollback" | "accept" => format!("\n  help: ha-ctl update --{image}"),
        _ => String::new(),
    }
}
