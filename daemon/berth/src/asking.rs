//! Questions on the terminal. Where nobody is there to answer, none is asked.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::{Failure, Result};

/// Whether somebody is there to answer.
pub fn is_attended() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question that is answered with yes or no; `None` where nobody is there to answer.
pub async fn ask(question: String) -> Option<bool> {
    let line = ask_for(format!("{question} [y/N]")).await?;
    Some(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a line; `None` where nobody is there to answer.
pub async fn ask_for(question: String) -> Option<String> {
    answer(question, || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).is_ok_and(|length| length > 0).then_some(line)
    })
    .await
}

/// Asks for a secret, which is not shown while it is typed; `None` where nobody is there to answer. What is pasted may have
/// several lines: it ends with the one after which it `is_whole`, or with an empty one.
///
/// # Errors
/// [`Failure::Unanswered`] after Ctrl-C, with the terminal as it was.
pub async fn ask_for_secret(
    question: String,
    is_whole: impl Fn(&SecretString) -> bool + Send + 'static,
) -> Result<Option<SecretString>> {
    if !is_attended() {
        return Ok(None);
    }
    let silence = Silence::begin().map_err(Failure::local_error)?;
    let secret = tokio::select! {
        secret = answer(question, move || secret(&is_whole)) => Ok(secret),
        _ = tokio::signal::ctrl_c() => Err(Failure::Unanswered),
    };
    drop(silence);
    if secret.is_ok() {
        // The line break that was typed was not shown either.
        let _ = writeln!(std::io::stderr());
    }
    secret
}

fn secret(is_whole: &impl Fn(&SecretString) -> bool) -> Option<SecretString> {
    let mut text = SecretString::default();
    for line in std::io::stdin().lock().lines() {
        let line = SecretString::from(line.ok()?);
        text = SecretString::from(format!("{}{}\n", text.expose_secret(), line.expose_secret()));
        if line.expose_secret().trim().is_empty() || is_whole(&text) {
            return Some(text);
        }
    }
    None
}

/// What somebody answers; `None` where nobody is there.
async fn answer<T: Send + 'static>(
    question: String,
    read: impl FnOnce() -> Option<T> + Send + 'static,
) -> Option<T> {
    if !is_attended() {
        return None;
    }
    let (sender, answered) = tokio::sync::oneshot::channel();
    // A thread of its own that nobody waits for: reading cannot be interrupted, but the program can.
    std::thread::spawn(move || {
        let _ = write!(std::io::stderr(), "{question} ");
        if let Some(answer) = read() {
            let _ = sender.send(answer);
        }
    });
    let mut prompt = Prompt { answered: false };
    let answer = answered.await.ok();
    prompt.answered = answer.is_some();
    answer
}

/// A question on the terminal. Dropped unanswered, for instance by Ctrl-C, its line is ended.
struct Prompt {
    answered: bool,
}

impl Drop for Prompt {
    fn drop(&mut self) {
        if !self.answered {
            let _ = writeln!(std::io::stderr());
        }
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> std::io::Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // What is left of a secret that was pasted is nothing for the shell.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.before);
    }
}
