//! Who types a command, as the audit trail names them.

use crate::telemetry::audit;
use crate::telemetry::audit::Entry;

/// Tells of what an operator did.
pub(crate) fn tell(entry: Entry) {
    audit::tell(Entry { by: Some(name()), ..entry });
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
