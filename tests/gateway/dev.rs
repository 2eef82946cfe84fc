//! `munjigi dev`, as a newcomer meets it: the banner's own lines, pasted into a shell.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::process::Child;
use tokio::process::Command;

use crate::harness::DEADLINE;

/// A running `munjigi dev` and what it printed.
struct Dev {
    child: Child,
    banner: Vec<String>,
}

impl Dev {
    async fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_munjigi"))
            .args(["dev", "--port", "0", "--admin-port", "0"])
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut banner = Vec::new();
        let read = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let last = line.contains("Ctrl-C stops");
                banner.push(line);
                if last {
                    return;
                }
            }
            panic!("dev ended: {banner:?}");
        };
        tokio::time::timeout(DEADLINE, read).await.expect("a banner in time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, banner }
    }

    /// The lines to paste.
    fn lines(&self) -> Vec<String> {
        let after = self.banner.iter().skip_while(|line| !line.contains("Try it:")).skip(1);
        after.take_while(|line| !line.is_empty()).map(|line| line.trim().to_owned()).collect()
    }

    /// Pastes all lines into one shell; gives the status of each request, and what was printed.
    async fn paste(&self, folder: &Path) -> (Vec<String>, String) {
        // The status goes to standard error, so that what the lines print and pipe stays as it is.
        let script = format!(
            "curl() {{ command curl -sS -w '%{{stderr}}STATUS %{{http_code}}\\n' \"$@\"; }}\n{}\n",
            self.lines().join("\n")
        );
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(DEADLINE, output).await.expect("it ends").unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let statuses = errors.lines().filter_map(|line| line.split("STATUS ").nth(1));
        let statuses = statuses.map(str::to_owned).collect();
        (statuses, String::from_utf8_lossy(&output.stdout).into_owned() + &errors)
    }

    async fn stop(mut self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").arg(&pid).status().await.unwrap().success());
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await.expect("it stops");
        assert_eq!(ended.unwrap().code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_banners_lines_walk_through_the_main_job() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &[]).await;

    let (statuses, printed) = dev.paste(folder.path()).await;

    assert_eq!(statuses, ["401", "201", "200", "200", "200", "401"], "{printed}");
    assert!(printed.contains("\"x-user-email\": \"you@example.com\""), "{printed}");
    dev.stop().await;

    let again = Dev::start(folder.path(), &[]).await;
    let lines = again.lines().join("\n");
    assert!(!lines.contains("signup"), "an account exists, and the line is still there: {lines}");
    let (statuses, printed) = again.paste(folder.path()).await;
    assert_eq!(statuses, ["401", "200", "200", "200", "401"], "{printed}");
    again.stop().await;

    let fresh = Dev::start(folder.path(), &["--fresh"]).await;
    assert!(fresh.lines().join("\n").contains("signup"));
    fresh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_without_sign_up_says_how_accounts_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--contract", "zdm"]).await;

    let (statuses, printed) = dev.paste(folder.path()).await;

    assert_eq!(statuses, ["401", "201", "200", "401"], "{printed}");
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]).await;

    let (statuses, printed) = dev.paste(folder.path()).await;

    assert_eq!(statuses, ["401", "201", "200", "200", "200", "401"], "{printed}");
    dev.stop().await;
    assert!(!folder.path().join("data/dev/munjigi.db").exists());
}
