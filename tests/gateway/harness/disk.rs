//! A file system of its own, as small as wanted, that only what is started on it sees.

use std::fs;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::DEADLINE;

/// A disk that is gone with this value and what was started on it.
pub(crate) struct Disk {
    /// Holds the mount namespace.
    holder: Child,
    place: PathBuf,
}

impl Disk {
    /// Mounts one of so many KiB at `place`.
    ///
    /// # Panics
    /// The tests may neither mount nor make a user namespace in which they may.
    pub(crate) async fn mount(place: &Path, kib: u32) -> Self {
        let script = format!("mount -t tmpfs -o size={kib}k none \"$0\" && echo && exec cat");
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "sh", "-c", &script]).arg(place).kill_on_drop(true);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = holder.stdout.take().unwrap();
        let mounted = tokio::time::timeout(DEADLINE, said.read_u8()).await.expect("in time");
        assert!(
            mounted.is_ok(),
            "the tests mount a disk: run them as root, or allow user namespaces"
        );
        Self { holder, place: place.to_owned() }
    }

    /// The real binary, to be started on it.
    pub(crate) fn munjigi(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_munjigi"))
    }

    /// A script to be run on it, whose `$0` is the real binary.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut command = self.command("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_munjigi")]);
        command
    }

    /// Lets nobody write any more.
    pub(crate) async fn make_read_only(&self) {
        let mut remount = self.command("mount");
        remount.args(["-o", "remount,bind,ro"]).arg(&self.place);
        assert!(remount.status().await.unwrap().success());
    }

    /// Fills it to its last byte.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        let full = std::iter::repeat_with(|| file.write_all(&[0; 4096])).find_map(Result::err);
        assert_eq!(full.unwrap().kind(), ErrorKind::StorageFull);
    }

    /// Makes room again.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid(), "--mount"]);
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(program);
        command
    }

    /// As seen from here.
    fn filler(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()));
        root.join(self.place.strip_prefix("/").unwrap()).join("filler")
    }

    fn pid(&self) -> String {
        self.holder.id().unwrap().to_string()
    }
}

/// The real binary, which the permissions of files hold also where the tests run as root.
pub(crate) fn powerless() -> Command {
    if !is_root() {
        return Command::new(env!("CARGO_BIN_EXE_munjigi"));
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-all", "--inh-caps", "-all"]);
    command.arg(env!("CARGO_BIN_EXE_munjigi"));
    command
}

/// Runs a verb to its end; its exit status, and all that it printed.
pub(crate) async fn told(mut command: Command, config: &Path, verb: &[&str]) -> (bool, String) {
    command.arg("--config").arg(config).args(verb).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(DEADLINE, command.output()).await.expect("it ends");
    let Output { status, stdout, stderr } = ended.unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
