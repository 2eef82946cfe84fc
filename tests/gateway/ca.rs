//! `munjigi ca`: the local authority in the stores of browsers, with real NSS databases.

use std::path::Path;
use std::process::{Command, Output};

fn munjigi(folder: &Path, home: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_munjigi"));
    command.args(words).current_dir(folder).env("HOME", home).output().unwrap()
}

/// The names and trust of a database's certificates.
fn listed(database: &Path) -> String {
    let database = format!("sql:{}", database.display());
    let output = Command::new("certutil").args(["-L", "-d", &database]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn browsers_trust_it_until_they_do_not() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let profile = home.path().join(".mozilla/firefox/x.default");
    std::fs::create_dir_all(&profile).unwrap();
    let made = Command::new("certutil")
        .args(["-N", "-d", &format!("sql:{}", profile.display()), "--empty-password"])
        .status();
    assert!(made.unwrap().success());
    let stores = [home.path().join(".pki/nssdb"), profile];
    let browsers = |verb| ["--json", "ca", verb, "--store", "browsers"];

    for _ in 0..2 {
        let trusted = munjigi(folder.path(), home.path(), &browsers("trust"));
        assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
        let reports: serde_json::Value = serde_json::from_slice(&trusted.stdout).unwrap();
        let done: Vec<_> = reports.as_array().unwrap().iter().map(|it| &it["done"]).collect();
        assert_eq!(done, [true, true], "{reports}");
    }

    for store in &stores {
        let text = listed(store);
        let lines: Vec<_> = text.lines().filter(|line| line.contains("Munjigi local")).collect();
        assert_eq!(lines.len(), 1, "{text}");
        assert!(lines[0].trim_end().ends_with("C,,"), "{text}");
    }
    assert!(folder.path().join("certs/dev/ca.pem").is_file());
    for _ in 0..2 {
        let untrusted = munjigi(folder.path(), home.path(), &browsers("untrust"));
        assert!(untrusted.status.success(), "{}", String::from_utf8_lossy(&untrusted.stderr));
    }
    for store in &stores {
        assert!(!listed(store).contains("Munjigi"), "{}", listed(store));
    }
    let other = tempfile::tempdir().unwrap();
    let nothing = munjigi(other.path(), home.path(), &browsers("untrust"));
    assert!(!nothing.status.success());
    let said = String::from_utf8(nothing.stderr).unwrap();
    assert!(said.contains("no authority; `munjigi dev` makes it"), "{said}");
}
