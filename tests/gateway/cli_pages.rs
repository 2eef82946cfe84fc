//! The command line about itself: its version, completions and manual pages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::process::{munjigi, run};

/// What a verb prints that needs no configuration.
async fn printed(words: &[&str]) -> String {
    let output = munjigi(Path::new("/nonexistent/munjigi.toml"), words, "").await;
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn version_says_the_same_as_the_flag() {
    let flag = printed(&["--version"]).await;
    assert_eq!(printed(&["version"]).await, flag);

    let version: Value = serde_json::from_str(&printed(&["version", "--json"]).await).unwrap();
    assert_eq!(version, json!({ "name": "munjigi", "version": env!("CARGO_PKG_VERSION") }));
    assert_eq!(flag.trim_end(), concat!("munjigi ", env!("CARGO_PKG_VERSION")));
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_are_scripts_that_name_every_verb() {
    let verbs = verbs_below("").await;
    assert!(verbs.contains("munjigi-completions"), "{verbs:?}");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell]).await;
        for verb in &verbs {
            let name = verb.rsplit('-').next().unwrap();
            assert!(script.contains(name), "{shell} lacks {verb}");
        }
    }

    let script = printed(&["completions", "bash"]).await;
    let checked = run(Command::new("bash").arg("-n"), &script).await;
    assert!(checked.status.success(), "{checked:?}");
    // Bash asks the function for what can follow `munjigi user unl`.
    let ask = format!(
        "{script}\nCOMP_WORDS=(munjigi user unl); COMP_CWORD=2\n\
         _munjigi munjigi unl user; echo \"${{COMPREPLY[@]}}\""
    );
    let answer = run(Command::new("bash").stdin(Stdio::piped()), &ask).await;
    assert_eq!(String::from_utf8(answer.stdout).unwrap(), "unlock\n");

    let unknown = munjigi(Path::new("none"), &["completions", "dos"], "").await;
    assert_eq!(unknown.status.code(), Some(2));
}

/// Names of the pages of the verbs that the help of `path` lists, and of those below them.
async fn verbs_below(path: &str) -> BTreeSet<String> {
    let words: Vec<&str> = path.split_whitespace().chain(["--help"]).collect();
    let help = printed(&words).await;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed.take_while(|line| !line.is_empty()).filter_map(|line| {
        let is_name = line.starts_with("  ") && !line.starts_with("   ");
        is_name.then(|| line.split_whitespace().next()).flatten()
    });
    let mut verbs = BTreeSet::new();
    for name in names.filter(|name| *name != "help") {
        let path = format!("{path} {name}");
        verbs.extend(Box::pin(verbs_below(&path)).await);
        verbs.insert(format!("munjigi{}", path.replace(' ', "-")));
    }
    verbs
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verb_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    let mut expected = verbs_below("").await;
    expected.insert("munjigi".to_owned());
    assert!(expected.contains("munjigi-user-unlock"), "{expected:?}");

    let words = ["man", pages.to_str().unwrap(), "--json"];
    let written: Value = serde_json::from_str(&printed(&words).await).unwrap();

    assert_eq!(written["pages"], expected.len());
    let found = std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path());
    let found: BTreeSet<String> =
        found.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(found, expected);
    let page = std::fs::read_to_string(pages.join("munjigi-user-unlock.1")).unwrap();
    assert!(page.contains("munjigi user unlock you@example.com"), "the example: {page}");

    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = munjigi(&file, &["man", file.to_str().unwrap()], "").await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}
