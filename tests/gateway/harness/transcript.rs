//! Compares an answer with a transcript: literal bytes, where `<name>` stands for what varies.

use std::collections::BTreeMap;

use super::{Backing, Client, Gateway, Reply, Setup, Version};
use crate::redis::RedisServer;

/// Holds an answer to a transcript; gives what stood for each `<name>`.
///
/// The first line is the status, header lines follow, and after an empty line the body, whose
/// lines are joined without their indentation. A header that is not named may be anything, but a
/// cookie that is not named must not be there.
pub(crate) fn assert_transcript(reply: &Reply, transcript: &str) -> BTreeMap<String, String> {
    assert_case("", reply, transcript)
}

/// As [`assert_transcript`], for one row of a table, which a failure names.
pub(crate) fn assert_case(case: &str, reply: &Reply, transcript: &str) -> BTreeMap<String, String> {
    let mut lines = transcript.trim_start().lines().map(str::trim);
    let status = lines.next().expect("a status");
    assert_eq!(reply.status.as_str(), status, "{case}: {}", String::from_utf8_lossy(&reply.body));
    let mut found = BTreeMap::new();
    let mut cookies = 0;
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a header line");
        let at = if name == "set-cookie" { cookies } else { 0 };
        cookies += usize::from(name == "set-cookie");
        let actual = reply.headers.get_all(name).iter().nth(at);
        let actual = actual.map_or("", |actual| actual.to_str().expect("a text header"));
        assert!(matches(actual, value, &mut found), "{case}: {name}: {actual}\nexpected: {value}");
    }
    assert_eq!(
        reply.headers.get_all("set-cookie").iter().count(),
        cookies,
        "{case}: {:?}",
        reply.headers
    );
    let expected: String = lines.collect();
    let actual = String::from_utf8(reply.body.to_vec()).expect("a text body");
    assert!(
        matches(&actual, &expected, &mut found),
        "{case}:\ngot:      {actual}\nexpected: {expected}"
    );
    found
}

/// Runs a check on a fresh gateway of every store, over every HTTP.
pub(crate) async fn everywhere(setup: Setup, check: impl AsyncFn(&Gateway, Client)) {
    let redis = RedisServer::start().await;
    for version in Version::BOTH {
        // As long a timeout as a setup gives: a busy machine writes a large image slowly.
        let store = format!(
            "[store]\nurl = \"{}\"\nprefix = \"{version:?}:\"\ntimeout = \"10s\"\n",
            redis.url()
        );
        for store in [String::new(), store] {
            let tables = format!("{store}{}", setup.tables);
            let gateway =
                Gateway::start(Setup { tables, backing: Backing::Sqlite, ..setup.clone() }).await;
            let client = gateway.client(version).await;
            check(&gateway, client).await;
        }
    }
}

/// Whether a text is the literal, each `<name>` of which takes the shortest text that fits, and the
/// same every time.
fn matches(actual: &str, literal: &str, found: &mut BTreeMap<String, String>) -> bool {
    let mut rest = actual;
    let mut parts = literal.split('<');
    let first = parts.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    for part in parts {
        let Some((name, words)) = part.split_once('>') else { return false };
        let end = if words.is_empty() { Some(rest.len()) } else { rest.find(words) };
        let Some(end) = end else { return false };
        let (value, after) = rest.split_at(end);
        let before = found.insert(name.to_owned(), value.to_owned());
        if before.is_some_and(|before| before != value) {
            return false;
        }
        rest = &after[words.len()..];
    }
    rest.is_empty()
}
