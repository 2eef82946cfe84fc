//! The banner of `munjigi dev`: addresses, and lines to paste that work.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::app::App;
use crate::contract::Contract;
use crate::operation::Operation;
use crate::store::Lookup;

use super::settings::Settings;
use super::tour;
use super::tour::Tour;

/// The banner.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    pub(crate) settings: &'a Settings,
    /// Whether the file was edited, and is used as it is.
    pub(crate) is_edited: bool,
    pub(crate) asked_port: u16,
    pub(crate) ca: &'a Path,
    pub(crate) file: &'a Path,
    /// The folder that catches mails, where one does.
    pub(crate) mails: Option<&'a Path>,
    pub(crate) ready_in: Duration,
}

impl Banner<'_> {
    /// Draws it.
    pub(crate) async fn text(&self, app: &App) -> anyhow::Result<String> {
        let snapshot = app.gateway().snapshot.load_full();
        let (contract, realm) = snapshot.first_site().context("no site")?;
        let account = tour::account(contract)?;
        let found = app.gateway().auth.store.find_user(realm, &account, Lookup::Routine).await?;
        let munjigi = self.munjigi();
        let tour = Tour {
            contract,
            munjigi: (!self.settings.memory).then_some(munjigi.as_str()),
            has_account: found.is_some(),
            cookies: &self.file.with_file_name("cookies.txt"),
        };
        let mut text = self.head(contract);
        text.push_str("\n  Try it:\n");
        let (port, ca) = (self.settings.listen.port(), self.ca.display());
        let export = format!("export CA=\"--cacert {ca}\" G=https://localhost:{port}");
        for (line, remark) in std::iter::once((export, "")).chain(tour.lines()) {
            let line = if remark.is_empty() { line } else { format!("{line:<58} # {remark}") };
            text.push_str(&format!("    {line}\n"));
        }
        text.push_str("\n  Ctrl-C stops.\n");
        Ok(text)
    }

    fn head(&self, served: &Contract) -> String {
        let Settings { listen, admin, contract, upstream, memory, .. } = self.settings;
        let port = listen.port();
        let taken = if port == self.asked_port {
            String::new()
        } else {
            format!("   (port {} is taken)", self.asked_port)
        };
        let upstream = if self.settings.built_in_upstream {
            "built-in whoami               use --to http://127.0.0.1:3000 for your app".to_owned()
        } else {
            upstream.clone()
        };
        let store = if *memory {
            "in memory                     nothing outlives this run".to_owned()
        } else {
            "data/dev/munjigi.db           embedded; no Redis needed".to_owned()
        };
        let sends = [Operation::RequestReset, Operation::RequestVerification];
        let mail = match self.mails {
            Some(folder) if sends.iter().any(|sent| served.endpoint(*sent).is_some()) => {
                let folder = folder.display();
                let shown = match self.settings.built_in_upstream {
                    true => format!("caught: https://localhost:{port}/public/mails shows them"),
                    false => "caught, not sent; each is a line below".to_owned(),
                };
                format!("\x20 Mail       {folder:<29} {shown}\n")
            }
            _ => String::new(),
        };
        let edited = if self.is_edited {
            let file = self.file.display();
            format!("\x20 File       {file:<29} edited: in force as it is\n")
        } else {
            String::new()
        };
        let browser = if served.form(Operation::Login).is_some() {
            let shown = match self.settings.built_in_upstream {
                true => "sign up, sign in, and see what your application would see",
                false => "sign up, sign in, and see your application",
            };
            format!("\x20 Browser    https://localhost:{port}/       {shown}\n")
        } else {
            String::new()
        };
        let admin = match admin {
            Some(admin) => format!("http://{admin}         /livez /readyz /metrics"),
            None => "off".to_owned(),
        };
        let open = self.settings.open_paths().join(" ");
        let ready = self.ready_in.as_millis();
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "  문지기 Munjigi {version} — dev mode                                   ready in {ready} ms\n\
             \n\
             \x20 Gateway    https://localhost:{port}        every path needs a token, except {open}{taken}\n\
             {browser}\
             \x20 Auth       contract `{contract}`\n\
             \x20 Upstream   {upstream}\n\
             \x20 Admin      {admin}\n\
             \x20 Store      {store}\n\
             {mail}\
             {edited}\
             \x20 CA         {ca:<29} a browser trusts it after: {trust}\n",
            ca = self.ca.display().to_string(),
            trust = self.trust(),
        )
    }

    /// The verb after which a browser takes the certificate.
    fn trust(&self) -> String {
        format!("{} ca trust", program())
    }

    /// This binary as it was started, working on this run's configuration.
    fn munjigi(&self) -> String {
        format!("{} --config {}", program(), self.file.display())
    }
}

/// This binary as it was started.
fn program() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "munjigi".into());
    let here = std::env::current_dir().unwrap_or_default();
    program.strip_prefix(here).unwrap_or(&program).display().to_string()
}
