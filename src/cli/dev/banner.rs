//! What `munjigi dev` says when it is ready: addresses, and lines to paste that work.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::app::App;
use crate::contract::Contract;
use crate::contract::Example;
use crate::operation::Operation;

use super::settings::Settings;

/// The banner.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    pub(crate) settings: &'a Settings<'a>,
    pub(crate) asked_port: u16,
    pub(crate) ca: &'a Path,
    pub(crate) file: &'a Path,
    pub(crate) ready_in: Duration,
}

const EMAIL: &str = "you@example.com";
const PASSWORD: &str = "correct horse 1";

impl Banner<'_> {
    /// Draws it.
    pub(crate) async fn text(&self, app: &App) -> anyhow::Result<String> {
        let snapshot = app.gateway().snapshot.load_full();
        let (contract, realm) = snapshot.first_site().context("no site")?;
        let users = app.gateway().auth.store.list_users(realm, None, 1).await?;
        let mut text = self.head();
        text.push_str("\n  Try it:\n");
        for (line, remark) in self.lines(contract, !users.is_empty()) {
            let line = if remark.is_empty() { line } else { format!("{line:<58} # {remark}") };
            text.push_str(&format!("    {line}\n"));
        }
        text.push_str("\n  Ctrl-C stops.\n");
        Ok(text)
    }

    fn head(&self) -> String {
        let Settings { listen, contract, upstream, memory, .. } = self.settings;
        let port = listen.port();
        let taken = if port == self.asked_port {
            String::new()
        } else {
            format!("   (port {} is taken)", self.asked_port)
        };
        let upstream = if self.settings.built_in_upstream {
            "built-in whoami               use --to http://127.0.0.1:3000 for your app".to_owned()
        } else {
            (*upstream).to_owned()
        };
        let store = if *memory {
            "in memory                     nothing outlives this run".to_owned()
        } else {
            "data/dev/munjigi.db           embedded; no Redis needed".to_owned()
        };
        let ready = self.ready_in.as_millis();
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "  문지기 Munjigi {version} — dev mode                                   ready in {ready} ms\n\
             \n\
             \x20 Gateway    https://localhost:{port}        every path needs a token, except /public/*{taken}\n\
             \x20 Auth       contract `{contract}`\n\
             \x20 Upstream   {upstream}\n\
             \x20 Admin      http://{admin}         /livez /readyz /metrics\n\
             \x20 Store      {store}\n\
             \x20 CA         {ca}\n",
            admin = self.settings.admin,
            ca = self.ca.display(),
        )
    }

    /// The lines of one walk through the main job, made from what the contract serves.
    fn lines(&self, contract: &Contract, has_users: bool) -> Vec<(String, &'static str)> {
        let port = self.settings.listen.port();
        let ca = self.ca.display();
        let mut lines = vec![
            (format!("export CA=\"--cacert {ca}\" G=https://localhost:{port}"), ""),
            ("curl $CA $G/api/hello".to_owned(), "401: no token"),
        ];
        let example = |operation| contract.example(operation, EMAIL, PASSWORD);
        if !has_users {
            lines.push(match example(Operation::SignUp) {
                Some(example) => (call(&example), ""),
                None => (self.add_user(), "accounts are made by the operator here"),
            });
        }
        let with_token = "-H \"Authorization: Bearer $T\"";
        if let Some(example) = example(Operation::Login)
            && let Some(member) = &example.access_token_member
        {
            let login = call(&example).replacen("curl", "curl -s", 1);
            lines
                .push((format!("T=$({login} | sed 's/.*\"{member}\":\"\\([^\"]*\\).*/\\1/')"), ""));
            let seen = "200: see what your backend receives";
            lines.push((format!("curl $CA $G/api/hello {with_token}"), seen));
        }
        match example(Operation::Logout) {
            Some(example) => {
                let Example { method, path, .. } = example;
                lines.push((format!("curl $CA $G{path} -X {method} {with_token}"), ""));
            }
            // The gateway learns from its store what the command line did, five times a second.
            None => lines.push((format!("{} revoke token $T; sleep 0.5", self.munjigi()), "")),
        }
        let revoked = "401: revoked, effective at once";
        lines.push((format!("curl $CA $G/api/hello {with_token}"), revoked));
        lines
    }

    fn add_user(&self) -> String {
        format!("echo '{PASSWORD}' | {} user add --email {EMAIL} --password-stdin", self.munjigi())
    }

    /// This binary as it was started, working on this run's configuration.
    fn munjigi(&self) -> String {
        let program = std::env::current_exe().unwrap_or_else(|_| "munjigi".into());
        let here = std::env::current_dir().unwrap_or_default();
        let program = program.strip_prefix(here).unwrap_or(&program);
        format!("{} --config {}", program.display(), self.file.display())
    }
}

fn call(example: &Example) -> String {
    match &example.json {
        Some(json) => format!("curl $CA $G{} --json '{json}'", example.path),
        None => format!("curl $CA $G{} -X {}", example.path, example.method),
    }
}
