//! The pages for people, replayed: their configurations are checked, their commands exist.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::process::{munjigi, run, verb};

/// The commands of the README that are not the program's own.
const OTHERS: [&str; 3] = ["cargo build --release --locked", "cargo run -- dev", "tests/run"];

fn text(page: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap()
}

fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    let text = text(page);
    text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_whole_and_good() {
    let folder = tempfile::tempdir().unwrap();
    let [whole] = blocks("README.md", "toml").try_into().unwrap();
    let [more] = blocks("docs/configuration.md", "toml").try_into().unwrap();
    let file = folder.path().join("munjigi.toml");
    std::fs::write(&file, &whole).unwrap();
    let certs = folder.path().join("certs");
    std::fs::create_dir(&certs).unwrap();
    let pair = rcgen::generate_simple_self_signed(["api.example.com".to_owned()]).unwrap();
    std::fs::write(certs.join("api.example.com.pem"), pair.cert.pem()).unwrap();
    std::fs::write(certs.join("api.example.com.key"), pair.signing_key.serialize_pem()).unwrap();

    let cors = "contract = \"standard\"\ncors = { origins = [\"https://app.example.com\"] }\n\
                cookie_same_site = \"none\"\n";
    let with_cors = whole.replace("contract = \"standard\"\n", cors);
    assert_ne!(with_cors, whole);
    for text in [whole.clone(), whole + &more, with_cors] {
        std::fs::write(&file, text).unwrap();
        let output = munjigi(&file, &["check"], "").await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_are_whole_and_good() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "8f0c5b1d9e7a4f63b2c81d5e6f7a9b0c3d4e5f60718293a4b5c6d7e8f9a0b1c2";
    for file in ["issuer.secret", "redis.password"] {
        std::fs::write(folder.path().join(file), secret).unwrap();
    }
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let example = entry.unwrap().path();
        let file = folder.path().join(example.file_name().unwrap());
        std::fs::copy(&example, &file).unwrap();
        let output = munjigi(&file, &["check"], "").await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_exist() {
    // What a command writes lands here, and `init` finds no folder for its file.
    let folder = tempfile::tempdir().unwrap();
    let file = Path::new("missing/munjigi.toml");
    let blocks = blocks("README.md", "sh");
    let commands: Vec<&str> = blocks.iter().flat_map(|block| block.lines()).collect();
    let (verbs, others): (Vec<&str>, Vec<&str>) =
        commands.into_iter().partition(|line| line.starts_with("munjigi "));

    assert_eq!(others, OTHERS);
    assert!(verbs.len() >= 5, "{verbs:?}");
    for command in verbs {
        let words: Vec<&str> = command.split(" #").next().unwrap().split_whitespace().collect();
        // Words that are no options or arguments of a verb are bad usage, which is 2; a missing
        // configuration file is not.
        let output = run(verb(file, &words[1..]).current_dir(folder.path()), "").await;
        assert_ne!(output.status.code(), Some(2), "{command}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_that_are_named_in_passing_exist() {
    let docs = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    let docs = docs.filter(|page| page.ends_with(".md"));
    let pages = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "ARCHITECTURE.md"];
    let mut named = BTreeSet::new();
    for page in pages.map(str::to_owned).into_iter().chain(docs) {
        let text = text(&page);
        // The text between back-ticks, up to the first placeholder.
        for code in text.split('`').skip(1).step_by(2) {
            let Some(words) = code.strip_prefix("munjigi ") else { continue };
            let is_fixed = |word: &&str| {
                word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
            };
            let words = words.split_whitespace().take_while(is_fixed);
            named.insert(words.map(str::to_owned).collect::<Vec<_>>());
        }
    }

    assert!(named.len() > 10, "{named:?}");
    for words in named {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let output = munjigi(Path::new("munjigi.toml"), &words, "").await;
        assert!(output.status.success(), "{words:?}: {output:?}");
    }
}
