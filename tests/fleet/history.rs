//! What was asked of the gateways and what they answered, a line of JSON each.
//!
//! One process asks, so that one clock dates everything: an answer's event has the instants before
//! the question was sent and after the answer was read, and whatever the gateway did lies between.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// When it was over: microseconds of the boot clock.
    pub at: u64,
    /// When it was begun, on the same clock.
    pub begun: u64,
    /// When it was over, on the wall clock: milliseconds since the epoch.
    pub wall: i64,
    /// Which gateway; empty for what befell the store.
    pub gateway: String,
    /// Which session; zero for what befell a gateway or the store.
    pub session: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What an event tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum What {
    /// A session was opened; its access token ends by itself then (wall, ms).
    Issue { token: u64, expires: i64 },
    /// A log-out is about to be sent.
    RevokeSent { token: u64 },
    /// It was acknowledged.
    RevokeAck { token: u64 },
    /// It was refused.
    RevokeNack { token: u64, status: u16 },
    /// A request with the token reached the backend.
    UseAccepted { token: u64 },
    /// It was refused.
    UseRefused { token: u64, status: u16 },
    /// A refresh token was exchanged: for another and an access token, or for nothing.
    Refresh { presented: u64, successor: Option<u64>, token: Option<u64>, status: u16 },
    /// A gateway was killed.
    Killed,
    /// Nothing that the gateway sends is answered by the store from now on.
    CutOff,
    /// The store is within reach of the gateway again.
    Reachable,
    /// The store lost what it held, or some of it.
    StoreLost { how: String },
    /// The wall clock of a gateway is this many seconds ahead of the true one from now on.
    Stepped { seconds: i64 },
    /// Two masters are written to from now on, each by one of the gateways.
    Parted,
    /// Both gateways reach the one that is left.
    Joined,
}

impl What {
    /// What it is counted as.
    pub(crate) fn name(&self) -> String {
        let name = match self {
            Self::Issue { .. } => "issued",
            Self::RevokeSent { .. } => "revocations sent",
            Self::RevokeAck { .. } => "revocations acknowledged",
            Self::RevokeNack { .. } => "revocations refused",
            Self::UseAccepted { .. } => "uses accepted",
            Self::UseRefused { status: 401, .. } => "uses refused (401)",
            Self::UseRefused { status: 503, .. } => "uses refused (503)",
            Self::UseRefused { .. } => "uses refused otherwise",
            Self::Refresh { successor: Some(_), .. } => "refreshed",
            Self::Refresh { .. } => "refreshes refused",
            Self::Killed => "gateways killed",
            Self::CutOff => "gateways cut off",
            Self::Reachable => "gateways joined again",
            Self::Stepped { .. } => "clocks stepped",
            Self::Parted => "stores parted in two",
            Self::Joined => "stores joined again",
            Self::StoreLost { how } => return format!("stores {how}"),
        };
        name.to_owned()
    }
}

/// A history in the making.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    file: Mutex<BufWriter<File>>,
}

impl History {
    /// Begins one in a file.
    pub(crate) fn begin(path: &Path) -> Self {
        let file = File::create(path).expect("a file for the history");
        Self { path: path.to_owned(), file: Mutex::new(BufWriter::new(file)) }
    }

    /// Adds what is over now and was begun at `begun`.
    pub(crate) fn add(&self, gateway: &str, session: u64, begun: u64, what: What) -> u64 {
        let at = now();
        let event = Event { at, begun, wall: wall(), gateway: gateway.to_owned(), session, what };
        let mut line = serde_json::to_vec(&event).expect("a line");
        line.push(b'\n');
        let mut file = self.file.lock().expect("no panic while it is held");
        file.write_all(&line).expect("room for the history");
        at
    }

    /// Brings everything so far into the file.
    pub(crate) fn flush(&self) {
        self.file.lock().expect("no panic while it is held").flush().expect("a flush");
    }

    /// Everything so far.
    pub(crate) fn read(&self) -> Vec<Event> {
        self.flush();
        let lines = BufReader::new(File::open(&self.path).expect("the history")).lines();
        lines.map(|line| serde_json::from_str(&line.expect("a line")).expect("an event")).collect()
    }
}

/// Microseconds of the boot clock.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    u64::try_from(time.tv_sec * 1_000_000 + time.tv_nsec / 1000).expect("a time since boot")
}

/// Milliseconds of the wall clock.
pub(crate) fn wall() -> i64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
