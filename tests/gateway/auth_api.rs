//! `auth-api`, held to the product's own document, byte for byte.

use serde_json::json;

use crate::harness::{
    Client, Double, Gateway, Person, ProviderReply, Setup, Version, assert_case, assert_transcript,
    everywhere, request,
};

const SIGN: &str = r#"{"email":"user@example.com","password":"Pass123!","phone":"01012345678","role":"user","provider":"email"}"#;
const LOGIN: &str = r#"{"email":"user@example.com","password":"Pass123!"}"#;

fn setup() -> Setup {
    Setup::contract("auth-api")
}

async fn sign(client: &mut Client) {
    let reply = request("POST", "/api/auth/sign").json(SIGN).send(client).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Logs in; gives the access and the refresh token.
async fn login(client: &mut Client) -> (String, String) {
    let reply = request("POST", "/api/auth/login").json(LOGIN).send(client).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let data = &reply.json()["data"];
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    (text("accessToken"), text("refreshToken"))
}

fn refresh_body(token: &str) -> String {
    format!(r#"{{"refreshToken":"{token}"}}"#)
}

/// A time as the document shows it: `2026-02-10T10:00:00Z`.
fn assert_time(text: &str) {
    let is_time = text.len() == 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    assert!(is_time, "{text}");
}

fn is_uuid_v4(text: &str) -> bool {
    uuid::Uuid::parse_str(text).is_ok_and(|uuid| uuid.get_version_num() == 4)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_life_of_an_account() {
    everywhere(setup(), async |_, mut client| {
        let reply = request("POST", "/api/auth/sign").json(SIGN).send(&mut client).await;
        assert_transcript(
            &reply,
            r#"200
            content-type: application/json
            cache-control: no-store

            {"message":"회원가입 성공","data":{"email":"user@example.com","phone":"01012345678",
            "role":"user","provider":"email"},"statusCode":200,"success":true}"#,
        );

        let reply = request("POST", "/api/auth/login").json(LOGIN).send(&mut client).await;
        let first = assert_transcript(
            &reply,
            r#"200
            content-type: application/json
            cache-control: no-store

            {"message":"로그인 성공","data":{"id":<id>,"email":"user@example.com","phone":"01012345678",
            "role":"user","provider":"email","lastLoginAt":"<login>","accessToken":"<access>",
            "refreshToken":"<refresh>","expiresIn":604800,"tokenType":"Bearer",
            "expiresAt":"<expires>"},"statusCode":200,"success":true}"#,
        );
        first["id"].parse::<i64>().expect("an integer");
        assert_time(&first["login"]);
        assert_time(&first["expires"]);
        assert!(is_uuid_v4(&first["refresh"]), "{}", first["refresh"]);
        let hello = request("GET", "/api/hello").bearer(&first["access"]).send(&mut client).await;
        assert_eq!(hello.json()["headers"]["x-user-id"][0], first["id"].as_str());

        let body = refresh_body(&first["refresh"]);
        let reply = request("POST", "/api/auth/refresh").json(&body).send(&mut client).await;
        let second = assert_transcript(
            &reply,
            r#"200
            content-type: application/json
            cache-control: no-store

            {"message":"Token 갱신 성공","data":{"accessToken":"<access>","refreshToken":"<refresh>",
            "expiresIn":604800,"tokenType":"Bearer","expiresAt":"<expires>"},
            "statusCode":200,"success":true}"#,
        );
        assert!(is_uuid_v4(&second["refresh"]));
        assert_ne!(first["refresh"], second["refresh"]);
        assert_ne!(first["access"], second["access"]);

        let logout = request("POST", "/api/auth/logout").bearer(&second["access"]);
        let reply = logout.json(&refresh_body(&second["refresh"])).send(&mut client).await;
        assert_transcript(
            &reply,
            r#"200
            content-type: application/json

            {"message":"로그아웃 성공","data":null,"statusCode":200,"success":true}"#,
        );
        for access in [&first["access"], &second["access"]] {
            let hello = request("GET", "/api/hello").bearer(access).send(&mut client).await;
            assert_transcript(&hello, &refusal(401));
        }
        let body = refresh_body(&second["refresh"]);
        let reply = request("POST", "/api/auth/refresh").json(&body).send(&mut client).await;
        assert_transcript(&reply, &refusal(401));
    })
    .await;
}

/// An error as the document has it; the words are the gateway's.
fn refusal(status: u16) -> String {
    format!(
        "{status}\ncontent-type: application/json\n\n\
         {{\"message\":\"<message>\",\"data\":null,\"statusCode\":{status},\"success\":false}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_the_documents_shape() {
    everywhere(setup(), async |_, mut client| {
        sign(&mut client).await;
        let (sign, login) = ("/api/auth/sign", "/api/auth/login");
        let (refresh, social) = ("/api/auth/refresh", "/api/auth/social/login");
        let rows: [(&str, &str, u16); 23] = [
            (sign, SIGN, 409),
            (sign, r#"{"email":"USER@example.com","password":"Pass123!","provider":"email"}"#, 409),
            (sign, r#"{"email":"b@example.com","password":"Pass123!","provider":"google"}"#, 400),
            (sign, r#"{"email":"b@example.com","password":"Pass123!"}"#, 400),
            (sign, r#"{"email":"b@example.com","password":"short","provider":"email"}"#, 400),
            (sign, r#"{"email":"no address","password":"Pass123!","provider":"email"}"#, 400),
            (sign, r#"{"password":"Pass123!","provider":"email"}"#, 400),
            (sign, r#"{"email":"b@example.com","provider":"email"}"#, 400),
            (
                sign,
                r#"{"email":"b@example.com","password":"Pass123!","provider":"email","phone":7}"#,
                400,
            ),
            (sign, "{", 400),
            (login, r#"{"email":"user@example.com","password":"wrong one"}"#, 401),
            (login, r#"{"email":"nobody@example.com","password":"Pass123!"}"#, 401),
            (login, r#"{"email":"user@example.com"}"#, 400),
            (login, r#"{"email":7,"password":"Pass123!"}"#, 400),
            (login, "[]", 400),
            (login, "", 400),
            (refresh, r#"{"refreshToken":"c0ffee00-0000-4000-8000-000000000000"}"#, 401),
            (refresh, r#"{"refreshToken":"no uuid"}"#, 401),
            (refresh, "{}", 400),
            (refresh, r#"{"refreshToken":null}"#, 400),
            (social, r#"{"provider":"naver","accessToken":"t"}"#, 400),
            (social, r#"{"provider":"google","accessToken":""}"#, 400),
            (social, r#"{"accessToken":"t"}"#, 400),
        ];
        for (path, body, status) in rows {
            let reply = request("POST", path).json(body).send(&mut client).await;
            assert_case(&format!("{path} {body}"), &reply, &refusal(status));
        }
        let reply = request("POST", "/api/auth/logout").json("{}").send(&mut client).await;
        assert_transcript(&reply, &refusal(401));
        assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"localhost\"");
        let reply = request("GET", login).send(&mut client).await;
        assert_transcript(&reply, &refusal(405));
        assert_eq!(reply.header("allow"), "POST");
        let reply = request("GET", "/elsewhere").send(&mut client).await;
        assert_transcript(&reply, &refusal(401));
        let reply = request("GET", "/a%2fb").send(&mut client).await;
        assert_transcript(&reply, &refusal(400));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_given_is_null_and_no_role_is_granted() {
    everywhere(setup(), async |_, mut client| {
        let body =
            r#"{"email":"b@example.com","password":"Pass123!","role":"admin","provider":"email"}"#;
        let reply = request("POST", "/api/auth/sign").json(body).send(&mut client).await;
        assert_transcript(
            &reply,
            r#"200

            {"message":"회원가입 성공","data":{"email":"b@example.com","phone":null,
            "role":"user","provider":"email"},"statusCode":200,"success":true}"#,
        );
        let body = r#"{"email":"b@example.com","password":"Pass123!"}"#;
        let reply = request("POST", "/api/auth/login").json(body).send(&mut client).await;
        assert_eq!(reply.json()["data"]["phone"], serde_json::Value::Null);
        assert_eq!(reply.json()["data"]["role"], "user");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_out_is_of_the_bearers_session_whatever_the_body_names() {
    let gateway = Gateway::start(setup()).await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        if version == Version::H1 {
            sign(&mut client).await;
        }
        let (here, _) = login(&mut client).await;
        let (there, other_refresh) = login(&mut client).await;

        let logout = request("POST", "/api/auth/logout").bearer(&here);
        let reply = logout.json(&refresh_body(&other_refresh)).send(&mut client).await;

        assert_eq!(reply.status, 200, "{}", reply.text());
        let hello = request("GET", "/api/hello").bearer(&there).send(&mut client).await;
        assert_eq!(hello.status, 200, "another session was ended");
        let body = refresh_body(&other_refresh);
        let reply = request("POST", "/api/auth/refresh").json(&body).send(&mut client).await;
        assert_eq!(reply.status, 200, "another session's refresh token was spent");
        for body in ["", "{}"] {
            let (access, _) = login(&mut client).await;
            let logout = request("POST", "/api/auth/logout").bearer(&access).json(body);
            assert_eq!(logout.send(&mut client).await.status, 200, "{body:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_an_operator_made_shows_the_documents_role() {
    let gateway = Gateway::start(setup()).await;
    gateway.add_user(&["--email", "user@example.com"], "Pass123!").await;
    let mut client = gateway.client(Version::H2).await;

    let reply = request("POST", "/api/auth/login").json(LOGIN).send(&mut client).await;

    assert_eq!(reply.json()["data"]["role"], "user", "{}", reply.text());
    assert_eq!(reply.json()["data"]["provider"], "email");
}

#[tokio::test(flavor = "multi_thread")]
async fn social_login_answers_as_the_document_says() {
    let folder = tempfile::tempdir().unwrap();
    let providers = Double::start(folder.path()).await;
    let own = providers.tables("\"web.apps.example\"", "1234");
    let ca = folder.path().join("ca.pem");
    let tables = format!("[social]\nca = \"{}\"\n{own}", ca.display());
    let google = |client, email, verified| Person::google(client, email, email, json!(verified));
    providers.knows("good", google("web.apps.example", "new@example.com", true));
    providers.knows("known", google("web.apps.example", "user@example.com", true));
    providers.knows("foreign", google("another.example", "user@example.com", true));
    providers.knows("unverified", google("web.apps.example", "user@example.com", false));
    let kakao = Person::kakao(1234, 77, json!({ "has_email": false }));
    providers.knows("kakao", kakao.clone());
    providers.knows("away", Person { userinfo: ProviderReply::Json(500, json!({})), ..kakao });
    everywhere(Setup { tables, ..setup() }, async |_, mut client| {
        sign(&mut client).await;
        let (_, refresh) = login(&mut client).await;
        for (provider, token, is_new) in [
            ("google", "good", true),
            ("google", "good", false),
            ("google", "known", false),
            ("kakao", "kakao", true),
            ("kakao", "kakao", false),
        ] {
            let body = json!({ "provider": provider, "accessToken": token }).to_string();
            let social = request("POST", "/api/auth/social/login").json(&body);
            let reply = social.send(&mut client).await;
            let answered = format!(
                "200\ncontent-type: application/json\ncache-control: no-store\n\n\
                 {{\"message\":\"로그인 성공\",\"data\":{{\"userId\":<id>,\"accessToken\":\"<access>\",\
                 \"refreshToken\":\"<refresh>\",\"isNewUser\":{is_new}}},\
                 \"statusCode\":200,\"success\":true}}"
            );
            let found = assert_case(token, &reply, &answered);
            found["id"].parse::<i64>().expect("an integer");
            assert!(is_uuid_v4(&found["refresh"]));
            let hello = request("GET", "/api/hello").bearer(&found["access"]);
            assert_eq!(hello.send(&mut client).await.status, 200);
        }
        let body = refresh_body(&refresh);
        let reply = request("POST", "/api/auth/refresh").json(&body).send(&mut client).await;
        assert_case("the join ends what was never proven", &reply, &refusal(401));
        for (provider, token, status) in [
            ("naver", "good", 400),
            ("kakao", "", 400),
            ("google", "unknown", 401),
            ("google", "foreign", 401),
            ("google", "unverified", 401),
            ("kakao", "away", 500),
        ] {
            let body = json!({ "provider": provider, "accessToken": token }).to_string();
            let social = request("POST", "/api/auth/social/login").json(&body);
            assert_case(token, &social.send(&mut client).await, &refusal(status));
        }
    })
    .await;
}
