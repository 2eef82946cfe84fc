//! `munjigi explain`: the outcome of a request, and its reason.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use http::{Method, Uri};
use tokio::sync::mpsc;

use crate::app::reload_state::ReloadState;
use crate::drain::Drain;
use crate::gateway::explain::{ExplainedTarget, Explanation, explain as explain_request};
use crate::gateway::snapshot::Snapshot;
use crate::revocation::RevocationList;

use super::context::Context;
use super::run::READY_DEADLINE;
use super::token::read_token;

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Method: GET, POST, …
    method: Method,
    /// URL, host included: `https://api.example.com/orders/7`
    #[arg(value_parser = url_with_host)]
    url: Uri,
    /// The Bearer token that the request would carry, or `-` for standard input
    #[arg(long)]
    token: Option<String>,
}

/// The site is found by the host: a path alone has none.
fn url_with_host(text: &str) -> Result<Uri, &'static str> {
    let url = text.parse::<Uri>().ok();
    url.filter(|url| url.scheme().is_some() && url.host().is_some())
        .ok_or("expected a URL with its host, such as https://api.example.com/orders/7")
}

pub(crate) async fn explain(args: ExplainArgs, context: &Context) -> anyhow::Result<()> {
    let token = args.token.as_deref().map(read_token).transpose()?;
    let opened = context.open().await?;
    let revocations = Arc::new(RevocationList::new(opened.config.revocation.capacity));
    let (events, feed) = mpsc::channel(64);
    let store = Arc::clone(&opened.store);
    let follow = tokio::spawn(async move { store.follow(events).await });
    let list = Arc::clone(&revocations);
    let drain = Drain::new();
    let guard = drain.guard();
    let run = tokio::spawn(async move { list.run(feed, guard).await });
    let ready = tokio::time::timeout(READY_DEADLINE, revocations.ready()).await;
    ready.context("the store did not tell its revocations in time")?;
    let ReloadState { upstreams, pages, .. } = &opened.reload_state;
    let snapshot = Snapshot::new(opened.config, opened.sites, upstreams, Arc::clone(pages));
    let explanation = explain_request(
        &snapshot,
        Some(&revocations),
        &args.method,
        &args.url,
        token.as_deref(),
        context.now,
    );
    follow.abort();
    run.abort();
    context.output.data(&explanation, text)
}

fn text(explanation: &Explanation) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        text.push_str(&format!("{name:<10}{value}\n"));
    };
    let Explanation { method, host, path, site, target, subject, left_out, verdict, forwarded } =
        explanation;
    row(
        "request",
        &format!("{method} {host} {}", path.as_deref().unwrap_or("(no canonical path)")),
    );
    row("site", site.as_deref().unwrap_or("none"));
    match target {
        Some(ExplainedTarget::Endpoint { contract, path, operation, .. }) => {
            row("endpoint", &format!("{path} of contract {contract}: {operation}"));
        }
        Some(ExplainedTarget::Hosted { path }) => row("endpoint", path),
        Some(ExplainedTarget::Keys) => row("endpoint", "the public keys"),
        Some(ExplainedTarget::Route { path, file, line, rule, upstream }) => {
            row("route", &format!("{path} ({file}:{line})"));
            row("rule", rule);
            row("upstream", upstream);
        }
        None => {}
    }
    if let Some(subject) = subject {
        row("subject", subject);
    }
    for claim in left_out {
        row("left out", claim);
    }
    let status = verdict.status.map_or_else(|| "passes".to_owned(), |status| status.to_string());
    row("verdict", &format!("{status}: {}", verdict.reason));
    if let Some(forwarded) = forwarded {
        row("forwarded", &format!("{} (Host: {})", forwarded.target, forwarded.host));
        row("body", &forwarded.body);
        for (name, value) in &forwarded.headers {
            row("", &format!("{name}: {value}"));
        }
    }
    text
}
