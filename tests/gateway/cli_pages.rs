//! What the command line needs no gateway for: its version, completions, pages, a first configuration.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
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

#[tokio::test(flavor = "multi_thread")]
async fn config_reference_is_the_file_of_every_key() {
    let reference = printed(&["config", "reference"]).await;
    assert_eq!(reference, include_str!("../../config/munjigi.toml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn init_writes_a_configuration_that_is_good_and_private() {
    for (site, upstream) in [
        ("API.example.com", "http://127.0.0.1:3000"),
        ("*", "https://backend.example"),
        ("*.example.com", "http://[::1]:8080/"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("munjigi.toml");
        let words = ["init", "--site", site, "--upstream", upstream];

        let made = munjigi(&file, &words, "").await;
        assert!(made.status.success(), "{made:?}");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let checked = munjigi(&file, &["check", "--deep"], "").await;
        assert!(checked.status.success(), "{checked:?}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("[site.\"{}\"]", site.to_lowercase())), "{text}");
        assert!(text.contains(upstream.trim_end_matches('/')), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_init_proposes_in_comments_is_good_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("munjigi.toml");
    let words = ["init", "--site", "localhost", "--upstream", "http://127.0.0.1:3000"];
    munjigi(&file, &words, "").await;
    let text = std::fs::read_to_string(&file).unwrap();
    // `#key` is a setting, `# word` a sentence.
    let in_force: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .collect();
    std::fs::write(&file, in_force.join("\n")).unwrap();

    let checked = munjigi(&file, &["check"], "").await;

    // Its certificate is not there: nothing else is at fault.
    let said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(said.matches("munjigi.toml:").count(), 1, "{said}");
    assert!(said.contains("certs/site.pem"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_leaves_what_is_there_and_refuses_what_is_no_site() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("munjigi.toml");
    let init = async |site, upstream| {
        let output = munjigi(&file, &["init", "--site", site, "--upstream", upstream], "").await;
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };

    let (code, said) = init("https://a.example", "http://127.0.0.1:3000").await;
    assert!(code == Some(2) && said.contains("without https://"), "{said}");
    let (code, said) = init("a.example", "127.0.0.1:3000").await;
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    std::fs::write(&file, "mine").unwrap();
    let (code, said) = init("a.example", "http://127.0.0.1:3000").await;
    assert!(code == Some(1) && said.contains("is there already"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
