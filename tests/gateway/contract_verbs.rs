//! `munjigi contract`: what there is, what it looks like, and whether a file is one.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::harness::process::munjigi;

/// The verbs read no configuration, and so take one that is not there.
async fn contract(arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["contract"].iter().chain(arguments).copied().collect();
    munjigi(Path::new("/nonexistent/munjigi.toml"), &arguments, "").await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn data(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_is_none_exits_78_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acme.toml");
    let faulty = "name = \"acme\"\nabout = \"x\"\n[tokens]\nalgorithm = \"HS255\"\naccess_ttl = \"1h\"\n\
                  [envelope]\nerror = { e = \"{eror.kind}\" }\n[errors]\ndefault = {}\n";
    std::fs::write(&file, faulty).unwrap();
    let (file, absent) = (file.to_str().unwrap(), "/nonexistent/acme.toml");
    let rows: [(&str, &[&str], &[&str]); 5] = [
        ("faults", &["check", file], &["HS255", "acme.toml:4:13", "eror.kind", "`login`"]),
        ("faults of a file to show", &["show", file], &["did you mean `HS256`?"]),
        ("no file", &["check", absent], &["cannot read the contract", absent]),
        ("no file to show", &["show", absent], &["cannot read the contract", absent]),
        ("no such name", &["show", "zmd"], &["no contract is named `zmd`", "zdm"]),
    ];
    for (name, arguments, parts) in rows {
        let output = contract(arguments).await;

        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{name}: {errors}");
        for part in parts {
            assert!(errors.contains(part), "{name}: {part} is missing:\n{errors}");
        }
        assert!(output.stdout.is_empty(), "{name}");
    }
    assert_eq!(contract(&["check"]).await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_is_one_line() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/contracts/zdm.toml");
    let file = file.to_str().unwrap();

    let output = contract(&["check", file]).await;
    assert_eq!(text(&output.stdout), format!("✓ {file}  contract zdm, 1 endpoint\n"));
    let checked = data(&contract(&["check", file, "--json"]).await);
    assert_eq!((&checked["contract"], &checked["endpoints"]), (&"zdm".into(), &1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_built_in_contract_is_listed_and_shown() {
    let listed = data(&contract(&["list", "--json"]).await);
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"standard") && names.contains(&"zdm"), "{names:?}");
    let list = text(&contract(&["list"]).await.stdout);

    for (name, one) in names.iter().zip(listed.as_array().unwrap()) {
        let about = one["about"].as_str().unwrap();
        assert!(list.contains(about), "{about}: {list}");

        let page = text(&contract(&["show", name]).await.stdout);
        let shown = data(&contract(&["show", name, "--json"]).await);
        assert!(page.starts_with(&format!("{name}: {about}\n")), "{page}");
        assert_eq!(shown["about"], about);
        assert!(!shown["errors"].as_array().unwrap().is_empty(), "{name}");
        for endpoint in shown["endpoints"].as_array().unwrap() {
            let (method, path) = (&endpoint["method"], endpoint["path"].as_str().unwrap());
            let heading = format!("{}: {} {path}\n", endpoint["operation"], method);
            assert!(page.contains(&heading.replace('"', "")), "{heading}: {page}");
            assert_eq!(endpoint["status"], endpoint["response"]["status"], "{name} {path}");
        }
    }
}

/// From the contract's document.
const LOGIN: &str = r#"
login: POST /api/v1/auth/issue
------------------------------

INPUT     FROM           NEED
email     body:email     required
password  body:password  required

  POST /api/v1/auth/issue
  Content-Type: application/json

  {
    "email": "user@example.com",
    "password": "correct horse 1"
  }

  201 Created
  Cache-Control: no-store
  Content-Type: application/json

  {
    "success": true,
    "requestID": "#;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shows_a_request_and_its_answer() {
    let page = text(&contract(&["show", "zdm"]).await.stdout);

    assert!(page.contains(LOGIN), "{page}");
    for part in [
        "tokens      HS256, access 1day, no refresh, a login ends the user's other sessions\n",
        "OPERATION  METHOD  PATH                STATUS\nlogin      POST    /api/v1/auth/issue  201\n",
        "\"expiresAt\": \"2025-01-16T10:30:00Z\"",
        "\ninvalid_credentials  404     {\"success\":false,",
        "\nupstream_timeout",
    ] {
        assert!(page.contains(part), "{part} is missing:\n{page}");
    }
    for absent in ["invalid_grant", "account_exists"] {
        assert!(!page.contains(absent), "{absent} cannot happen:\n{page}");
    }
}
