//! Images that a registry does not give are handed on from a machine that has them: registries limit how often they
//! are asked, and a machine may have no way to one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::exit::Failure;
use crate::output::say;
use crate::reach::{Command, Node};
use crate::run::Run;

/// Gigabytes over a slow line.
const LIMIT: Duration = Duration::from_secs(3600);

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
        let Ok(permit) = self.count.acquire().await else {
            return Err(failed);
        };
        let Some(from) = self.idle().pop() else {
            return Err(failed);
        };
        permit.forget();
        say(&format!("warning: {failed}"));
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

impl Images {
    /// What is printed: as small as that is cheap, and behind everything else that the machine does.
    fn print(&self) -> Command {
        let script = format!(
            "set -eu\nimages=$({})\n[ \"$images\" ]\ndocker save $images | nice -n 19 gzip -1\n",
            self.named
        );
        let mut command = Command::look(&format!("printing {}", self.what), script);
        command.limit = LIMIT;
        command
    }

    fn read(&self) -> Command {
        let script = format!(
            "set -eu\nloaded=$(gzip -dc | docker load --quiet)\nloaded=$(echo \"$loaded\" | sed 's/^Loaded image[^:]*: //')\n{}",
            self.then
        );
        let mut command = Command::change(format!("{}, handed on", self.what), script);
        command.limit = LIMIT;
        command.reading(String::new())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::reach::test_node;

    /// Machines whose images are lines of a file, each beside it.
    fn images(directory: &std::path::Path) -> Images {
        let directory = directory.display();
        Images {
            what: "fetch the image".to_owned(),
            named: format!(
                "docker() {{ case $1 in save) cat {directory}/image ;; load) cat >>{directory}/loaded; echo 'Loaded \
                 image ID: sha256:1' ;; esac; }}\necho pbx"
            ),
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
