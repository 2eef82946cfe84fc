//! The audit trail: who was let in and who was not, what was revoked, by whom and why.
//!
//! An event is one JSON object in one line of a file, written in one piece, or a line of the log
//! under the target `munjigi::audit`. It names users by number, and holds no password, token or
//! code. Telling of one never waits: a gateway hands its lines to a thread by a queue with a bound,
//! and what cannot be written is dropped and counted.

mod file;

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::Now;
use crate::clock::Timestamp;
use crate::telemetry::metric;

use file::AuditFile;

/// The log target of audit events.
pub const TARGET: &str = "munjigi::audit";

/// Where the trail goes (`[log] audit`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuditTo {
    /// Lines of the log.
    #[default]
    Log,
    /// A file of its own, which grows.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An account was asked for.
    SignUp,
    /// A password was tried.
    Login,
    /// A social provider's token was presented.
    SocialLogin,
    /// A session, or all of a user, were to end.
    Logout,
    /// A user was to end a session by its id.
    SessionEnd,
    /// A password was to be changed by its user.
    PasswordChange,
    /// A password was to be reset by a mailed code.
    PasswordReset,
    /// An address was to be proven by a mailed code.
    EmailVerification,
    /// A provider proved an account's address, which nobody had proven before.
    SocialJoin,
    /// A refresh token was used again: its session was ended.
    RefreshReused,
    /// A signing key was made.
    KeyMade,
    /// An operator revoked something.
    Revocation,
    /// An operator changed an account.
    AccountChange,
    /// An operator made a token.
    TokenIssue,
}

/// One event; what does not apply is left out.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// `success`, or the refusal's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'static str>,
    /// Why it was refused, or what the operator gave as the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The site, by its key in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The realm, where it is not of one site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// The account's number, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The social provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<&'static str>,
    /// What kind of thing is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// What was made, changed or revoked, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many, where it is not one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The operating system's user who typed the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl Event {
    /// The name in the trail.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::Login => "login",
            Self::SocialLogin => "social_login",
            Self::Logout => "logout",
            Self::SessionEnd => "session_end",
            Self::PasswordChange => "password_change",
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
            Self::SocialJoin => "social_join",
            Self::RefreshReused => "refresh_reused",
            Self::KeyMade => "key_made",
            Self::Revocation => "revocation",
            Self::AccountChange => "account_change",
            Self::TokenIssue => "token_issue",
        }
    }

    /// What a line of the log says of it.
    const fn message(self) -> &'static str {
        match self {
            Self::SocialJoin => {
                "a provider proved an account's address; its earlier sessions ended"
            }
            Self::RefreshReused => "a refresh token was used again: session ended",
            _ => "audit",
        }
    }
}

impl Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Entry {
    /// An event of which nothing else is known.
    #[must_use]
    pub const fn of(event: Event) -> Self {
        Self {
            event,
            result: None,
            reason: None,
            site: None,
            realm: None,
            user: None,
            session: None,
            address: None,
            request: None,
            provider: None,
            kind: None,
            name: None,
            count: None,
            by: None,
        }
    }

    /// The entry as one line, with its instant.
    fn line(&self, now: Timestamp) -> Vec<u8> {
        #[derive(Serialize)]
        struct Line<'a> {
            at: String,
            #[serde(flatten)]
            entry: &'a Entry,
        }
        // Nothing in it fails to become JSON; control characters are escaped, so it is one line.
        let mut line =
            serde_json::to_vec(&Line { at: instant(now), entry: self }).unwrap_or_default();
        line.push(b'\n');
        line
    }

    fn log(&self) {
        tracing::info!(
            target: TARGET,
            event = self.event.name(),
            result = self.result,
            reason = self.reason.as_deref(),
            site = self.site.as_deref(),
            realm = self.realm.as_deref(),
            user = self.user.as_deref(),
            session = self.session.as_deref(),
            address = self.address.as_deref(),
            request = self.request.as_deref(),
            provider = self.provider,
            kind = self.kind,
            name = self.name.as_deref(),
            count = self.count,
            by = self.by.as_deref(),
            "{}", self.event.message()
        );
    }
}

/// Where this process's entries go; until it is settled, they are lines of the log.
static TRAIL: OnceLock<Trail> = OnceLock::new();

/// A way for entries to go.
enum Trail {
    Log,
    Off,
    /// To the thread that writes the file.
    Queue(SyncSender<Job>),
    /// Written before telling returns: a command has nobody to hold up.
    Here(Mutex<Box<dyn Lines>>),
}

/// Takes whole lines.
trait Lines: Send {
    fn append(&mut self, line: &[u8]) -> io::Result<()>;
}

enum Job {
    Line(Vec<u8>),
    /// Everything before is written once this is dropped.
    Flush {
        _done: SyncSender<()>,
    },
}

/// Lines that wait at most.
const QUEUE: usize = 4096;

/// How long the end of a gateway waits for a slow disk.
const FLUSH: Duration = Duration::from_secs(1);

/// Opens the trail of a gateway; the first call of a process settles it.
///
/// # Errors
/// When the file cannot be opened, or its thread not be started.
pub fn open(to: &AuditTo) -> io::Result<()> {
    let trail = match to {
        AuditTo::Log => Trail::Log,
        AuditTo::Off => Trail::Off,
        AuditTo::File(path) => Trail::queue(AuditFile::open(path)?)?,
    };
    drop(TRAIL.set(trail));
    Ok(())
}

/// Opens the trail of a command, whose log is standard error.
///
/// # Errors
/// When the file cannot be opened.
pub fn open_here(to: &AuditTo) -> io::Result<()> {
    let trail = match to {
        AuditTo::Log => Trail::Here(Mutex::new(Box::new(StandardError))),
        AuditTo::Off => Trail::Off,
        AuditTo::File(path) => Trail::Here(Mutex::new(Box::new(AuditFile::open(path)?))),
    };
    drop(TRAIL.set(trail));
    Ok(())
}

/// Tells of an event.
#[expect(clippy::needless_pass_by_value, reason = "an event is told once")]
pub fn tell(entry: Entry) {
    match TRAIL.get() {
        None => entry.log(),
        Some(trail) => trail.tell(&entry),
    }
}

/// Waits until everything told so far is written, for a second at most.
pub fn flush() {
    if let Some(Trail::Queue(queue)) = TRAIL.get() {
        let (done, written) = sync_channel(0);
        if queue.try_send(Job::Flush { _done: done }).is_ok() {
            // Nothing is sent: that the other side is dropped is what is waited for.
            let _disconnected = written.recv_timeout(FLUSH);
        }
    }
}

impl Trail {
    fn queue(lines: impl Lines + 'static) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || write(lines, &jobs))?;
        Ok(Self::Queue(queue))
    }

    fn tell(&self, entry: &Entry) {
        match self {
            Self::Off => {}
            Self::Log => entry.log(),
            Self::Queue(queue) => {
                if queue.try_send(Job::Line(entry.line(Now::read().wall))).is_err() {
                    dropped();
                }
            }
            Self::Here(lines) => {
                let line = entry.line(Now::read().wall);
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = lines.append(&line) {
                    let text = format!("warning: not in the audit trail ({error}): ");
                    // There is nowhere to say that standard error is closed.
                    drop(io::stderr().lock().write_all(&[text.as_bytes(), &line].concat()));
                }
            }
        }
    }
}

struct StandardError;

impl Lines for StandardError {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(line)
    }
}

/// The thread of a gateway; ends with the process.
fn write(mut lines: impl Lines, jobs: &Receiver<Job>) {
    let mut is_failing = false;
    while let Ok(job) = jobs.recv() {
        let Job::Line(line) = job else { continue };
        match lines.append(&line) {
            Ok(()) if is_failing => {
                is_failing = false;
                tracing::info!("the audit trail is written again");
            }
            Ok(()) => {}
            Err(error) => {
                dropped();
                if !is_failing {
                    is_failing = true;
                    tracing::error!(%error, "the audit trail cannot be written: events are lost");
                }
            }
        }
    }
}

fn dropped() {
    metrics::counter!(metric::AUDIT_DROPPED).increment(1);
}

/// An instant in RFC 3339, to the millisecond; empty for one outside the calendar.
fn instant(now: Timestamp) -> String {
    let nanos = i128::from(now.as_millis()) * 1_000_000;
    let instant = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    instant.and_then(|instant| instant.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc;

    use super::Entry;
    use super::Event;
    use super::Lines;
    use super::QUEUE;
    use super::Trail;
    use super::write;
    use crate::clock::Timestamp;

    #[test]
    fn an_entry_is_one_line_of_what_is_known() {
        let entry = Entry {
            reason: Some("a\nb\u{2028}".to_owned()),
            user: Some("7".to_owned()),
            ..Entry::of(Event::Login)
        };

        let line = String::from_utf8(entry.line(Timestamp::from_millis(1_500))).unwrap();

        assert_eq!(
            line,
            "{\"at\":\"1970-01-01T00:00:01.5Z\",\"event\":\"login\",\
             \"reason\":\"a\\nb\u{2028}\",\"user\":\"7\"}\n"
        );
    }

    /// Blocks on the first line until the sender goes.
    struct Stuck(mpsc::Receiver<()>);

    impl Lines for Stuck {
        fn append(&mut self, _line: &[u8]) -> io::Result<()> {
            while self.0.recv().is_ok() {}
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_hangs_holds_nobody_up() {
        let (release, stuck) = mpsc::channel();
        let trail = Trail::queue(Stuck(stuck)).unwrap();

        for _ in 0..QUEUE + 10 {
            trail.tell(&Entry::of(Event::Login));
        }

        drop(release);
    }

    struct Full(Vec<bool>);

    impl Lines for Full {
        fn append(&mut self, _line: &[u8]) -> io::Result<()> {
            let is_full = self.0.pop().unwrap_or(false);
            if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    #[test]
    fn a_full_disk_ends_nothing() {
        let (queue, jobs) = mpsc::sync_channel(4);
        for _ in 0..3 {
            queue.send(super::Job::Line(b"{}\n".to_vec())).unwrap();
        }
        drop(queue);

        write(Full(vec![false, true, true]), &jobs);

        assert!(jobs.try_recv().is_err(), "all were taken");
    }
}
