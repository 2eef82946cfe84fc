//! Header names that only the gateway may send to a backend.
//!
//! A backend may read a name loosely: `X_User_Id` and `X.User.Id` are `X-User-Id` to CGI, WSGI and
//! PHP (CVE-2025-64484). So names are compared folded to `[a-z0-9]`.

use http::HeaderName;
use http::header::{CONTENT_LENGTH, EXPECT};

use crate::config::folded_name;
use crate::gateway::headers::forwarded;
use crate::gateway::headers::forwarded::{ADDRESS_CLAIMS, CLAIMS};

/// The reserved names of one route.
#[derive(Clone, Debug)]
pub(crate) struct Reserved {
    /// Folded: what the gateway states, sets or removes, in every spelling.
    folded: Vec<String>,
    /// A Bloom filter of all that may be reserved: most names of a request are not in it.
    filter: [u64; WORDS],
}

/// Some 60 names in 1,024 bits: one in twenty of the others is compared in vain.
const WORDS: usize = 16;

/// Folded prefix that is reserved whatever follows.
const FORWARDED: &str = "xforwarded";

impl Reserved {
    /// Reserves names for a route, besides those that are reserved everywhere.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut folded: Vec<String> = names.map(folded_name).collect();
        folded.sort_unstable();
        folded.dedup();
        let mut reserved = Self { folded: Vec::new(), filter: [0; WORDS] };
        for name in [FORWARDED].into_iter().chain(STATED).chain(CLAIMS).chain(ADDRESS_CLAIMS) {
            reserved.mark(name);
        }
        folded.iter().for_each(|name| reserved.mark(name));
        Self { folded, ..reserved }
    }

    /// Says whether a client's header of this name is kept from the backend.
    pub(crate) fn has(&self, name: &HeaderName, trusted_peer: bool) -> bool {
        // hyper answered `Expect` when the body was first polled.
        self.may_have(name.as_str())
            && (name == CONTENT_LENGTH
                || name == EXPECT
                || forwarded::is_client_assertion(name.as_str(), trusted_peer)
                || self.folded.iter().any(|known| letters(name.as_str()).eq(known.bytes()))
                || is_reserved_lookalike(name))
    }

    /// `false` is certain.
    fn may_have(&self, name: &str) -> bool {
        let mut hash = Hash::default();
        for (index, letter) in letters(name).enumerate() {
            hash.add(letter);
            if index + 1 == FORWARDED.len() && self.is_marked(hash) {
                return true;
            }
        }
        self.is_marked(hash)
    }

    fn mark(&mut self, name: &str) {
        let mut hash = Hash::default();
        letters(name).for_each(|letter| hash.add(letter));
        let (word, bit) = hash.place();
        if let Some(word) = self.filter.get_mut(word) {
            *word |= bit;
        }
    }

    fn is_marked(&self, hash: Hash) -> bool {
        let (word, bit) = hash.place();
        self.filter.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// FNV-1a, of which the upper bits are used.
#[derive(Clone, Copy)]
struct Hash(u32);

impl Default for Hash {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Hash {
    const fn add(&mut self, letter: u8) {
        self.0 = (self.0 ^ letter as u32).wrapping_mul(0x0100_0193);
    }

    /// The word of the filter, and the bit in it.
    const fn place(self) -> (usize, u64) {
        ((self.0 >> 28) as usize, 1 << ((self.0 >> 22) & 63))
    }
}

/// Says whether `name` is a misspelling (`_`, `.`, …) of a header that the gateway states, or
/// that decides about identity or framing.
fn is_reserved_lookalike(name: &HeaderName) -> bool {
    let name = name.as_str();
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return false;
    }
    let mut start = letters(name);
    let forwarded = "xforwarded";
    if forwarded.bytes().all(|byte| start.next() == Some(byte)) {
        return true;
    }
    STATED.iter().chain(&ADDRESS_CLAIMS).any(|known| letters(name).eq(letters(known)))
}

/// The names that [`is_reserved_lookalike`] protects, with [`ADDRESS_CLAIMS`] and every
/// `X-Forwarded-…`.
const STATED: [&str; 16] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

fn letters(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::Reserved;

    #[test]
    fn every_spelling_of_a_reserved_name_is_reserved() {
        let reserved = Reserved::new(["X-User-Id", "x-user-roles"].into_iter());
        let rows = [
            ("x-user-id", true, true),
            ("x_user_id", true, true),
            ("x-user_id", true, true),
            ("x.user.id", true, true),
            ("xuserid", true, true),
            ("x_user_roles", true, true),
            ("x-user-ids", false, false),
            ("x-user", false, false),
            // Framing is written anew.
            ("content-length", true, true),
            ("expect", true, true),
            // Others' claims about the client; some are taken from a trusted proxy.
            ("forwarded", true, true),
            ("x-real-ip", true, true),
            ("x-forwarded-for", true, false),
            ("x-forwarded-anything", true, false),
            ("true-client-ip", true, false),
            // A misspelling is always reserved.
            ("x_forwarded_for", true, true),
            ("_x-forwarded-anything", true, true),
            ("x-forwarded_prefix", true, true),
            ("content_length", true, true),
            ("transfer_encoding", true, true),
            ("x_request_id", true, true),
            ("true_client_ip", true, true),
            ("cf.connecting-ip", true, true),
            ("authorization", false, false),
            ("x_trace", false, false),
        ];

        for (name, from_client, from_proxy) in rows {
            let name = HeaderName::from_static(name);
            assert_eq!(reserved.has(&name, false), from_client, "{name}");
            assert_eq!(reserved.has(&name, true), from_proxy, "{name}, of a trusted proxy");
        }
    }

    #[test]
    fn most_names_are_told_at_a_glance() {
        let reserved = Reserved::new(["x-user-id"].into_iter());
        let names = [
            "accept",
            "accept-encoding",
            "accept-language",
            "cache-control",
            "content-type",
            "if-none-match",
            "origin",
            "pragma",
            "priority",
            "referer",
            "sec-ch-ua",
            "sec-ch-ua-mobile",
            "sec-ch-ua-platform",
            "sec-fetch-dest",
            "sec-fetch-mode",
            "sec-fetch-site",
            "sec-fetch-user",
            "upgrade-insecure-requests",
            "user-agent",
        ];

        let looked_at = names.iter().filter(|name| reserved.may_have(name)).count();

        assert!(looked_at <= 4, "{looked_at}");
    }
}
