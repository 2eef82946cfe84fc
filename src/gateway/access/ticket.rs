//! Tickets: short-lived tokens for one path, for addresses that carry no header and no cookie.
//!
//! A ticket is the access token that it stands for, with its path, encrypted: whoever sees it in an
//! address or a log learns nothing, and it ends with its session. It opens its path once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::operation::Rejection;
use crate::own_keys::OwnKeys;
use crate::secret::Secret;
use crate::store::{Bound, Store, Taking, TrySubject};

/// The lifetime of a ticket.
pub(crate) const LIFETIME: Duration = Duration::from_secs(30);

/// The purpose of the encryption.
const PURPOSE: &str = "ticket";

/// An opened ticket.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The access token that it stands for.
    pub(crate) token: Secret<String>,
    hash: [u8; 32],
}

/// The content of a ticket.
#[derive(Serialize, Deserialize)]
struct Content {
    token: String,
    path: String,
    query: Option<String>,
    /// Milliseconds since 1970.
    ends: i64,
}

/// Issues a ticket for the path, and for the query if there is one.
///
/// # Errors
/// When there are no random bytes.
pub(crate) fn issue(
    keys: &OwnKeys,
    token: &str,
    (path, query): (&str, Option<&str>),
    now: Timestamp,
) -> Result<Secret<String>, Rejection> {
    let content = Content {
        token: token.to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        ends: now.plus(LIFETIME).as_millis(),
    };
    let sealed = keys.seal_text(PURPOSE, &content);
    sealed.map_err(|error| Rejection::internal(format!("a ticket: {error}")))
}

impl Ticket {
    /// Opens a ticket for a path in its canonical form, and a query without the ticket.
    ///
    /// # Errors
    /// 401 where it is none, has expired, or is for something else.
    pub(crate) fn open(
        keys: &OwnKeys,
        text: &str,
        (path, query): (&str, Option<&str>),
        now: Timestamp,
    ) -> Result<Self, Rejection> {
        let content: Option<Content> = keys.open_text(PURPOSE, text);
        let content = content.ok_or_else(|| Rejection::invalid_token("it is no ticket"))?;
        if now.as_millis() >= content.ends {
            return Err(Rejection::invalid_token("the ticket has expired"));
        }
        let is_for_query = content.query.as_deref().is_none_or(|own| Some(own) == query);
        if content.path != path || !is_for_query {
            return Err(Rejection::invalid_token("the ticket is for another path"));
        }
        let hash = keys.hash(PURPOSE, &[text.as_bytes()]);
        Ok(Self { token: Secret::new(content.token), hash })
    }

    /// Uses the ticket up, on all gateways.
    ///
    /// # Errors
    /// 401 where it was used, 503 when the store does not answer.
    pub(crate) async fn spend(self, store: &dyn Store, now: Timestamp) -> Result<(), Rejection> {
        let once = [Bound::window("uses", 1, LIFETIME * 2)];
        match store.take_try(&TrySubject::ticket(&self.hash), &once, now).await? {
            Taking::Taken { .. } => Ok(()),
            Taking::UsedUp { .. } => Err(Rejection::invalid_token("the ticket was used")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Ticket, issue};
    use crate::clock::Timestamp;
    use crate::own_keys::OwnKeys;
    use crate::secret::Secret;

    fn keys() -> OwnKeys {
        OwnKeys::new(&Secret::new(b"root".to_vec())).unwrap()
    }

    const NOW: Timestamp = Timestamp::from_seconds(100);

    #[test]
    fn a_ticket_opens_its_own_path_for_thirty_seconds() {
        let made = |query| issue(&keys(), "a.b.c", ("/files/1", query), NOW).unwrap();
        let (any, one) = (made(None), made(Some("v=2")));
        let end = Timestamp::from_seconds(130);
        let rows = [
            (&any, ("/files/1", None), NOW, true),
            (&any, ("/files/1", Some("v=2")), NOW, true),
            (&any, ("/files/1", None), Timestamp::from_millis(129_999), true),
            (&any, ("/files/1", None), end, false),
            (&any, ("/files/2", None), NOW, false),
            (&any, ("/files/1/", None), NOW, false),
            (&any, ("/Files/1", None), NOW, false),
            (&one, ("/files/1", Some("v=2")), NOW, true),
            (&one, ("/files/1", Some("v=3")), NOW, false),
            (&one, ("/files/1", None), NOW, false),
        ];
        for (ticket, target, now, opens) in rows {
            let opened = Ticket::open(&keys(), ticket.expose(), target, now);
            assert_eq!(opened.is_ok(), opens, "{target:?} {now:?}");
            assert!(opened.is_err() || opened.unwrap().token.expose() == "a.b.c");
        }
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_ticket(at in any::<prop::sample::Index>(), by in any::<char>()) {
            let ticket = issue(&keys(), "a.b.c", ("/", None), NOW).unwrap();
            let mut text: Vec<char> = ticket.expose().chars().collect();
            let at = at.index(text.len());
            prop_assume!(text[at] != by);
            text[at] = by;
            let text: String = text.into_iter().collect();
            prop_assert!(Ticket::open(&keys(), &text, ("/", None), NOW).is_err());
        }
    }
}
