//! The password of an account: asked for on the terminal, or read from standard input.

use std::io::{BufRead, IsTerminal, Stdin};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use crate::cli::context::Opened;
use crate::operation::{ErrorCode, Input, Password};
use crate::secret::Secret;

#[derive(Debug, Args)]
pub(in crate::cli) struct PasswordArgs {
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArgs {
    pub(super) fn read(&self) -> anyhow::Result<Password> {
        let stdin = std::io::stdin();
        if !self.password_stdin && !stdin.is_terminal() {
            bail!("no terminal to ask for the password on; use --password-stdin");
        }
        let text =
            if self.password_stdin { first_line(&mut stdin.lock())? } else { ask_twice(&stdin)? };
        if text.is_empty() {
            bail!("no password was given");
        }
        Ok(Password { text: Secret::new(text), may_be_hashed: false })
    }
}

/// Asks for a password that is to be set: a slip in what nobody sees would lock its owner out.
fn ask_twice(stdin: &Stdin) -> anyhow::Result<String> {
    let password = ask("Password: ", stdin)?;
    if !password.is_empty() && ask("The same again: ", stdin)? != password {
        bail!("the two passwords differ; nothing is changed");
    }
    Ok(password)
}

/// Asks on the terminal, without showing what is typed.
fn ask(prompt: &str, stdin: &Stdin) -> anyhow::Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    eprint(prompt)?;
    let before = tcgetattr(stdin)?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(stdin, OptionalActions::Now, &quiet)?;
    let line = first_line(&mut stdin.lock());
    tcsetattr(stdin, OptionalActions::Now, &before)?;
    eprint("\n")?;
    line
}

fn eprint(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(text.as_bytes())?;
    Ok(stderr.flush()?)
}

fn first_line(input: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line).context("the password cannot be read")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Makes the verifier under the configuration's own parameters and limits.
pub(super) async fn verifier(opened: &Opened, password: &Password) -> anyhow::Result<String> {
    let limits = &opened.config.password;
    opened.reload_state.passwords.hash(password, Input::Password).await.map_err(|rejection| {
        match rejection.code {
            ErrorCode::InvalidInput => anyhow!(
                "the password needs {} characters or more, and at most {} bytes",
                limits.min_length,
                limits.max_length
            ),
            _ => anyhow!("the password cannot be hashed: {}", rejection.reason),
        }
    })
}
