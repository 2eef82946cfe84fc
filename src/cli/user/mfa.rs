//! The second factor of an account, whose user lost their phone and their recovery codes.

use anyhow::bail;
use clap::Subcommand;

use crate::cli::audit_trail;
use crate::cli::context::{Context, Opened};
use crate::cli::user::ChangeArgs;
use crate::cli::user::shown::Shown;
use crate::store::UserChange;
use crate::telemetry::audit::{Entry, Event};

#[derive(Debug, Subcommand)]
pub(crate) enum MfaVerb {
    /// Turn the second factor off; the user can set up another one after the next log-in
    #[command(after_help = "Make sure first that it is the account's owner who asks.\n\n\
        Example:\n  munjigi user mfa reset you@example.com --reason \"lost the phone, seen in person\"")]
    Reset(ChangeArgs),
}

/// Tries, where the user changes the second factor at the same time.
const TRIES: usize = 3;

pub(super) async fn mfa(verb: MfaVerb, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    let MfaVerb::Reset(ChangeArgs { who, why }) = verb;
    let realm = &who.realm.realm;
    for _ in 0..TRIES {
        let user = opened.user(realm, &who.user).await?;
        let from = user.second_factor.as_ref().map(|factor| factor.revision);
        let change = UserChange::ReplaceSecondFactor { from, to: None };
        let (now, until) = (opened.now, opened.revoked_until);
        let changed = opened.store.change_user(realm, user.id, change, now, until).await?;
        let Some((user, _)) = changed else { bail!("user `{}` is gone", who.user) };
        if user.second_factor.is_some() {
            continue;
        }
        let entry = Entry {
            realm: Some(realm.clone()),
            user: Some(user.id.to_string()),
            kind: Some("second_factor_reset".into()),
            reason: why.reason,
            ..Entry::of(Event::AccountChange)
        };
        audit_trail::record(opened.store.as_ref(), entry).await;
        return context.output.data(&Shown::from(&user), Shown::text);
    }
    bail!("the second factor changes all the time; try again");
}
