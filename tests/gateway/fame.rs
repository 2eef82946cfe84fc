//! `fame`, held to the product's own document, byte for byte.

use crate::harness::{
    Client, Gateway, Reply, Setup, assert_case, assert_transcript, everywhere, request,
};

const ISSUED: &str = r#"200
    content-type: application/json
    cache-control: no-store

    {"token":"<token>","refreshToken":"<refresh>"}"#;
const FORM: &str = "application/x-www-form-urlencoded";
const CREDENTIALS: &str = r#"{"email": "user@example.com", "password": "your_password"}"#;

fn setup() -> Setup {
    let routes = "{ path = \"/sms/*\", upstream = \"{upstream}\", permissions = [\"SMS\"] },\n\
                  { path = \"/fame/*\", upstream = \"{upstream}\", permissions = [\"FAME\"] },\n\
                  { path = \"/*\", upstream = \"{upstream}\" },";
    Setup { routes: routes.to_owned(), ..Setup::contract("fame") }
}

async fn add_user(gateway: &Gateway) {
    let user = ["--email", "user@example.com", "--permission", "SMS"];
    gateway.add_user(&user, "your_password").await;
}

async fn post(client: &mut Client, path: &str, media_type: &str, body: &str) -> Reply {
    let typed = request("POST", &format!("/api/v1/auth/{path}")).header("content-type", media_type);
    typed.body(body.as_bytes().to_vec()).send(client).await
}

async fn login(client: &mut Client) -> (String, String) {
    let reply = post(client, "login", "application/json", CREDENTIALS).await;
    let found = assert_transcript(&reply, ISSUED);
    (found["token"].clone(), found["refresh"].clone())
}

/// A refusal: a code and words.
fn refusal(status: u16) -> String {
    let body = r#"{"error":"<code>","message":"<message>"}"#;
    format!("{status}\ncontent-type: application/json\n\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn login_takes_a_form_json_and_json_under_the_forms_type() {
    everywhere(setup(), async |gateway, mut client| {
        add_user(gateway).await;
        let form = "email=user%40example.com&password=your_password";
        let charset = "application/x-www-form-urlencoded; charset=UTF-8";
        let rows = [
            (FORM, form),
            (charset, form),
            (FORM, CREDENTIALS),
            ("application/json", CREDENTIALS),
            ("application/json; charset=utf-8", CREDENTIALS),
        ];
        for (media_type, body) in rows {
            let reply = post(&mut client, "login", media_type, body).await;
            assert_case(&format!("{media_type} {body}"), &reply, ISSUED);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_token_in_authorization_does_no_harm_at_the_endpoints() {
    everywhere(setup(), async |gateway, mut client| {
        add_user(gateway).await;
        for old in ["Bearer old", "{Bearer}", "eyJhbGciOiJIUzI1NiJ9.e30.x", "Basic x"] {
            let login = request("POST", "/api/v1/auth/login").header("authorization", old);
            let login = login.header("content-type", FORM).body(CREDENTIALS.into());
            assert_transcript(&login.send(&mut client).await, ISSUED);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_checked_in_korean_time() {
    everywhere(setup(), async |gateway, mut client| {
        add_user(gateway).await;
        let (token, refresh) = login(&mut client).await;
        let valid = r#"200
            content-type: application/json

            {"token":"<token>","valid-until":"<until>"}"#;
        let json = format!(r#"{{"token": "{token}"}}"#);
        let form = format!("token={token}");
        for (media_type, body) in [(FORM, &form), (FORM, &json), ("application/json", &json)] {
            let reply = post(&mut client, "checkTokenValidity", media_type, body).await;
            let found = assert_transcript(&reply, valid);
            assert_eq!(found["token"], token);
            assert_korean_time(&found["until"], &token);
        }
        let forged = format!("token={}x", &token[..token.len() - 1]);
        let refresh = format!("token={refresh}");
        for body in [&forged, &refresh, "token=x"] {
            let reply = post(&mut client, "checkTokenValidity", FORM, body).await;
            assert_transcript(&reply, &refusal(401));
        }
        for body in ["", "other=1", "{}", "token="] {
            let reply = post(&mut client, "checkTokenValidity", FORM, body).await;
            assert_transcript(&reply, &refusal(400));
        }
        let output = gateway.munjigi(&["revoke", "token", &token]).await;
        assert!(output.status.success());
        crate::harness::eventually("the revocation arrives", async || {
            let reply = post(&mut client, "checkTokenValidity", FORM, &form).await;
            (reply.status == 401).then_some(())
        })
        .await;
    })
    .await;
}

/// Holds `YYYY-MM-DD HH:MM:SS` to a token's `exp`, nine hours ahead of UTC.
fn assert_korean_time(text: &str, token: &str) {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let korean = time::UtcOffset::from_hms(9, 0, 0).unwrap();
    let expires = time::OffsetDateTime::from_unix_timestamp(claims["exp"].as_i64().unwrap());
    let expires = expires.unwrap().to_offset(korean);
    let expected = format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        expires.year(),
        u8::from(expires.month()),
        expires.day(),
        expires.hour(),
        expires.minute(),
        expires.second()
    );
    assert_eq!(text, expected);
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 24 * 3600);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_refresh_token_goes_by_three_names() {
    everywhere(setup(), async |gateway, mut client| {
        add_user(gateway).await;
        let (_, mut refresh) = login(&mut client).await;
        let rows = [
            (FORM, "refreshToken=<refresh>"),
            (FORM, "refresh_token=<refresh>"),
            (FORM, "refresh+token=<refresh>"),
            (FORM, "refresh%20token=<refresh>"),
            (FORM, r#"{"refreshToken": "<refresh>"}"#),
            ("application/json", r#"{"refreshToken": "<refresh>"}"#),
            ("application/json", r#"{"refresh_token": "<refresh>"}"#),
            ("application/json", r#"{"refresh token": "<refresh>"}"#),
        ];
        for (media_type, body) in rows {
            let body = body.replace("<refresh>", &refresh);
            let reply = post(&mut client, "tokenRefresh", media_type, &body).await;
            let found = assert_transcript(&reply, ISSUED);
            let hello = request("GET", "/hello").bearer(&found["token"]).send(&mut client).await;
            assert_eq!(hello.status, 200);
            refresh = found["refresh"].clone();
        }
        let (token, _) = login(&mut client).await;
        for wrong in ["nothing", &token] {
            let body = format!("refreshToken={wrong}");
            let reply = post(&mut client, "tokenRefresh", FORM, &body).await;
            assert_transcript(&reply, &refusal(401));
        }
        let reply = post(&mut client, "tokenRefresh", FORM, "").await;
        assert_transcript(&reply, &refusal(400));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_one_shape() {
    everywhere(setup(), async |gateway, mut client| {
        add_user(gateway).await;
        let rows = [
            (FORM, "email=user%40example.com", 400),
            (FORM, "password=your_password", 400),
            (FORM, "email=user%40example.com&password=", 400),
            (FORM, "email=%ff&password=your_password", 400),
            (FORM, "", 400),
            (FORM, "{", 400),
            ("application/json", "{", 400),
            ("application/json", r#"{"email":7,"password":"your_password"}"#, 400),
            ("text/plain", CREDENTIALS, 400),
            (FORM, "email=user%40example.com&password=wrong+one", 401),
            (FORM, "email=nobody%40example.com&password=your_password", 401),
        ];
        for (media_type, body, status) in rows {
            let reply = post(&mut client, "login", media_type, body).await;
            let found = assert_case(&format!("{media_type} {body}"), &reply, &refusal(status));
            let code = &found["code"];
            assert!(code.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{code}");
        }
        let reply = request("GET", "/api/v1/auth/login").send(&mut client).await;
        assert_transcript(&reply, &refusal(405));
        let reply = request("GET", "/hello").send(&mut client).await;
        assert_transcript(&reply, &refusal(401));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_travel_in_the_token_and_open_routes() {
    everywhere(setup(), async |gateway, mut client| {
        add_user(gateway).await;
        let (token, _) = login(&mut client).await;
        for authorization in [format!("Bearer {token}"), token.clone()] {
            let ask = |path| request("GET", path).header("authorization", &authorization);
            let reply = ask("/sms/send").send(&mut client).await;
            assert_eq!(reply.status, 200, "{authorization}");
            assert_eq!(reply.json()["headers"]["x-user-permissions"][0], "SMS");
            let reply = ask("/fame/list").send(&mut client).await;
            assert_transcript(&reply, &refusal(403));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_401_when_checked() {
    let tables = "[site.\"localhost\".tokens]\naccess_ttl = \"1s\"\n".to_owned();
    let gateway = Gateway::start(Setup { tables, ..setup() }).await;
    add_user(&gateway).await;
    let mut client = gateway.client(crate::harness::Version::H2).await;
    let (token, _) = login(&mut client).await;
    let body = format!("token={token}");

    let reply = crate::harness::eventually("the token expires", async || {
        let reply = post(&mut client, "checkTokenValidity", FORM, &body).await;
        (reply.status != 200).then_some(reply)
    })
    .await;

    assert_transcript(&reply, &refusal(401));
}
