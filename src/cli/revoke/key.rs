//! `munjigi revoke key`: refuses all that a leaked signing key signed.
//!
//! A thief of the key can make tokens with it for ever, so it is refused for ever: the revocation
//! has no end, and the store deletes the key. One that ended with the last token that we signed
//! would let the thief's back in.

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use crate::app::keys;
use crate::cli::audit_trail;
use crate::cli::context::{Context, Opened};
use crate::cli::why::Why;
use crate::operation::RevocationKey;
use crate::telemetry::audit::Entry;

use super::audit_entry;

pub(super) const HELP: &str = "\
Everything that the key signed, or will sign, is refused from then on and for good, at every gateway.
Where the site signed with it, a new key is made in the same command, which running gateways take
into use by themselves; until they have, about a second, a login is 503. Sessions go on: a refresh
gives tokens under the new key. Only where refresh tokens are signed as well (JWTs) users log in anew.

A key of the configuration ([site.X.tokens] keys) is refused as well; another of them signs. Where
there is none, put a new one first, remove the old one and reload: until then the site issues nothing.

`munjigi token inspect` says which key signed a token; a name that is unknown is answered with the
site's keys.

Example:
  munjigi revoke key 3vJgK0QmXl7uW1pA --reason \"seen in a log\"";

#[derive(Debug, Args)]
#[command(mut_arg("reason", |reason| reason.required(true)))]
pub(crate) struct KeyArgs {
    /// The key's name (`kid`); after `--` where it begins with a dash
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// Site, by its key in the configuration [default: the only one]
    #[arg(long, value_name = "HOST")]
    site: Option<String>,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Serialize)]
struct KeyReport {
    revoked: &'static str,
    name: String,
    site: String,
    /// The key that signs from now on; none if the operator has to bring one.
    signs: Option<String>,
}

pub(super) async fn key(args: KeyArgs, context: &Context, opened: &Opened) -> anyhow::Result<()> {
    let (config, site) = opened.configured_site(args.site.as_deref())?;
    let (store, now) = (opened.store.as_ref(), context.now.wall);
    let policy = site.auth.tokens.policy();
    let issuer = &policy.issuer;
    let kids: Vec<String> = if config.tokens.keys.is_empty() {
        store.signing_keys(issuer).await?.into_iter().map(|key| key.kid).collect()
    } else {
        config.tokens.keys.iter().map(|key| key.kid.clone()).collect()
    };
    // Once more for one that is revoked: the first time may have been cut short.
    let asked = RevocationKey::of_key(issuer, &args.kid);
    if !kids.contains(&args.kid) && store.find_revocation(asked, now).await?.is_none() {
        bail!("site `{}` has no key `{}`; there are: {}", config.host, args.kid, kids.join(", "));
    }
    store.revoke(&[keys::revocation(issuer, &args.kid)]).await?;
    let entry = Entry {
        site: Some(config.host.to_string()),
        name: Some(args.kid.clone()),
        ..audit_entry("key", args.why)
    };
    audit_trail::record(store, entry).await;
    // Makes the new one, unless a running gateway was quicker.
    let ring = keys::key_ring(config, policy, store, now).await?;
    audit_trail::record_held(store).await;
    let done = KeyReport {
        revoked: "key",
        name: args.kid,
        site: config.host.to_string(),
        signs: ring.living_signer(policy.algorithm).map(str::to_owned),
    };
    context.output.data(&done, KeyReport::text)
}

impl KeyReport {
    fn text(&self) -> String {
        let Self { name, site, signs, .. } = self;
        match signs {
            Some(kid) => format!("revoked key {name}; {site} signs with {kid}"),
            None => format!(
                "revoked key {name}; {site} has no other that can sign and issues no tokens: put a \
                 new one first in [site.\"{site}\".tokens] keys, remove this one, and reload"
            ),
        }
    }
}
