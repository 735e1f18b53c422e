//! The connection to systemd: its own socket, with no bus in between, or else the system's bus. The socket is root's, and nobody
//! listens there for a moment while systemd executes itself anew.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::message::{self, BEGINNING, BUS, Kind, MANAGER, Message, Object};
use super::read::{Malformed, Reader};
use super::write::Writer;

/// systemd's own socket.
const SOCKET: &str = "/run/systemd/private";

/// The system's bus
/// (<https://dbus.freedesktop.org/doc/dbus-specification.html#message-bus-types-system>).
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// The signal by which systemd tells that a job is over.
const JOB_REMOVED: &str = "JobRemoved";

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

/// By these, a bus tells that systemd is not on it at the moment.
const AWAY: [&str; 3] = [
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NoReply",
];

impl BusError {
    /// Whether systemd may only be away for a moment.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Io(_) => true,
            Self::Refused { name, .. } => AWAY.contains(&name.as_str()),
            Self::Late(_) | Self::Malformed(_) | Self::Job(_) => false,
        }
    }
}

/// A connection. Everything on it must be over within its limit.
pub(super) struct Bus {
    stream: UnixStream,
    limit: Duration,
    end: Instant,
    serial: u32,
    /// Whether it is the system's bus.
    shared: bool,
    /// Jobs that were over before the answer came which tells their names.
    over: VecDeque<Message>,
}

impl Bus {
    pub(super) fn connect(limit: Duration) -> Result<Self, BusError> {
        let end = Instant::now() + limit;
        Self::connect_to(SOCKET, limit, end).or_else(|error| {
            let mut bus = Self::connect_to(SYSTEM_BUS, limit, end).map_err(|_| error)?;
            bus.shared = true;
            bus.ask(BUS, "Hello", "", Writer::default())?;
            Ok(bus)
        })
    }

    fn connect_to(socket: &str, limit: Duration, end: Instant) -> Result<Self, BusError> {
        let stream = UnixStream::connect(socket)?;
        let mut bus = Self { stream, limit, end, serial: 0, shared: false, over: VecDeque::new() };
        bus.greet()?;
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
        self.write(format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").as_bytes())?;
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
        self.write(&message::call(self.serial, object, method, signature, body))?;
        loop {
            let message = self.receive()?;
            match message.kind {
                Kind::Answer if message.answers == self.serial => return Ok(message.body),
                Kind::Error if message.answers == self.serial => {
                    let words = Reader::new(&message.body).text().unwrap_or_default().to_owned();
                    return Err(BusError::Refused { name: message.error, words });
                }
                Kind::Signal if message.member == JOB_REMOVED => self.over.push_back(message),
                Kind::Signal | Kind::Answer | Kind::Error | Kind::Other => {}
            }
        }
    }

    /// The next job that is over.
    pub(super) fn next_job_removed(&mut self) -> Result<Message, BusError> {
        if let Some(message) = self.over.pop_front() {
            return Ok(message);
        }
        loop {
            let message = self.receive()?;
            if message.kind == Kind::Signal && message.member == JOB_REMOVED {
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
            self.stream.set_read_timeout(Some(self.left()?))?;
            let count = self.unless_late((&self.stream).read(bytes))?;
            bytes = &mut bytes[count..];
        }
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), BusError> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(self.left()?))?;
            let count = self.unless_late((&self.stream).write(bytes))?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// What is left of the time, which is never nothing.
    fn left(&self) -> Result<Duration, BusError> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(BusError::Late(self.limit)) } else { Ok(left) }
    }

    /// How many bytes were read or written; none where that is to be tried again.
    fn unless_late(&self, moved: io::Result<usize>) -> Result<usize, BusError> {
        match moved {
            Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(BusError::Late(self.limit))
            }
            Err(error) => Err(error.into()),
        }
    }
}
