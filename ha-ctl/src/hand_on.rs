//! Images that a registry does not give are handed on from a machine that has them: registries limit how often they
//! are asked, and a machine may have no way to one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::exit::Failure;
use crate::log;
use crate::output::{Progress, say};
use crate::reach::{Command, Node};
use crate::run::Run;

/// Gigabytes over a slow line. What does not move ends long before.
const LIMIT: Duration = Duration::from_secs(24 * 3600);
/// How many KB stay free on a disk that others write to as well.
const LEFT: u64 = 1024 * 1024;

/// The machines that have the images. Each hands them on to one other at a time, which has them then too.
#[derive(Debug)]
pub struct Sources<'a> {
    idle: Mutex<Vec<&'a Node>>,
    /// As many as are idle.
    count: Semaphore,
}

/// What is handed on.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    /// For messages: `the PBX's image`.
    pub(crate) what: String,
    /// For sh(1), on a machine that has them: prints their names or IDs, in one line.
    pub(crate) named: String,
    /// For sh(1), on the machine that has read them: what is left to do. $loaded has what `docker load` has named,
    /// each in a line.
    pub(crate) then: String,
}

impl<'a> Sources<'a> {
    /// The machines that have them now.
    pub fn new(nodes: Vec<&'a Node>) -> Sources<'a> {
        let count = Semaphore::new(nodes.len());
        if nodes.is_empty() {
            // Nobody waits for what never comes.
            count.close();
        }
        Sources {
            idle: Mutex::new(nodes),
            count,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<&'a Node>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another machine that has them.
    fn add(&self, node: &'a Node) {
        self.idle().push(node);
        self.count.add_permits(1);
    }

    /// Brings the images to a machine after `failed`, which says why they cannot be fetched there.
    ///
    /// # Errors
    /// No machine has them, or they could not be brought either: both is said.
    pub(crate) async fn hand_on(
        &self,
        images: &Images,
        to: &'a Node,
        failed: Failure,
        run: &Run,
    ) -> Result<(), Failure> {
        let waits = Progress::begin(&format!(
            "{}: waiting for a machine that hands the image on",
            to.name
        ));
        let Ok(permit) = self.count.acquire().await else {
            return Err(failed);
        };
        drop(waits);
        let Some(from) = self.idle().pop() else {
            return Err(failed);
        };
        permit.forget();
        log::line(&failed.text);
        say(&format!(
            "{}: {}. {} hands it on, through this machine",
            to.name,
            in_short(&failed),
            from.name
        ));
        let brought = run.pipe(from, &images.print(), to, &images.read()).await;
        self.add(from);
        match brought {
            Ok(()) => {
                self.add(to);
                Ok(())
            }
            Err(why) => Err(Failure::with(
                failed.exit,
                format!("{}\nerror: {}", failed.text, why.text),
            )),
        }
    }
}

/// What was tried and why it failed, in one line; the log has all of it.
fn in_short(failed: &Failure) -> String {
    let mut lines = failed.text.lines();
    let what = lines.next().unwrap_or_default();
    let what = what.strip_suffix(". Its last lines:").unwrap_or(what);
    match lines.next().map(str::trim) {
        Some(why) if !why.is_empty() && !why.starts_with("help:") => {
            let why = why.strip_prefix("error: ").unwrap_or(why);
            format!("{what} ({why})")
        }
        _ => what.to_owned(),
    }
}

impl Images {
    /// What is printed: how many KB the images have, and then the images, as small as that is cheap, and behind
    /// everything else that the machine does. Docker writes the layers to its disk before it prints them.
    fn print(&self) -> Command {
        let script = format!(
            r#"set -eu
images=$({named})
[ "$images" ] || {{ echo 'it has no image to hand on' >&2; exit 1; }}
size=$(docker image inspect --format '{{{{.Size}}}}' $images | awk '{{ all += $1 }} END {{ printf "%d", all / 1024 }}')
root=$(docker info --format '{{{{.DockerRootDir}}}}')
free=$(df -Pk "$root" | awk 'NR == 2 {{ print $4 }}')
[ "$free" -gt $((size + size / 4 + {LEFT})) ] || {{
    echo "to print its images, Docker needs $((size / 1024)) MB in $root, and $((free / 1024)) MB are free" >&2
    exit 1
}}
echo "$size"
exec 4>&1
status=$({{ {{ docker save $images; echo $? >&3; }} | nice -n 19 gzip -1 >&4; }} 3>&1)
exit "$status"
"#,
            named = self.named
        );
        let mut command =
            Command::look(&format!("printing what is wanted to {}", self.what), script);
        command.limit = LIMIT;
        command
    }

    fn read(&self) -> Command {
        let script = format!(
            r#"set -eu
read -r size
root=$(docker info --format '{{{{.DockerRootDir}}}}')
free=$(df -Pk "$root" | awk 'NR == 2 {{ print $4 }}')
[ "$free" -gt $((2 * size + {LEFT})) ] || {{
    echo "the images need $((2 * size / 1024)) MB in $root, and $((free / 1024)) MB are free" >&2
    exit 1
}}
loaded=$(gzip -dc | docker load --quiet)
loaded=$(echo "$loaded" | sed 's/^Loaded image[^:]*: //')
{then}"#,
            then = self.then
        );
        let mut command = Command::change(self.what.clone(), script);
        command.limit = LIMIT;
        command.reading(String::new())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::reach::test_node;

    /// Some images.
    fn images(directory: &std::path::Path) -> Images {
        let directory = directory.display();
        Images {
            what: "fetch the image".to_owned(),
            named: format!("echo pbx {directory}"),
            then: format!("echo \"$loaded\" >>{directory}/named"),
        }
    }

    fn failed() -> Failure {
        Failure::failed("toomanyrequests")
    }

    #[tokio::test]
    async fn where_nobody_has_it_the_registrys_answer_stays() {
        let (node, run) = (test_node("n1"), Run::new(false));
        let images = images(std::path::Path::new("/nonexistent"));
        let sources = Sources::new(Vec::new());
        let ended = sources.hand_on(&images, &node, failed(), &run).await;
        assert_eq!(ended.unwrap_err().text, "toomanyrequests");
    }

    #[test]
    fn both_scripts_are_ones_that_sh_can_read() {
        let images = images(std::path::Path::new("/tmp"));
        for command in [images.print(), images.read()] {
            let mut sh = std::process::Command::new("sh");
            let status = sh.args(["-n", "-c", &command.script]).status();
            assert!(status.is_ok_and(|status| status.success()), "{command:?}");
        }
    }
}
