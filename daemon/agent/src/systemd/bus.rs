//! The connection to systemd: root's is systemd's own socket, with no bus in between; others ask over the system's bus.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::message::{self, BEGINNING, BUS, Kind, MANAGER, Message, Object};
use super::read::{Malformed, Reader};
use super::write::Writer;

/// Where systemctl(1) asks, too, as root; for others the machine's bus.
const SOCKET: &str = "/run/systemd/private";

/// The system's bus
/// (<https://dbus.freedesktop.org/doc/dbus-specification.html#message-bus-types-system>).
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// The signal by which systemd tells that a job is over.
pub(super) const JOB_REMOVED: &str = "JobRemoved";

/// The most of an answer to the greeting, in bytes.
const GREETING: usize = 200;

/// Why systemd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum BusError {
    #[error("cannot speak to systemd: {0}")]
    Io(#[from] io::Error),
    #[error("systemd did not answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// systemd's own refusal: the error's name, and its words.
    #[error("{words}")]
    Refused { name: String, words: String },
    /// What it was asked for did not work; its word for how that ended, such as `failed`.
    #[error("it ended as “{0}”")]
    Job(String),
}

/// A connection. Everything on it must be over within its limit.
pub(super) struct Bus {
    stream: UnixStream,
    limit: Duration,
    end: Instant,
    serial: u32,
    /// Whether it is the system's bus.
    shared: bool,
    /// Signals that came before an answer.
    signals: Vec<Message>,
}

impl Bus {
    pub(super) fn connect(limit: Duration) -> Result<Self, BusError> {
        let (stream, shared) = match UnixStream::connect(SOCKET) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                (UnixStream::connect(SYSTEM_BUS)?, true)
            }
            other => (other?, false),
        };
        let end = Instant::now() + limit;
        let mut bus = Self { stream, limit, end, serial: 0, shared, signals: Vec::new() };
        bus.greet()?;
        if shared {
            bus.ask(BUS, "Hello", "", Writer::default())?;
        }
        Ok(bus)
    }

    /// Has systemd tell of jobs that are over, which it does unasked where there is no bus.
    pub(super) fn hear_of_jobs(&mut self) -> Result<(), BusError> {
        if self.shared {
            let mut rule = Writer::default();
            let owner = MANAGER.owner;
            rule.text(&format!("type='signal',sender='{owner}',member='{JOB_REMOVED}'"));
            self.ask(BUS, "AddMatch", "s", rule)?;
            self.ask(MANAGER, "Subscribe", "", Writer::default())?;
        }
        Ok(())
    }

    /// Who we are is told by the socket; it has to be said all the same
    /// (<https://dbus.freedesktop.org/doc/dbus-specification.html#auth-protocol>).
    fn greet(&mut self) -> Result<(), BusError> {
        let user = rustix::process::geteuid().as_raw().to_string();
        let user: String = user.bytes().map(|digit| format!("{digit:02x}")).collect();
        self.stream.set_write_timeout(Some(self.limit))?;
        self.stream.write_all(format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n") && answer.len() < GREETING {
            let mut byte = [0];
            self.fill(&mut byte)?;
            answer.extend(byte);
        }
        match answer.starts_with(b"OK ") {
            true => Ok(()),
            false => Err(Malformed("it does not accept who we are").into()),
        }
    }

    /// Calls a method of the manager; the answer's body.
    pub(super) fn call(&mut self, method: &str, signature: &str, body: Writer) -> Result<Vec<u8>, BusError> {
        self.ask(MANAGER, method, signature, body)
    }

    fn ask(
        &mut self,
        object: Object,
        method: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Vec<u8>, BusError> {
        self.serial += 1;
        self.stream.write_all(&message::call(self.serial, object, method, signature, body))?;
        loop {
            let message = self.receive()?;
            match message.kind {
                Kind::Answer if message.answers == self.serial => return Ok(message.body),
                Kind::Error if message.answers == self.serial => {
                    let words = Reader::new(&message.body).text().unwrap_or_default().to_owned();
                    return Err(BusError::Refused { name: message.error, words });
                }
                Kind::Signal => self.signals.push(message),
                Kind::Answer | Kind::Error | Kind::Other => {}
            }
        }
    }

    /// The next signal.
    pub(super) fn signal(&mut self) -> Result<Message, BusError> {
        if !self.signals.is_empty() {
            return Ok(self.signals.remove(0));
        }
        loop {
            let message = self.receive()?;
            if message.kind == Kind::Signal {
                return Ok(message);
            }
        }
    }

    fn receive(&mut self) -> Result<Message, BusError> {
        let mut beginning = [0; BEGINNING];
        self.fill(&mut beginning)?;
        let mut bytes = vec![0; message::length(&beginning)?];
        bytes[..BEGINNING].copy_from_slice(&beginning);
        self.fill(&mut bytes[BEGINNING..])?;
        Ok(Message::parse(&bytes)?)
    }

    fn fill(&mut self, mut bytes: &mut [u8]) -> Result<(), BusError> {
        while !bytes.is_empty() {
            let left = self.end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(BusError::Late(self.limit));
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => bytes = &mut bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(BusError::Late(self.limit));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
