//! `munjigi dev`, as a newcomer meets it: the banner's own lines, pasted into a shell.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::browser::pin_of;
use crate::harness::devtools::Tab;
use crate::harness::process::munjigi;
use crate::harness::{Browser, DEADLINE, eventually};

/// A running `munjigi dev` and what it printed.
struct Dev {
    child: Child,
    banner: Vec<String>,
    /// The lines after the banner.
    log: Arc<Mutex<Vec<String>>>,
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
        let log = Arc::new(Mutex::new(Vec::new()));
        let printed = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                printed.lock().unwrap().push(line);
            }
        });
        Self { child, banner, log }
    }

    /// The gateway's origin.
    fn origin(&self) -> String {
        let line = self.banner.iter().find(|line| line.contains("Gateway ")).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    }

    /// The line of a mail's arrival, without what stands before the address.
    async fn mail_to(&self, address: &str) -> String {
        let start = format!("  Mail to {address}: ");
        eventually("a line of the mail", async || {
            let log = self.log.lock().unwrap();
            log.iter().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
        })
        .await
    }

    /// Status and body of a request with curl's further arguments.
    async fn curl(&self, folder: &Path, path: &str, arguments: &[&str]) -> (String, String) {
        let output = Command::new("curl")
            .args(["-sS", "--cacert", "certs/dev/ca.pem", "-w", "\n%{http_code}"])
            .args(arguments)
            .arg(format!("{}{path}", self.origin()))
            .current_dir(folder)
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(DEADLINE, output).await.expect("it ends").unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
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

    assert_eq!(statuses, ["401", "201", "200", "200", "200", "200", "401"], "{printed}");
    assert!(printed.contains("\"x-user-email\": \"you@example.com\""), "{printed}");
    dev.stop().await;

    let again = Dev::start(folder.path(), &[]).await;
    let lines = again.lines().join("\n");
    assert!(!lines.contains("signup"), "an account exists, and the line is still there: {lines}");
    let (statuses, printed) = again.paste(folder.path()).await;
    assert_eq!(statuses, ["401", "200", "200", "200", "200", "401"], "{printed}");
    again.stop().await;

    let fresh = Dev::start(folder.path(), &["--fresh"]).await;
    assert!(fresh.lines().join("\n").contains("signup"));
    fresh.stop().await;
}

/// A contract, the statuses of its walk, and what its lines print on the way.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

#[tokio::test(flavor = "multi_thread")]
async fn every_contract_is_walked_through_from_no_token_to_a_revoked_one() {
    let rows: [Row; 6] = [
        (
            "standard",
            &["401", "201", "200", "200", "200", "200", "401"],
            &["\"x-user-email\": \"you@example.com\"", "\"refresh_token\""],
        ),
        (
            "zdm",
            &["401", "201", "200", "401"],
            &["\"x-user-email\": \"you@example.com\"", "revoked token"],
        ),
        (
            "auth-api",
            &["401", "200", "200", "200", "200", "200", "401"],
            &["\"x-user-roles\": \"user\"", "\"refreshToken\""],
        ),
        (
            "username",
            &["401", "200", "200", "200", "200", "401"],
            &["\"x-user-name\": \"you\"", "\"accessTokenExpiresIn\""],
        ),
        (
            "zipcheck",
            &["401", "200", "200", "200", "200", "200", "401"],
            &["\"x-user-email\": \"you@example.com\"", "authorization: Bearer "],
        ),
        (
            "fame",
            &["401", "200", "200", "200", "200", "401"],
            &["\"valid-until\"", "\"refreshToken\"", "revoked token"],
        ),
    ];
    let walks = rows.map(|row| tokio::spawn(walk(row)));
    for walk in walks {
        walk.await.unwrap();
    }
}

async fn walk((name, expected, parts): Row) {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--contract", name]).await;

    let (statuses, printed) = dev.paste(folder.path()).await;

    let lines = dev.lines().join("\n");
    assert_eq!(statuses, expected, "{name}:\n{lines}\n{printed}");
    for part in parts {
        assert!(printed.contains(part), "{name}: {part} is missing:\n{lines}\n{printed}");
    }
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_of_a_walk_is_made_once_for_each_way_to_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--contract", "zdm"]).await;
    assert!(dev.lines().join("\n").contains("user add --email you@example.com"));
    let (statuses, printed) = dev.paste(folder.path()).await;
    assert_eq!(statuses.len(), 4, "{printed}");
    dev.stop().await;

    let again = Dev::start(folder.path(), &["--contract", "standard"]).await;
    let (statuses, printed) = again.paste(folder.path()).await;
    assert_eq!(statuses, ["401", "200", "200", "200", "200", "401"], "{printed}");
    again.stop().await;

    let file = folder.path().join("own.toml");
    std::fs::write(&file, OWN).unwrap();
    let own = Dev::start(folder.path(), &["--contract", "own.toml"]).await;
    let (statuses, printed) = own.paste(folder.path()).await;
    assert_eq!(statuses, ["401", "201", "200", "200", "200", "204", "401"], "{printed}");
    own.stop().await;
}

/// Tokens in headers of their own, both ways.
const OWN: &str = r#"
name = "own"
about = "Tokens in headers, a form for a body."
not_served = [
    "me", "sessions", "end_session", "change_password", "social_login", "check_token",
    "request_reset", "confirm_reset", "request_verification", "confirm_verification",
]

[tokens]
algorithm = "ES256"
access_ttl = "10m"
refresh_ttl = "1d"

[envelope]
error = { reason = "{error.kind}" }

[errors]
default = {}

[[endpoint]]
operation = "sign_up"
path = "PUT /people"
status = 201
input = { username = "body:account.name", password = "body:account.secret" }
data = { number = "{user.id}" }

[[endpoint]]
operation = "login"
path = "POST /session"
accept = ["form", "json"]
input = { username = "body:user name", password = "body:password" }
headers = { X-Own-Token = "Token {access_token}", X-Own-Next = "{refresh_token}" }
data = { name = "{user.username}" }

[[endpoint]]
operation = "refresh"
path = "POST /session/next"
input = { refresh_token = "header:X-Own-Next" }
headers = { X-Own-Token = "Token {access_token}" }
data = {}

[[endpoint]]
operation = "logout"
path = "DELETE /session"
status = 204
input = { access_token = "bearer" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn mails_are_caught_where_a_contract_sends_any() {
    for (contract, sends) in [("zipcheck", true), ("zdm", false)] {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(folder.path(), &["--contract", contract]).await;

        let banner = dev.banner.join("\n");
        assert_eq!(banner.contains("Mail       data/dev/mail"), sends, "{contract}: {banner}");
        let file = std::fs::read_to_string(folder.path().join("data/dev/munjigi.toml")).unwrap();
        assert!(file.contains("[mail]\nurl = \"dir:mail\"\n"), "{contract}: {file}");
        dev.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_nothing() {
    let rows: [(&str, &[&str]); 2] = [
        ("standard", &["401", "201", "200", "200", "200", "200", "401"]),
        // No verb reaches the memory of another process: the account is there, and stays in.
        ("zdm", &["401", "201", "200"]),
    ];
    for (contract, expected) in rows {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(folder.path(), &["--memory", "--contract", contract]).await;

        let (statuses, printed) = dev.paste(folder.path()).await;

        assert_eq!(statuses, expected, "{contract}: {printed}");
        assert!(!dev.lines().join("\n").contains("--config"), "{contract}: {:?}", dev.lines());
        if contract == "standard" {
            ask_for_a_code(&dev, folder.path()).await;
        }
        dev.stop().await;
        for kept in ["munjigi.db", "munjigi.toml", "mail", "mail-in-memory"] {
            assert!(!folder.path().join("data/dev").join(kept).exists(), "{kept}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_of_another_origin_is_let_in_and_an_edited_file_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data/dev/munjigi.toml");
    let origin = ["--origin", "http://localhost:5173", "--contract", "zipcheck"];
    let dev = Dev::start(folder.path(), &origin).await;
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains("origins = [\"http://localhost:5173\"]"), "{written}");
    assert!(written.contains("cookie_same_site = \"none\""), "{written}");
    let checked = munjigi(&file, &["check"], "").await;
    let checked = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    assert!(!checked.contains("keeps no cookie"), "{checked}");
    dev.stop().await;

    let lax = written.replace("cookie_same_site", "#cookie_same_site");
    std::fs::write(&file, &lax).unwrap();
    let checked = munjigi(&file, &["check"], "").await;
    let checked = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    assert!(checked.contains("keeps no cookie of `*` for pages of http://localhost"), "{checked}");
    assert!(checked.contains("third-party") && checked.contains("by https"), "{checked}");

    let edited = Dev::start(folder.path(), &["--fresh"]).await;
    assert!(edited.banner.join("\n").contains("edited: in force as it is"), "{:?}", edited.banner);
    let (statuses, printed) = edited.paste(folder.path()).await;
    assert_eq!(statuses, ["401", "200", "200", "200", "200", "200", "401"], "{printed}");
    edited.stop().await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), lax);

    let refused = Command::new(env!("CARGO_BIN_EXE_munjigi"))
        .args(["dev", "--contract", "zdm"])
        .current_dir(folder.path())
        .output();
    let refused = tokio::time::timeout(DEADLINE, refused).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("was edited"), "{said}");
}

/// Has a reset code mailed to the account of the walk.
async fn ask_for_a_code(dev: &Dev, folder: &Path) -> String {
    let body = ["--json", r#"{"email":"you@example.com"}"#];
    let (status, answer) = dev.curl(folder, "/auth/password/reset", &body).await;
    assert_eq!(status, "202", "{answer}");
    let line = dev.mail_to("you@example.com").await;
    line.strip_prefix("Your password reset code: ").expect("a code").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caught_mail_is_a_line_of_the_terminal_and_a_page_of_this_machine() {
    const NAVIGATION: [&str; 2] = ["-H", "Accept: text/html"];
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--open", "/assets/*", "--open", "/"]).await;
    assert!(dev.banner.join("\n").contains("except / /assets/* /public/*"), "{:?}", dev.banner);
    dev.paste(folder.path()).await;

    let code = ask_for_a_code(&dev, folder.path()).await;

    let (_, page) = dev.curl(folder.path(), "/public/mails", &NAVIGATION).await;
    assert!(page.contains("you@example.com") && page.contains(&code), "{page}");
    let korean = [NAVIGATION.as_slice(), &["-H", "Accept-Language: ko-KR"]].concat();
    let (_, page) = dev.curl(folder.path(), "/public/mails", &korean).await;
    assert!(page.contains("<h1>받아 둔 메일</h1>") && page.contains(&code), "{page}");
    let (_, described) = dev.curl(folder.path(), "/public/mails", &[]).await;
    assert!(described.starts_with("{\n") && !described.contains(&code), "{described}");
    let elsewhere = [NAVIGATION.as_slice(), &["-H", "Host: attacker.example"]].concat();
    let (status, refused) = dev.curl(folder.path(), "/public/mails", &elsewhere).await;
    assert!(status == "403" && !refused.contains(&code), "{status} {refused}");
    for (path, expected) in [("/", "200"), ("/assets/a.css", "200"), ("/api/hello", "401")] {
        assert_eq!(dev.curl(folder.path(), path, &[]).await.0, expected, "{path}");
    }
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_up_with_the_caught_code_and_sees_what_a_sign_out_ends() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &[]).await;
    let pin = pin_of(&folder.path().join("certs/dev/key.pem"));
    let browser = Browser::open("about:blank", &[pin]);
    let mut tab = Tab::open(&browser, &format!("{}/", dev.origin())).await;
    tab.until("the sign-in page", "document.title.startsWith('Sign in') && !!document.forms[0]")
        .await;
    tab.run("document.querySelector('a[href*=sign-up]').click()").await;
    tab.until("the sign-up page", "location.pathname == '/account/sign-up' && !!document.forms[0]")
        .await;
    let fields = [("email", "ann@example.com"), ("new-password", "correct horse 1")];
    tab.send_form(&fields, "/account/verify").await;
    let mut mails = Tab::open(&browser, &format!("{}/public/mails", dev.origin())).await;
    mails.until("the mail", "!!document.querySelector('[data-copy]:not([hidden])')").await;
    let code = mails.run("document.querySelector('[data-copy]').dataset.copy").await;
    tab.send_form(&[("code", code.as_str().unwrap())], "n=verified").await;
    let fields = [("identifier", "ann@example.com"), ("current-password", "correct horse 1")];
    tab.send_form(&fields, &format!("{}/", dev.origin())).await;

    let is_open = |id: &str| format!("document.getElementById('{id}')?.textContent == 'open'");
    tab.until("the socket is open", &is_open("socket")).await;
    tab.until("the stream is open", &is_open("stream")).await;
    tab.run("document.getElementById('send').click()").await;
    let shown = "document.querySelector('#requests')?.innerText.includes('/whoami/hello')";
    tab.until("its own request arrives", shown).await;
    assert_eq!(tab.run("document.querySelector('.facts dd').textContent").await, "ann@example.com");
    mails.run("location.href = '/account/sign-out'").await;
    mails
        .until("the question", "document.title.startsWith('Sign out') && !!document.forms[0]")
        .await;
    mails.send_form(&[], "n=out").await;

    let closed = "document.getElementById('socket').textContent.startsWith('closed: 1008')";
    tab.until("the socket is closed", closed).await;
    drop((tab, mails));
    browser.close().await;
    dev.stop().await;
}
