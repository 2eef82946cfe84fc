//! A product that nobody has is served by a file that its operator wrote, named by path.

use std::sync::Arc;

use crate::harness::{Gateway, Setup, Upstream, Version, assert_literal, request};

const CONTRACT: &str = r#"
name = "acme"
about = "Nested bodies, a token in a header of its own, a 204."
not_served = [
    "refresh", "me", "sessions", "end_session", "change_password", "social_login", "check_token",
    "request_reset", "confirm_reset", "request_verification", "confirm_verification",
]

[tokens]
algorithm = "ES384"
access_ttl = "10m"
default_role = "member"

[envelope]
success = { ok = true, result = { payload = "{data}" } }
error = { ok = false, reason = "{message}" }

[errors]
invalid_credentials = { status = 403, message = "who are you?" }
default = { message = "{error.kind}" }

[[endpoint]]
operation = "sign_up"
path = "PUT /people"
status = 201
input = { username = "body:account.name", password = "body:account.secret" }
data = { number = "{user.id}", rank = "{user.role}" }

[[endpoint]]
operation = "login"
path = "POST /session"
input = { username = "body:account.name", password = "body:account.secret" }
headers = { X-Acme-Token = "{access_token}" }
data = { name = "{user.username}" }

[[endpoint]]
operation = "logout"
path = "DELETE /session"
status = 204
input = { access_token = "bearer" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_file_of_the_operators_own_is_served() {
    let upstream = Upstream::start().await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("acme.toml"), CONTRACT).unwrap();
    let text = Setup::contract("./acme.toml").text(&upstream);
    let gateway = Gateway::start_in(folder, &text, upstream).await;
    let account = r#"{"account": {"name": "Ann", "secret": "correct horse 1"}}"#;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;

        let made = request("PUT", "/people").json(account).send(&mut client).await;
        if version == Version::H1 {
            assert_eq!(made.status, 201);
            let expected =
                r#"{"ok": true, "result": {"payload": {"number": 1, "rank": "member"}}}"#;
            assert_literal(&made.body, expected);
        } else {
            assert_eq!(made.status, 409);
            assert_literal(&made.body, r#"{"ok": false, "reason": "account_exists"}"#);
        }

        let wrong = account.replace("horse", "house");
        let wrong = request("POST", "/session").json(&wrong).send(&mut client).await;
        assert_eq!(wrong.status, 403);
        assert_literal(&wrong.body, r#"{"ok": false, "reason": "who are you?"}"#);

        let login = request("POST", "/session").json(account).send(&mut client).await;
        assert_eq!(login.status, 200);
        assert_literal(&login.body, r#"{"ok": true, "result": {"payload": {"name": "ann"}}}"#);
        let token = login.header("x-acme-token").to_owned();
        let seen = request("GET", "/x").bearer(&token).send(&mut client).await;
        assert_eq!(seen.json()["headers"]["x-user-roles"], serde_json::json!(["member"]));

        let logout = request("DELETE", "/session").bearer(&token).send(&mut client).await;
        assert_eq!((logout.status.as_u16(), logout.body.len()), (204, 0));
        let refused = request("GET", "/x").bearer(&token).send(&mut client).await;
        assert_eq!(refused.status, 401);
        assert_literal(&refused.body, r#"{"ok": false, "reason": "invalid_token"}"#);
    }
}
