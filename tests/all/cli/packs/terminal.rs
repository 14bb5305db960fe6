//! A terminal of 80 columns, with `mbhost` in front of it: what it says is read here, and what is
//! typed is written here. Its standard output is a pipe, as in `mbhost … > file`.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::cli::{Run, command};

/// Longer than anything that works takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What was shown so far.
    seen: String,
}

impl Terminal {
    /// Starts `mbhost` with these words.
    pub fn start(folder: &Path, words: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let ours = ours.expect("there is a terminal");
        grantpt(&ours).expect("it is ours");
        unlockpt(&ours).expect("it is ours");
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&ours, size).expect("it has a size");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        let how = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(name, how, Mode::empty()).expect("it can be opened");
        let again = || Stdio::from(theirs.try_clone().expect("it can be shared"));
        let child = command(folder, words)
            // Nothing is drawn but text.
            .env("TERM", "dumb")
            .stdin(again())
            .stdout(Stdio::piped())
            .stderr(again())
            .spawn()
            .expect("mbhost starts");
        drop(theirs);
        let keyboard = File::from(ours);
        let mut screen = keyboard.try_clone().expect("it can be shared");
        let (shown, screen_end) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Ends with an error when the last program in front of the terminal has gone.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if shown.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keyboard,
            screen: screen_end,
            seen: String::new(),
        }
    }

    /// Waits until this is shown.
    #[track_caller]
    pub fn until(mut self, text: &str) -> Self {
        while !self.seen.contains(text) {
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.show(&bytes),
                Err(_) => panic!("`{text}` was never shown:\n{}", self.seen),
            }
        }
        self
    }

    pub fn types(mut self, text: &str) -> Self {
        self.keyboard.write_all(text.as_bytes()).expect("somebody reads");
        self
    }

    /// Sends it a signal.
    pub fn signal(self, name: &str) -> Self {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("there is `kill`").success());
        self
    }

    /// Waits for its end; `err` is all that was shown.
    pub fn end(mut self) -> Run {
        let mut out = String::new();
        let mut pipe = self.child.stdout.take().expect("it is a pipe");
        pipe.read_to_string(&mut out).expect("it prints UTF-8");
        let ended = self.child.wait().expect("it ends");
        while let Ok(bytes) = self.screen.recv_timeout(PATIENCE) {
            self.show(&bytes);
        }
        Run {
            code: ended.code(),
            out,
            err: self.seen,
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).replace('\r', "");
        self.seen.push_str(&text);
    }
}
