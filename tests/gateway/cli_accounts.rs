//! How accounts are typed on the command line: passwords on a terminal, roles and permissions.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::harness::process::{munjigi, verb};
use crate::harness::{DEADLINE, Gateway, Setup, Version, request};

/// Runs a verb on a terminal on which `typed` is typed: whether it succeeds, and its messages.
async fn on_terminal(config: &Path, words: &[&str], typed: &str) -> (bool, String) {
    let mut person = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
    let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
    person.write_all(typed.as_bytes()).unwrap();
    let mut verb = verb(config, words);
    let verb = verb.stdin(Stdio::from(terminal)).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, verb.output()).await.expect("it ends").unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_set_on_a_terminal_is_typed_twice() {
    let gateway = Gateway::start(Setup::default()).await;
    let file = gateway.file();
    let add = ["user", "add", "--email", "you@example.com"];
    let passwd = ["user", "passwd", "you@example.com"];

    let (done, said) = on_terminal(&file, &add, "correct horse 1\ncorrect horse 2\n").await;
    assert!(!done && said.contains("the two passwords differ"), "{said}");
    assert!(!gateway.munjigi(&["user", "show", "you@example.com"]).await.status.success());
    let (done, said) = on_terminal(&file, &add, "correct horse 1\ncorrect horse 1\n").await;
    assert!(done && said.contains("Password: ") && said.contains("again: "), "{said}");

    let (done, said) = on_terminal(&file, &passwd, "battery staple 2\n\n").await;
    assert!(!done && said.contains("the two passwords differ"), "{said}");
    let (done, said) = on_terminal(&file, &passwd, "\n").await;
    assert!(!done && said.contains("no password was given"), "{said}");
    let mut client = gateway.client(Version::H1).await;
    let login = request("POST", "/auth/login")
        .json(r#"{"email": "you@example.com", "password": "correct horse 1"}"#);
    assert_eq!(login.send(&mut client).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_shown_unless_some_are_named() {
    let gateway = Gateway::start(Setup::default()).await;
    let added = ["--username", "ann", "--role", "admin", "--permission", "SMS"];
    gateway.add_user(&added, "correct horse 1").await;
    let rights = async |more: &[&str]| {
        let output = gateway.munjigi(&[&["--json", "user", "rights", "ann"], more].concat()).await;
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), shown["roles"].clone(), shown["permissions"].clone())
    };
    let before = (Some(0), json!(["admin"]), json!(["SMS"]));

    assert_eq!(rights(&[]).await, before);
    assert_eq!(rights(&["--reason", "left"]).await.0, Some(1));
    assert_eq!(rights(&["--none", "--role", "editor"]).await.0, Some(2));
    assert_eq!(rights(&[]).await, before);
    assert_eq!(rights(&["--role", "editor"]).await, (Some(0), json!(["editor"]), json!([])));
    assert_eq!(rights(&["--none"]).await, (Some(0), json!([]), json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_no_name_of_a_role_or_permission() {
    let missing = Path::new("/nonexistent/munjigi.toml");
    for (option, name) in
        [("--role", "a,b"), ("--role", "a b"), ("--permission", "a\tb"), ("--permission", "")]
    {
        for words in [["user", "add", "--username", "ann"], ["user", "rights", "ann", "--reason=x"]]
        {
            let output = munjigi(missing, &[&words[..], &[option, name]].concat(), "").await;
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{option} {name:?}: {said}");
            assert!(said.contains("give the option again"), "{option} {name:?}: {said}");
        }
    }
}
