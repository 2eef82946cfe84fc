//! The operator who typed a verb, and the audit trail's event for it.
//!
//! A verb ends before a gateway need run: its event waits in the store that it changed, and one of
//! that store's gateways records it (`app/waiting_events.rs`).

use std::io::Write;

use uuid::Uuid;

use crate::config;
use crate::store::{Store, WaitingEvent};
use crate::telemetry::audit::Entry;
use crate::telemetry::{audit, causes, escaped};

/// The detail of the first event of a long change: it stays if the command is killed.
pub(crate) const BEGUN: &str = "begun";

/// The detail of a change that may be incomplete.
pub(crate) const CUT_SHORT: &str = "cut short";

/// Records an operator's change to a store.
pub(crate) async fn record(store: &dyn Store, entry: Entry) {
    audit::record(entry);
    record_held(store).await;
}

/// Records this command's events so far in a store. The change has been made: an event that
/// cannot be recorded is said here, and the verb has succeeded.
pub(crate) async fn record_held(store: &dyn Store) {
    for entry in audit::take_held() {
        let text = by_whom(entry).json();
        let event = WaitingEvent { id: Uuid::now_v7(), text: text.clone() };
        if let Err(error) = store.record_event(event).await {
            warn(&text, &causes(&error));
        }
    }
}

/// Prints this command's events so far, where there is no store to record them in, and why not.
pub(crate) fn warn_of_held(why: &str) {
    for entry in audit::take_held() {
        warn(&by_whom(entry).json(), why);
    }
}

fn warn(text: &str, why: &str) {
    let line = format!("warning: not in the audit trail ({why}): {text}");
    // A closed standard error cannot be reported anywhere.
    drop(writeln!(std::io::stderr().lock(), "{}", escaped(&line)));
}

fn by_whom(entry: Entry) -> Entry {
    let name = name();
    let sudo_by = config::sudo_user().filter(|invoker| *invoker != name);
    Entry { by: Some(name), sudo_by, ..entry }
}

/// The operating system's name for the user of this process; their number where it has none.
fn name() -> String {
    let number = rustix::process::getuid().as_raw();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&accounts, number).unwrap_or_else(|| format!("uid {number}"))
}

fn named(accounts: &str, number: u32) -> Option<String> {
    let number = number.to_string();
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next()?, fields.nth(1)?);
        (uid == number && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_user_is_found_by_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\n# odd\n\nann:x:1000:1000::/:/bin/sh\n";

        assert_eq!(named(accounts, 0).as_deref(), Some("root"));
        assert_eq!(named(accounts, 1000).as_deref(), Some("ann"));
        assert_eq!(named(accounts, 1), None);
    }
}
