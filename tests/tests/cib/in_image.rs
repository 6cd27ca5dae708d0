//! The scheduler of an image, for the library: one shell in the image runs crm_simulate again
//! and again, since entering the image takes longer than it does.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Mutex;

use cib_gen::scheduler::{self, Event, Scheduler, Transition};

use crate::bench::Bench;

/// The scheduler of the image of a bench.
pub(crate) struct InImage<'a> {
    bench: &'a Bench,
    shell: Mutex<Shell>,
}

struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl<'a> InImage<'a> {
    pub(crate) fn of(bench: &'a Bench) -> InImage<'a> {
        let mut shell = bench.command(&["sh"]);
        let mut child = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output"));
        InImage {
            bench,
            shell: Mutex::new(Shell {
                child,
                input,
                output,
            }),
        }
    }
}

impl Shell {
    /// Runs a line to its end.
    fn run(&mut self, line: &str) {
        let input = self.input.as_mut().expect("an open input");
        writeln!(input, "{line}; echo done").expect("the shell reads");
        let mut answer = String::new();
        self.output
            .read_line(&mut answer)
            .expect("the shell writes");
        assert_eq!(answer, "done\n", "{line}");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

impl Scheduler for InImage<'_> {
    type Error = cib_gen::xml::Error;

    fn ask(&self, cib: &str, events: &[Event]) -> Result<Transition, Self::Error> {
        let mut shell = self.shell.lock().expect("no test panicked with it");
        self.bench.write("before.xml", cib);
        let (first, last) = scheduler::runs(events, "before.xml", "changed.xml", "after.xml");
        if let Some(arguments) = first {
            shell.run(&format!(
                "crm_simulate {} > printed.xml",
                arguments.join(" ")
            ));
        }
        shell.run(&format!("crm_simulate {} > printed.xml", last.join(" ")));
        let printed = self.bench.read("printed.xml");
        Transition::read(&printed, self.bench.read("after.xml"))
    }
}
