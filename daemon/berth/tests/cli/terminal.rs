//! The program with somebody at a terminal, who waits for a question and then types.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::Ran;

/// How long the program may take to ask, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the program on a terminal and types `answer` once it shows `question`. What is shown, questions and echo included, is
/// its `stderr`; its standard output is a pipe.
pub fn run_typing(mut command: Command, question: &str, answer: &str) -> Ran {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = || rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    command.stdin(Stdio::from(theirs())).stderr(Stdio::from(theirs())).stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    // It has our copies of its end of the terminal, which would keep that open.
    drop(command);
    let mut screen = Screen::of(File::from(ours.try_clone().unwrap()));
    screen.wait_for(question);
    File::from(ours).write_all(answer.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = screen.rest();
    Ran { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), stderr: shown }
}

/// What the terminal shows.
struct Screen {
    pieces: Receiver<Vec<u8>>,
    shown: Vec<u8>,
}

impl Screen {
    fn of(mut terminal: File) -> Self {
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // Once nobody has the other end any more, reading fails.
            while let Ok(length @ 1..) = terminal.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { pieces, shown: Vec::new() }
    }

    fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.text().contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.shown.extend(piece),
                Err(error) => panic!("“{text}” is not asked ({error}): {}", self.text()),
            }
        }
    }

    fn rest(mut self) -> String {
        while let Ok(piece) = self.pieces.recv_timeout(PATIENCE) {
            self.shown.extend(piece);
        }
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }
}
