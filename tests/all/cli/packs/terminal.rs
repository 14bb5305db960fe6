//! A terminal of 80 columns with `mbhost` in front of it, made by `script`: what it says is read
//! here, and what is typed is written here. Its standard output goes to a file, as in
//! `mbhost … > file`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::cli::{Run, command};

/// Longer than anything that works takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    /// What was shown so far.
    seen: String,
    /// Where its standard output goes.
    out: PathBuf,
}

impl Terminal {
    /// Starts `mbhost` with these words, none of which needs quotes.
    pub fn start(folder: &Path, words: &[&str]) -> Self {
        let out = tempfile::NamedTempFile::new().expect("there is room");
        let out = out.into_temp_path().keep().expect("it can be kept");
        let mbhost = command(folder, words);
        // Whoever runs the tests in the background has Ctrl-C ignored, and what he starts inherits it.
        let heard = "env --default-signal=INT";
        let mut line = format!(
            "stty cols 80 rows 24; {heard} true 2> /dev/null && with='{heard}'; exec $with {}",
            mbhost.get_program().to_string_lossy()
        );
        for word in mbhost.get_args() {
            line.push_str(&format!(" {}", word.to_string_lossy()));
        }
        line.push_str(&format!(" > {}", out.display()));
        let mut script = std::process::Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        script.current_dir(folder).env("SHELL", "/bin/sh");
        for (name, value) in mbhost.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let mut child = script
            // Nothing is drawn but text.
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is `script`, of util-linux");
        let keyboard = child.stdin.take().expect("it is a pipe");
        let mut screen_end = child.stdout.take().expect("it is a pipe");
        let (shown, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen_end.read(&mut bytes) {
                if shown.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keyboard,
            screen,
            seen: String::new(),
            out,
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
        self.keyboard
            .write_all(text.as_bytes())
            .and_then(|()| self.keyboard.flush())
            .expect("somebody reads");
        self
    }

    /// Waits for its end; `err` is all that was shown.
    pub fn end(mut self) -> Run {
        while let Ok(bytes) = self.screen.recv_timeout(PATIENCE) {
            self.show(&bytes);
        }
        let ended = self.child.wait().expect("it ends");
        let out = std::fs::read_to_string(&self.out).expect("it prints UTF-8");
        std::fs::remove_file(&self.out).expect("it is ours");
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
