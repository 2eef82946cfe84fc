//! The command line: its verbs and flags, and the exit status.
//!
//! Exit status: 0 good, 1 a failure at run time, 2 bad usage, 78 a bad configuration
//! (`EX_CONFIG` of sysexits.h).

mod audit_trail;
mod ca;
mod check;
mod completions;
mod config;
mod context;
mod contract;
mod dev;
mod explain;
mod init;
mod man;
mod new_file;
mod output;
mod progress;
mod revoke;
mod run;
mod session;
mod store;
mod token;
mod user;
mod version;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::app::AppError;
use crate::app::error::AssembleError;
use crate::config::Faults;
use crate::token::install_crypto;

use context::Context;
use output::Output;

/// Munjigi (문지기, "gatekeeper"): TLS, accounts, tokens and enforced revocation in one binary.
///
/// Try it: `munjigi dev` runs everything on this machine, with lines to paste.
/// Use it: write a munjigi.toml (`munjigi init`), `munjigi check` it, then `munjigi run`.
#[derive(Debug, Parser)]
#[command(name = "munjigi", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    /// Configuration file [default: munjigi.toml, then /etc/munjigi/munjigi.toml]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print data as JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a gateway to try things with: own CA, own store, a backend that shows what it gets
    #[command(after_help = DEV)]
    Dev(dev::DevArgs),
    /// Let this machine's browsers and programs trust the certificate of `munjigi dev`, or not
    #[command(subcommand, after_help = "Example:\n  munjigi ca trust")]
    Ca(ca::CaVerb),
    /// Write a first munjigi.toml, for one site and its backend
    #[command(after_help = INIT)]
    Init(init::InitArgs),
    /// Run the gateway
    #[command(after_help = RUN)]
    Run(run::RunArgs),
    /// Check the configuration and say everything that is wrong with it, at once
    #[command(after_help = CHECK)]
    Check(check::CheckArgs),
    /// Show every key of a configuration
    #[command(subcommand, after_help = "Example:\n  munjigi config reference")]
    Config(config::ConfigVerb),
    /// Say what the gateway would do with a request, and why
    #[command(after_help = EXPLAIN)]
    Explain(explain::ExplainArgs),
    /// Show the auth APIs that are built in, or check one of your own
    #[command(subcommand, after_help = CONTRACT)]
    Contract(contract::ContractVerb),
    /// Make, show and change accounts
    #[command(subcommand, after_help = USER)]
    User(user::UserVerb),
    /// Make a token, or say what one is worth
    #[command(subcommand, after_help = TOKEN)]
    Token(token::TokenVerb),
    /// List a user's sessions
    #[command(subcommand, after_help = SESSION)]
    Session(session::SessionVerb),
    /// End a token, a session, or all of a user, a key or a site, at once and on every gateway
    #[command(subcommand, after_help = REVOKE)]
    Revoke(revoke::RevokeVerb),
    /// Copy the store to another, save it in a file, or look it over
    #[command(subcommand, after_help = STORE)]
    Store(store::StoreVerb),
    /// Print a script with which a shell completes verbs and options
    #[command(after_help = COMPLETIONS)]
    Completions(completions::CompletionsArgs),
    /// Write a manual page for each verb
    #[command(after_help = MAN)]
    Man(man::ManArgs),
    /// Print the version
    #[command(after_help = "Example:\n  munjigi version --json")]
    Version,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Without arguments clap prints the help; `parse` exits with 2 on bad usage by itself.
    let cli = Cli::parse();
    install_crypto();
    let output = Output::new(cli.json);
    let context = Context::new(cli.config, output);
    let done = runtime().and_then(|runtime| runtime.block_on(dispatch(cli.verb, &context)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(status(&error))
        }
    }
}

/// The runtime of everything but connections, which have their workers.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().context("no runtime")
}

async fn dispatch(verb: Verb, context: &Context) -> anyhow::Result<()> {
    match verb {
        Verb::Dev(args) => Box::pin(dev::dev(args, context)).await,
        Verb::Ca(verb) => ca::ca(verb, context).await,
        Verb::Init(args) => init::init(&args, context),
        Verb::Run(args) => Box::pin(run::run(args, context)).await,
        Verb::Check(args) => Box::pin(check::check(args, context)).await,
        Verb::Config(verb) => config::config(&verb, context),
        Verb::Explain(args) => Box::pin(explain::explain(args, context)).await,
        Verb::Contract(verb) => contract::contract(verb, context),
        Verb::User(verb) => Box::pin(user::user(verb, context)).await,
        Verb::Token(verb) => Box::pin(token::token(verb, context)).await,
        Verb::Session(verb) => Box::pin(session::session(verb, context)).await,
        Verb::Revoke(verb) => Box::pin(revoke::revoke(verb, context)).await,
        Verb::Store(verb) => Box::pin(store::store(verb, context)).await,
        Verb::Completions(args) => completions::completions(&args, context),
        Verb::Man(args) => man::man(&args, context),
        Verb::Version => version::version(context),
    }
}

/// `EX_CONFIG` for every error of the configuration.
fn status(error: &anyhow::Error) -> u8 {
    const BAD_CONFIGURATION: u8 = 78;
    let config = error.chain().any(|cause| {
        cause.is::<Faults>()
            || matches!(cause.downcast_ref(), Some(AssembleError::Config(_)))
            || matches!(
                cause.downcast_ref(),
                Some(AppError::Assemble(AssembleError::Config(_)) | AppError::Tls(_))
            )
    });
    if config { BAD_CONFIGURATION } else { 1 }
}

const DEV: &str = "\
Examples:
  munjigi dev                              the built-in backend, lines to paste
  munjigi dev --to http://127.0.0.1:3000   your own application behind it
  munjigi dev --open '/assets/*'           a path that needs no token
  munjigi dev --origin http://localhost:5173   a front end with its own server
  munjigi dev --fresh --contract zdm       from nothing, with another auth API";
const INIT: &str = "\
Writes munjigi.toml into this folder, or the file that --config names, readable for its owner alone.
A file that is there already stays as it is.

Examples:
  munjigi init --site api.example.com --upstream http://127.0.0.1:3000 && munjigi check
  munjigi init --config /etc/munjigi/munjigi.toml --site '*' --upstream http://10.0.0.7:8080";
const RUN: &str = "\
SIGHUP reads the configuration again, whole or not at all. SIGTERM drains for `shutdown_grace` and
ends; a second one ends at once. A variable MUNJIGI_SECTION__KEY wins over the file.

Examples:
  munjigi run
  MUNJIGI_LOG__LEVEL=debug munjigi run --config /etc/munjigi/munjigi.toml";
const CHECK: &str = "\
Reads the configuration with its contracts, keys and certificates; touches neither store nor port.
With --deep it also connects to the store, refuses what a start would refuse, and says what the
store's settings mean for the promise. Exit status: 0 good, 78 not, 1 if the store is not.

Examples:
  munjigi check && kill -HUP \"$(pidof munjigi)\"
  munjigi check --deep --config staging.toml";
const EXPLAIN: &str = "\
Examples:
  munjigi explain GET https://api.example.com/orders/7
  munjigi explain DELETE https://api.example.com/admin/x --token - < token.txt";
const CONTRACT: &str = "\
A contract is the shape of an auth API as its clients know it: paths, fields, envelopes, messages and
tokens. It is a TOML file: several are built in, and yours is one more.

Examples:
  munjigi contract list
  munjigi contract show standard
  munjigi contract check ./contracts/acme.toml";
const USER: &str = "\
Works beside a running gateway, which learns of the change by itself, and tells of it in its audit
trail ([log] audit) with its reason and who typed it.

Examples:
  munjigi user add --email root@example.com --role admin
  munjigi user passwd root@example.com --password-stdin < password.txt
  munjigi user disable root@example.com --reason \"left in May\"
  munjigi user import users.csv --dry-run";
const TOKEN: &str = "\
Examples:
  token=$(munjigi token issue --user root@example.com --ttl 5m)
  munjigi token inspect \"$token\"";
const SESSION: &str = "\
Example:
  munjigi session list root@example.com";
const STORE: &str = "\
Examples:
  munjigi store backup /var/backups/munjigi.db
  munjigi store check
  munjigi store copy --from sqlite:munjigi.db --to redis://10.0.0.5:6379";
const COMPLETIONS: &str = "\
Examples:
  munjigi completions bash > /etc/bash_completion.d/munjigi
  munjigi completions zsh > ~/.zfunc/_munjigi
  munjigi completions fish > ~/.config/fish/completions/munjigi.fish";
const MAN: &str = "\
Example:
  munjigi man /usr/local/share/man/man1 && man munjigi-user-add";
const REVOKE: &str = "\
Works beside running gateways, which refuse what is revoked within the propagation time. Each is
told in their audit trail ([log] audit) with its reason and who typed it.

Examples:
  munjigi revoke user root@example.com     everything of theirs, everywhere
  munjigi revoke session ID                one login (munjigi session list)
  munjigi revoke token - < token.txt       one access token
  munjigi revoke key KID --reason leaked   everything that a key signed, and a new key";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    /// A verb, or the verbs under it.
    fn without_example(verb: &clap::Command, path: &str) -> Vec<String> {
        let path = format!("{path} {}", verb.get_name());
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        let own = !help.contains("Example");
        let below = verb.get_subcommands().flat_map(|below| without_example(below, &path));
        own.then(|| path.clone()).into_iter().chain(below).collect()
    }

    #[test]
    fn the_help_of_every_verb_has_an_example() {
        let command = Cli::command();
        let verbs = command.get_subcommands();
        let lacking: Vec<String> =
            verbs.flat_map(|verb| without_example(verb, "munjigi")).collect();

        assert!(lacking.is_empty(), "{lacking:#?}");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
