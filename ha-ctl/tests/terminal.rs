//! What a person sees on a terminal, and how it is left, with a cluster that is made of scripts (fake_cluster/tool).

#![allow(clippy::unwrap_used)]

mod fake_cluster;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::pty::openpty;
use nix::sys::signal::Signal;

use fake_cluster::{Fake, interrupt};

/// A terminal, and what came to it so far.
struct Terminal {
    seen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Begins a run whose standard error is a terminal.
    fn of(
        fake: &Fake,
        arguments: &str,
        variables: &[(&str, &str)],
    ) -> (Terminal, std::process::Child) {
        let pty = openpty(None, None).unwrap();
        let mut command = fake.command(arguments);
        command.stderr(Stdio::from(pty.slave)).env("TERM", "xterm");
        command.envs(variables.iter().copied());
        let child = command.spawn().unwrap();
        // The last of the slave's descriptors here: reading ends with the process.
        drop(command);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            let (mut master, mut buffer) = (File::from(pty.master), [0; 1024]);
            // It fails with EIO when nobody has the terminal any more.
            while let Ok(count @ 1..) = master.read(&mut buffer) {
                written.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        (Terminal { seen, reader }, child)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    fn end(self) -> String {
        self.reader.join().unwrap();
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
}

/// The lines that a person sees at the end: what was cleared is gone, and where the cursor is.
fn screen(text: &str) -> (Vec<String>, usize) {
    let (mut lines, mut row) = (vec![String::new()], 0);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(sequence) = rest.strip_prefix("\u{1b}[") {
            let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap();
            let count = sequence[..end].parse().unwrap_or(1);
            match &sequence[end..=end] {
                "K" => lines[row].clear(),
                "A" => row -= count,
                "B" => row += count,
                _ => {}
            }
            rest = &sequence[end + 1..];
            continue;
        }
        match first {
            '\n' => {
                row += 1;
                lines.resize(lines.len().max(row + 1), String::new());
            }
            '\r' => {}
            c => lines[row].push(c),
        }
        rest = &rest[first.len_utf8()..];
    }
    (lines, row)
}

const WAITING: &str = "waiting for pbx to stop: ";

#[test]
fn what_is_waited_for_moves_on_a_terminal_and_is_gone_after_an_interruption() {
    let fake = Fake::new();
    fake.set("stops-as", "Stopping");
    fake.set("busy", "");
    let (terminal, mut child) = Terminal::of(&fake, "stop -s pbx", &[]);
    // It is drawn again and again with the seconds that have passed.
    fake.until_it("line that moves", || {
        let text = terminal.text();
        let drawn = text.split(WAITING).skip(1);
        let seconds = drawn.filter_map(|rest| rest.split_once(" s of at most "));
        let seconds: BTreeSet<&str> = seconds.map(|(seconds, _)| seconds).collect();
        seconds.len() > 2
    });
    interrupt(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let text = terminal.end();
    let (lines, row) = screen(&text);
    assert!(!lines.concat().contains(WAITING), "{lines:#?}");
    assert!(
        lines
            .concat()
            .contains("interrupted. The cluster goes on to stop pbx"),
        "{lines:#?}"
    );
    // The shell's prompt comes on a line of its own, and nobody has hidden the cursor.
    assert_eq!(
        (row, lines[row].as_str()),
        (lines.len() - 1, ""),
        "{lines:#?}"
    );
    assert!(!text.contains("\u{1b}[?25l"), "{text:?}");
}

#[test]
fn nothing_has_a_colour() {
    for variables in [&[][..], &[("NO_COLOR", "1")]] {
        let fake = Fake::new();
        let (terminal, mut child) = Terminal::of(&fake, "restart -s pbx", variables);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let text = terminal.end();
        let colour = text.match_indices("\u{1b}[").any(|(at, _)| {
            let rest = &text[at + 2..];
            let end = rest.find(|c: char| c.is_ascii_alphabetic());
            end.is_some_and(|end| rest[end..].starts_with('m'))
        });
        assert!(!colour, "{text:?}");
    }
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    let fake = Fake::new();
    let (terminal, mut child) = Terminal::of(&fake, "restart -s pbx", &[("TERM", "dumb")]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = terminal.end();
    assert!(!text.contains('\u{1b}'), "{text:?}");
}
