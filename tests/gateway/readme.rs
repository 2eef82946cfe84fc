//! README.md, replayed: its configuration is checked, its commands exist.

use std::path::Path;

use crate::harness::process::munjigi;

fn blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let text = text.unwrap();
    let begin = format!("```{language}\n");
    text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_whole_and_good() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, more] = blocks("toml").try_into().unwrap();
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
async fn the_commands_exist() {
    let file = Path::new("munjigi.toml");
    let commands: Vec<String> = blocks("sh")
        .iter()
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let verbs: Vec<&str> =
        commands.iter().filter_map(|line| line.strip_prefix("munjigi ")).collect();
    assert!(verbs.len() >= 5, "{commands:?}");
    for verb in verbs {
        let words: Vec<&str> = verb.split(" #").next().unwrap().split_whitespace().collect();
        // Words that are no options or arguments of a verb are bad usage, which is 2; a missing
        // configuration file is not.
        let output = munjigi(file, &words, "").await;
        assert_ne!(output.status.code(), Some(2), "{verb}: {output:?}");
    }
    for line in ["cargo run -- dev", "tests/run"] {
        assert!(commands.iter().any(|command| command == line), "{line}");
    }
}
