//! `munjigi revoke import`: a file of token ids, a million in one go.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use crate::cli::audit_trail;
use crate::cli::audit_trail::{BEGUN, CUT_SHORT};
use crate::cli::context::{Context, Opened};
use crate::cli::progress::Progress;
use crate::cli::session::rfc3339;
use crate::cli::why::Why;
use crate::clock::Timestamp;
use crate::document::parse_duration_above_zero;
use crate::operation::{Revocation, Revoked, TokenId};
use crate::store::Store;
use crate::telemetry::audit::Entry;

use super::audit_entry;

pub(super) const HELP: &str = "\
One token id (`jti`) a line; empty lines and lines that begin with `#` are skipped, and one that is
there twice is no harm. A file is read whole first: a line that is no id is named, and nothing is
revoked. Of standard input everything before that line is. A second import revokes nothing twice.

--until is when the last of these tokens ends: an instant (RFC 3339) or a time from now. Later costs
memory, earlier lets those in again that live longer. The list of every gateway has room for
[revocation] capacity in all.

Examples:
  munjigi revoke import stolen.txt --until 12h --reason \"incident 7\"
  munjigi revoke import - --until 2026-12-01T00:00:00Z --site api.example.com < ids.txt";

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file; `-` is standard input
    file: PathBuf,
    /// Until when the tokens are refused: an instant (RFC 3339), or a time from now (12h)
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Until,
    /// Site of the tokens, by its key in the configuration [default: the only one]
    #[arg(long, value_name = "HOST", conflicts_with = "issuer")]
    site: Option<String>,
    /// Issuer of the tokens (`iss`), in place of a site
    #[arg(long, value_name = "ISS")]
    issuer: Option<String>,
    #[command(flatten)]
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    At(Timestamp),
    In(Duration),
}

fn until(text: &str) -> Result<Until, String> {
    if let Some(instant) = Timestamp::from_rfc3339(text) {
        return Ok(Until::At(instant));
    }
    let duration = parse_duration_above_zero(text);
    duration.map(Until::In).map_err(|_expected| {
        "expected an instant such as 2026-12-01T00:00:00Z, or a time from now such as 12h"
            .to_owned()
    })
}

#[derive(Debug, Serialize)]
struct ImportReport {
    revoked: u64,
    until: String,
}

pub(super) async fn import(
    args: ImportArgs,
    context: &Context,
    opened: &Opened,
) -> anyhow::Result<()> {
    let now = context.now.wall;
    let until = match args.until {
        Until::At(instant) => instant,
        Until::In(duration) => now.plus(duration),
    };
    if until <= now {
        bail!("--until {} has passed", rfc3339(until));
    }
    let expires_at = Revocation::until(until, opened.leeway);
    let issuer = issuer(&args, opened)?;
    let is_stream = args.file == Path::new("-") || !std::fs::metadata(&args.file)?.is_file();
    if !is_stream {
        for id in Ids::open(&args.file)? {
            id.with_context(|| format!("{}; nothing was revoked", args.file.display()))?;
        }
    }
    let mut ids = Ids::open(&args.file)?;
    let store = opened.store.as_ref();
    let entry = Entry { name: Some(issuer.clone()), ..audit_entry("tokens", args.why) };
    audit_trail::record(store, Entry { detail: Some(BEGUN.to_owned()), ..entry.clone() }).await;
    let progress = Progress::of_bytes(ids.length)?;
    let mut writing = Writing::new(store);
    let outcome = loop {
        match ids.next() {
            Some(Ok(token)) => {
                let revoked = Revoked::Token { issuer: issuer.clone(), token };
                if let Err(error) = writing.add(Revocation { revoked, expires_at }).await {
                    break Err(error);
                }
                progress.at(ids.bytes);
            }
            Some(Err(error)) => break writing.flush().await.and(Err(error)),
            None => break writing.flush().await,
        }
    };
    progress.end();
    let done = ImportReport { revoked: writing.written, until: rfc3339(until) };
    let cut_short = if outcome.is_err() { format!(", {CUT_SHORT}") } else { String::new() };
    let entry = Entry {
        count: Some(done.revoked),
        detail: Some(format!("until {}{cut_short}", done.until)),
        ..entry
    };
    audit_trail::record(store, entry).await;
    outcome.with_context(|| format!("{} tokens were revoked before that", done.revoked))?;
    context
        .output
        .data(&done, |done| format!("revoked {} tokens until {}", done.revoked, done.until))
}

/// The named issuer, or that of the site.
fn issuer(args: &ImportArgs, opened: &Opened) -> anyhow::Result<String> {
    let Some(issuer) = &args.issuer else {
        let site = opened.site(args.site.as_deref())?;
        return Ok(site.auth.tokens.policy().issuer.clone());
    };
    let known: Vec<&str> =
        opened.sites.iter().map(|site| site.auth.tokens.policy().issuer.as_str()).collect();
    if !known.contains(&issuer.as_str()) {
        bail!("no site has the issuer `{issuer}`; there are: {}", known.join(", "));
    }
    Ok(issuer.clone())
}

/// The ids of a file, line by line.
struct Ids {
    reader: Box<dyn BufRead>,
    /// Its length, if known.
    length: Option<u64>,
    bytes: u64,
    line: u64,
}

/// Longer than any id is.
const LONGEST_ID: usize = 1024;

impl Ids {
    fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            let reader = Box::new(BufReader::new(std::io::stdin()));
            return Ok(Self { reader, length: None, bytes: 0, line: 0 });
        }
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let metadata = file.metadata()?;
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self { reader: Box::new(BufReader::new(file)), length, bytes: 0, line: 0 })
    }

    /// The next line that is not empty.
    fn read(&mut self) -> anyhow::Result<Option<TokenId>> {
        let mut text = Vec::new();
        loop {
            text.clear();
            let longest = u64::try_from(LONGEST_ID + 2)?;
            let read = self.reader.by_ref().take(longest).read_until(b'\n', &mut text)?;
            if read == 0 {
                return Ok(None);
            }
            self.bytes += u64::try_from(read)?;
            self.line += 1;
            let line = std::str::from_utf8(&text).ok().context("it is no UTF-8")?.trim();
            if !line.is_empty() && !line.starts_with('#') {
                return token_id(line).map(Some);
            }
            if !text.ends_with(b"\n") && read > LONGEST_ID {
                bail!("it is longer than any token id");
            }
        }
    }
}

impl Iterator for Ids {
    type Item = anyhow::Result<TokenId>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        read.with_context(|| format!("line {}", self.line)).transpose()
    }
}

fn token_id(line: &str) -> anyhow::Result<TokenId> {
    if line.len() > LONGEST_ID {
        bail!("it is longer than any token id");
    }
    if line.chars().any(|c| c.is_whitespace() || c.is_control()) {
        bail!("one token id is expected, without spaces");
    }
    if line.starts_with("eyJ") && line.matches('.').count() == 2 {
        bail!("this is a token: its id (`jti`) is expected");
    }
    Ok(TokenId(line.to_owned()))
}

/// Writes in batches, so that neither the store nor other writers wait for long.
struct Writing<'a> {
    store: &'a dyn Store,
    batch: Vec<Revocation>,
    /// Tokens in a batch.
    size: usize,
    written: u64,
}

/// The smallest and the largest batch.
const SIZES: (usize, usize) = (250, 4000);

/// A batch that took less may be larger, one that took longer is too large: the lock of a SQLite
/// file must not be held for 100 ms.
const WANTED: (Duration, Duration) = (Duration::from_millis(15), Duration::from_millis(40));

impl<'a> Writing<'a> {
    const fn new(store: &'a dyn Store) -> Self {
        Self { store, batch: Vec::new(), size: SIZES.0, written: 0 }
    }

    async fn add(&mut self, revocation: Revocation) -> anyhow::Result<()> {
        self.batch.push(revocation);
        if self.batch.len() < self.size {
            return Ok(());
        }
        let begun = Instant::now();
        self.flush().await?;
        let took = begun.elapsed();
        let (short, long) = WANTED;
        if took < short {
            self.size = (self.size * 2).min(SIZES.1);
        } else if took > long {
            self.size = (self.size / 2).max(SIZES.0);
        }
        // Others that wait for the lock get it now and then.
        tokio::time::sleep(took.min(long)).await;
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.store.revoke(&self.batch).await?;
        self.written += u64::try_from(self.batch.len())?;
        self.batch.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::Ids;

    fn ids(text: &'static [u8]) -> Vec<String> {
        let reader = Box::new(Cursor::new(text));
        let ids = Ids { reader, length: None, bytes: 0, line: 0 };
        ids.map(|id| id.map_or_else(|error| format!("{error:#}"), |id| id.0)).collect()
    }

    #[test]
    fn a_line_is_an_id_or_is_named() {
        assert_eq!(ids(b"a\r\n\n  b  \n# c\nd"), ["a", "b", "d"]);
        for (text, said) in [
            (&b"a\nb c\n"[..], "line 2: one token id is expected, without spaces"),
            (b"a\n\xff\n", "line 2: it is no UTF-8"),
            (b"\n\neyJh.eyJh.x\n", "line 3: this is a token: its id (`jti`) is expected"),
            (b"a\x1bb\n", "line 1: one token id is expected, without spaces"),
        ] {
            assert!(ids(text).contains(&said.to_owned()), "{:?}", ids(text));
        }
        let long: &'static [u8] = vec![b'x'; 5000].leak();
        assert_eq!(
            ids(long).first().map(String::as_str),
            Some("line 1: it is longer than any token id")
        );
    }
}
