//! The real binary as a process of its own.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::DEADLINE;

/// A running `munjigi run`, whose log is read until it listens.
pub(crate) struct Process {
    child: Child,
    /// The HTTPS address.
    pub address: SocketAddr,
    /// The admin address.
    pub admin: SocketAddr,
}

impl Process {
    /// Starts `munjigi run` on a configuration file and waits until it listens.
    pub(crate) async fn run(config: &Path) -> Self {
        Self::run_with(config, &["run"]).await
    }

    /// Starts it with this verb and its arguments.
    pub(crate) async fn run_with(config: &Path, verb: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_munjigi"));
        command.arg("--config").arg(config).args(verb);
        Self::listening(command, None).await
    }

    /// Starts it with a signal ignored, as a service manager may.
    pub(crate) async fn run_ignoring(config: &Path, signal: &str) -> Self {
        let mut command = Command::new("sh");
        let script = format!("trap '' {signal}; exec \"$0\" --config \"$1\" run");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_munjigi")]).arg(config);
        Self::listening(command, None).await
    }

    /// Starts it with its access log going to a file.
    pub(crate) async fn run_logging(config: &Path, lines: &Path) -> Self {
        let mut command = Command::new("sh");
        let script = "exec \"$0\" --config \"$1\" run > \"$2\"";
        command.args(["-c", script, env!("CARGO_BIN_EXE_munjigi")]).args([config, lines]);
        Self::listening(command, None).await
    }

    /// The process's number.
    pub(crate) fn pid(&self) -> String {
        self.child.id().expect("munjigi runs").to_string()
    }

    /// Starts a command that becomes `munjigi run`; what it prints goes into a file as well.
    pub(crate) async fn listening(mut command: Command, mut log: Option<File>) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = async {
            let mut before = String::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                keep(log.as_mut(), &line);
                let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if event["message"] == "listening" {
                    return event;
                }
                before.push_str(&line);
                before.push('\n');
            }
            panic!("munjigi ended before it listened:\n{before}")
        };
        let event = tokio::time::timeout(DEADLINE, listening).await.expect("munjigi listens");
        // Keeps the pipe drained, so that a full one never blocks the process.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep(log.as_mut(), &line);
            }
        });
        let address = first_address(&event["listening"]);
        let admin = first_address(&event["admin"]);
        Self { child, address, admin }
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal by name (`TERM`, `HUP`, `STOP`, `CONT`).
    pub(crate) async fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid()]).status().await.unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub(crate) async fn wait(mut self) -> std::process::ExitStatus {
        tokio::time::timeout(DEADLINE, self.child.wait()).await.expect("munjigi ends").unwrap()
    }
}

fn keep(log: Option<&mut File>, line: &str) {
    if let Some(log) = log {
        writeln!(log, "{line}").unwrap();
    }
}

/// Runs a verb with `stdin`, and gives what it printed.
pub(crate) async fn munjigi(config: &Path, arguments: &[&str], stdin: &str) -> Output {
    run(&mut verb(config, arguments), stdin).await
}

/// A verb that is still to be run.
pub(crate) fn verb(config: &Path, arguments: &[&str]) -> Command {
    let mut verb = Command::new(env!("CARGO_BIN_EXE_munjigi"));
    verb.arg("--config").arg(config).args(arguments);
    verb
}

/// Runs a command with `stdin`, and gives what it printed.
pub(crate) async fn run(command: &mut Command, stdin: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // A verb that reads nothing may have closed its input already.
    drop(input.write_all(stdin.as_bytes()).await);
    drop(input);
    tokio::time::timeout(DEADLINE, child.wait_with_output()).await.expect("it ends").unwrap()
}

/// The first address in a field of the log.
fn first_address(field: &serde_json::Value) -> SocketAddr {
    let text = field.as_str().unwrap_or_default();
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or_else(|_| panic!("no address in {field}"))
}
