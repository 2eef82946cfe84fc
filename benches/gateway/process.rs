//! A gateway as a child process of a bench.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// A child that is ended with the bench.
pub(crate) struct Process {
    /// Itself.
    pub(crate) child: Child,
    /// Its address.
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts the gateway, or the one that `MUNJIGI_BIN` names; its log says where it listens.
    pub(crate) fn gateway(config: &Path) -> Self {
        let own = env!("CARGO_BIN_EXE_munjigi").into();
        let child = Command::new(env::var_os("MUNJIGI_BIN").unwrap_or(own))
            .args(["--config".as_ref(), config.as_os_str(), "run".as_ref()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut process = Self { child, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        let mut log = BufReader::new(process.child.stderr.take().unwrap());
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "the gateway ended:\n{said}");
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"] == "listening" {
                process.address = event["listening"].as_str().unwrap().parse().unwrap();
                thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                return process;
            }
            said.push_str(&line);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A gateway stops within its grace; an instrumented one writes its counts (benches/pgo).
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-s", "TERM", &id]).status();
        if !told.is_ok_and(|status| status.success()) {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}
