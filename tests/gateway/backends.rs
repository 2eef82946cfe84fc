//! `config/backends.md`: what a backend reads in identity headers is what the token says.

use std::path::Path;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Client, Gateway, Setup, Version, request};

const SECRET: &str = "q3Zr7Vt1xK9mPz2LcN8bYw5HsJ4dGf6A";

/// A site that believes every token signed with [`SECRET`].
async fn start() -> Gateway {
    munjigi::token::install_crypto();
    let tables = format!(
        "[site.\"localhost\".tokens]\nissuer = \"https://idp.example\"\naudience = [\"api\"]\n\
         keys = [{{ kid = \"hs\", algorithm = \"HS256\", secret = \"{SECRET}\" }}]\n\
         [site.\"localhost\".identity]\nclaims = {{ \"X-Plan\" = \"plan\" }}\n"
    );
    Gateway::start(Setup { tables, ..Setup::contract("none") }).await
}

/// The headers that a backend gets for a user with these claims.
async fn headers(client: &mut Client, claims: &Value) -> Value {
    let mut all =
        json!({ "iss": "https://idp.example", "aud": "api", "sub": "7", "exp": 9_999_999_999_u64 });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let header = Header { kid: Some("hs".to_owned()), ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    let token = jsonwebtoken::encode(&header, &all, &key).unwrap();
    let reply = request("GET", "/x").bearer(&token).send(client).await;
    assert_eq!(reply.status, 200, "{claims}: {}", reply.text());
    reply.json()["headers"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_or_role_can_pass_for_another() {
    let gateway = start().await;
    let mut client = gateway.client(Version::H2).await;
    let rows = [
        ("admin", "admin"),
        ("adm%69n", "adm%2569n"),
        ("가", "%EA%B0%80"),
        ("%EA%B0%80", "%25EA%25B0%2580"),
        (" admin", "%20admin"),
        ("%20admin", "%2520admin"),
        ("a b, c", "a b, c"),
        ("100%", "100%25"),
    ];
    for (name, sent) in rows {
        let claims = json!({ "sub": name, "username": name, "plan": name });
        let headers = headers(&mut client, &claims).await;
        for header in ["x-user-id", "x-user-name", "x-plan"] {
            assert_eq!(headers[header], json!([sent]), "{header}");
        }
    }
    let mail = headers(&mut client, &json!({ "email": "adm%69n@example.com" })).await;
    assert_eq!(mail["x-user-email"], json!(["adm%2569n@example.com"]));
    let rows = [
        (json!(["staff,admin"]), "staff%2Cadmin"),
        (json!(["staff%2Cadmin"]), "staff%252Cadmin"),
        (json!(["staff", "admin"]), "staff,admin"),
        (json!(["staff", " admin", "관리"]), "staff,%20admin,%EA%B4%80%EB%A6%AC"),
    ];
    for (list, sent) in rows {
        let claims = json!({ "roles": list, "permissions": list, "plan": list });
        let headers = headers(&mut client, &claims).await;
        for header in ["x-user-roles", "x-user-permissions", "x-plan"] {
            assert_eq!(headers[header], json!([sent]), "{header}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_lines_decode_what_a_backend_receives() {
    let gateway = start().await;
    let mut client = gateway.client(Version::H1).await;
    let (name, roles) = ("50% 이+é, adm%69n ", ["a,b", "c%2Cd", "1+1", "관리"]);
    let headers = headers(&mut client, &json!({ "username": name, "roles": roles })).await;
    let [name_sent, roles_sent] =
        ["x-user-name", "x-user-roles"].map(|header| headers[header][0].as_str().unwrap());
    let expected = format!("{name}\n{}\n", roles.join("\n"));

    for (language, interpreter, before, after) in LANGUAGES {
        let program = format!("{before}\n{}\n{after}", lines_in(language))
            .replace("NAME", name_sent)
            .replace("ROLES", roles_sent);
        let file = gateway.folder.path().join(language);
        std::fs::write(&file, program).unwrap();
        let printed = run(interpreter, &file).await;
        // `tests/run` sees to Python; the others are tried where they are at hand.
        assert!(printed.is_some() || language != "python", "python3 is needed");
        if let Some(printed) = printed {
            assert_eq!(printed, expected, "{language}");
        }
    }
}

/// Language of the page, its interpreter, and what makes a program of the page's lines.
const LANGUAGES: [(&str, &[&str], &str, &str); 3] = [
    (
        "python",
        &["python3", "-X", "utf8"],
        "class request:\n    headers = {'X-User-Name': 'NAME', 'X-User-Roles': 'ROLES'}",
        "print(name, *roles, sep='\\n')",
    ),
    (
        "js",
        &["node"],
        "const request = { headers: { 'x-user-name': 'NAME', 'x-user-roles': 'ROLES' } };",
        "console.log([name, ...roles].join('\\n'));",
    ),
    (
        "java",
        &["java", "--source", "17"],
        "import java.net.URLDecoder; import java.util.*; import java.util.function.*;
         import java.util.stream.*; import static java.nio.charset.StandardCharsets.UTF_8;
         class Main {
             String getHeader(String name) { return name.endsWith(\"Name\") ? \"NAME\" : \"ROLES\"; }
             public static void main(String[] arguments) { Main request = new Main();",
        "new java.io.PrintStream(System.out, true, UTF_8)
             .print(name + \"\\n\" + String.join(\"\\n\", roles) + \"\\n\"); } }",
    ),
];

fn lines_in(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/backends.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect(language);
    rest.split("```").next().unwrap().to_owned()
}

/// The output of a program; `None` if its interpreter is not installed.
async fn run(interpreter: &[&str], program: &Path) -> Option<String> {
    let command = Command::new(interpreter[0]).args(&interpreter[1..]).arg(program).output();
    Some(String::from_utf8(command.await.ok()?.stdout).unwrap())
}

const BACKEND: &str = "0f4b1c9a7d3e5f60718293a4b5c6d7e8";

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_is_told_of_attributes_in_headers_and_on_the_admin_listener() {
    let tables = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
         backend_secret = \"{BACKEND}\"\n\
         [site.\"localhost\".identity]\nattributes = {{ \"X-User-Phone\" = \"phone\" }}\n"
    );
    let gateway = Gateway::start(Setup { tables, ..Setup::contract("auth-api") }).await;
    let mut client = gateway.client(Version::H1).await;
    let sign = r#"{"email":"user@example.com","password":"Pass123!","phone":"010 가","role":"user","provider":"email"}"#;
    let login = r#"{"email":"user@example.com","password":"Pass123!"}"#;
    assert_eq!(request("POST", "/api/auth/sign").json(sign).send(&mut client).await.status, 200);
    let reply = request("POST", "/api/auth/login").json(login).send(&mut client).await.json();
    let refresh = format!(r#"{{"refreshToken":{}}}"#, reply["data"]["refreshToken"]);
    let refreshed = request("POST", "/api/auth/refresh").json(&refresh).send(&mut client).await;
    let issued = gateway.munjigi(&["token", "issue", "--user", "user@example.com"]).await;
    let tokens = [
        reply["data"]["accessToken"].as_str().unwrap().to_owned(),
        refreshed.json()["data"]["accessToken"].as_str().unwrap().to_owned(),
        String::from_utf8(issued.stdout).unwrap().trim().to_owned(),
    ];
    for token in tokens {
        let spoofed = request("GET", "/x").bearer(&token).header("x_user_phone", "6");
        let seen = spoofed.send(&mut client).await.json();
        assert_eq!(seen["headers"]["x-user-phone"], json!(["010 %EA%B0%80"]), "{seen}");
        assert_eq!(seen["headers"].get("x_user_phone"), None);
    }

    let secret = format!("Bearer {BACKEND}");
    for (path, authorization, status) in [
        ("/munjigi/users/1", secret.as_str(), "200"),
        ("/munjigi/users/1?realm=default", &secret, "200"),
        ("/munjigi/users/1?realm=other", &secret, "404"),
        ("/munjigi/users/2", &secret, "404"),
        ("/munjigi/users/01", &secret, "404"),
        ("/munjigi/users/", &secret, "404"),
        ("/munjigi/users/1", "", "401"),
        ("/munjigi/users/1", &secret[..secret.len() - 1], "401"),
        ("/munjigi/users/1", BACKEND, "401"),
    ] {
        let (answer, code) = ask_admin(&gateway, path, authorization).await;
        assert_eq!(code, status, "{path} {authorization}: {answer}");
        if status == "200" {
            let user: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!((&user["id"], &user["email"]), (&json!(1), &json!("user@example.com")));
            assert_eq!(user["attributes"], json!({ "phone": "010 가" }));
            assert!(!answer.contains("argon2"), "{answer}");
        }
    }
    let without = Gateway::start(Setup::default()).await;
    let (_, code) = ask_admin(&without, "/munjigi/users/1", &secret).await;
    assert_eq!(code, "404", "not there unless it is configured");
}

/// The body and the status.
async fn ask_admin(gateway: &Gateway, path: &str, authorization: &str) -> (String, String) {
    let url = format!("http://{}{path}", gateway.app().admin().unwrap());
    let output = Command::new("curl")
        .args([
            "-sS",
            "-w",
            "\n%{http_code}",
            "-H",
            &format!("Authorization: {authorization}"),
            &url,
        ])
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let (body, code) = printed.rsplit_once('\n').unwrap();
    (body.to_owned(), code.to_owned())
}
