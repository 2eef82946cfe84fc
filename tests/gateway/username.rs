//! `username`, held to the product's own document, byte for byte.

use serde_json::json;

use crate::harness::{
    Backing, Client, Gateway, Reply, Setup, assert_case, assert_transcript, everywhere, request,
};

const LOGIN: &str = r#"{"username":"user","password":"password"}"#;
const ISSUED: &str = r#"200
    content-type: application/json
    cache-control: no-store

    {"accessToken":"<access>","refreshToken":"<refresh>","accessTokenExpiresIn":<expires>}"#;

fn setup() -> Setup {
    Setup::contract("username")
}

async fn add_users(gateway: &Gateway) {
    gateway.add_user(&["--username", "user"], "password").await;
    gateway.add_user(&["--username", "other"], "password").await;
}

async fn login_as(client: &mut Client, name: &str) -> (String, String) {
    let body = json!({ "username": name, "password": "password" }).to_string();
    let reply = request("POST", "/api/auth/login").json(&body).send(client).await;
    let found = assert_transcript(&reply, ISSUED);
    (found["access"].clone(), found["refresh"].clone())
}

async fn reissue(client: &mut Client, access: &str, refresh: &str) -> Reply {
    let body = json!({ "accessToken": access, "refreshToken": refresh }).to_string();
    request("POST", "/api/auth/reissue-token").json(&body).send(client).await
}

async fn passes(client: &mut Client, access: &str) -> u16 {
    request("GET", "/api/hello").bearer(access).send(client).await.status.as_u16()
}

/// A refusal with whatever words.
fn refusal(status: u16) -> String {
    format!("{status}\ncontent-type: application/json\n\n{{\"reason\":\"<reason>\"}}")
}

/// The claims of a JWT, and the algorithm of its header.
fn read(jwt: &str) -> (serde_json::Value, String) {
    use base64::Engine;
    let part = |index| {
        let part = jwt.split('.').nth(index).unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
    };
    (part(1), part(0)["alg"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_life_of_a_session() {
    everywhere(setup(), async |gateway, mut client| {
        add_users(gateway).await;
        let reply = request("POST", "/api/auth/login").json(LOGIN).send(&mut client).await;
        let first = assert_transcript(&reply, ISSUED);
        let (claims, algorithm) = read(&first["access"]);
        assert_eq!(algorithm, "HS512");
        assert_eq!(read(&first["refresh"]).1, "HS512");
        let expires: i64 = first["expires"].parse().expect("a number");
        assert_eq!(claims["exp"].as_i64().unwrap() * 1000, expires - expires % 1000);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 30 * 60);
        let (claims, _) = read(&first["refresh"]);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 7 * 86_400);

        let reply = reissue(&mut client, &first["access"], &first["refresh"]).await;
        let second = assert_transcript(&reply, ISSUED);
        assert_ne!(first["access"], second["access"]);
        assert_ne!(first["refresh"], second["refresh"]);

        let logout = request("POST", "/api/auth/logout").bearer(&second["access"]);
        let reply = logout.send(&mut client).await;
        assert_transcript(&reply, "200\n\n");
        assert_eq!(passes(&mut client, &second["access"]).await, 401);
        let reply = reissue(&mut client, &second["access"], &second["refresh"]).await;
        assert_transcript(&reply, &refusal(401));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_the_documents_words() {
    everywhere(setup(), async |gateway, mut client| {
        add_users(gateway).await;
        let (login, again) = ("/api/auth/login", "/api/auth/reissue-token");
        let wrong = "잘못된 자격증명입니다.";
        let rows = [
            (login, r#"{"username":"user","password":"wrong one"}"#, 401, wrong),
            (login, r#"{"username":"nobody","password":"password"}"#, 401, wrong),
            (login, r#"{"password":"password"}"#, 400, "username : must not be blank"),
            (
                login,
                r#"{"username":"  ","password":"password"}"#,
                400,
                "username : must not be blank",
            ),
            (login, r#"{"username":null}"#, 400, "username : must not be blank"),
            (login, r#"{"username":"user"}"#, 400, "password : must not be blank"),
            (login, r#"{"username":"user","password":""}"#, 400, "password : must not be blank"),
            (login, "{}", 400, "username : must not be blank"),
            (login, "", 400, "username : must not be blank"),
            (again, r#"{"refreshToken":"x"}"#, 400, "accessToken : must not be blank"),
            (again, r#"{"accessToken":"x"}"#, 400, "refreshToken : must not be blank"),
            (again, "{}", 400, "accessToken : must not be blank"),
            (again, r#"{"accessToken":"x","refreshToken":"y"}"#, 401, "<reason>"),
            (login, "{", 400, "<reason>"),
            (login, r#"{"username":["user"],"password":"password"}"#, 400, "<reason>"),
        ];
        for (path, body, status, reason) in rows {
            let reply = request("POST", path).json(body).send(&mut client).await;
            let body = format!("{{\"reason\":\"{reason}\"}}");
            assert_case(
                &format!("{path} {body}"),
                &reply,
                &format!("{status}\ncontent-type: application/json\n\n{body}"),
            );
        }
        let reply = request("POST", "/api/auth/logout").send(&mut client).await;
        assert_transcript(&reply, &refusal(401));
        let reply = request("GET", "/api/hello").send(&mut client).await;
        assert_transcript(&reply, &refusal(401));
        let reply = request("PUT", login).send(&mut client).await;
        assert_transcript(&reply, &refusal(405));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reissue_wants_both_tokens_of_one_user_and_session() {
    everywhere(setup(), async |gateway, mut client| {
        add_users(gateway).await;
        let (access, refresh) = login_as(&mut client, "user").await;
        let (second_access, second_refresh) = login_as(&mut client, "user").await;
        let (foreign, _) = login_as(&mut client, "other").await;
        let forged = format!("{}x", &access[..access.len() - 1]);
        for (name, wrong) in [
            ("another session's", &second_access),
            ("another user's", &foreign),
            ("forged", &forged),
            ("a refresh token", &second_refresh),
            ("the refresh token itself", &refresh),
        ] {
            let reply = reissue(&mut client, wrong, &refresh).await;
            assert_case(name, &reply, &refusal(401));
        }
        let reply = reissue(&mut client, &access, &access).await;
        assert_transcript(&reply, &refusal(401));

        let reply = reissue(&mut client, &access, &refresh).await;
        assert_transcript(&reply, ISSUED);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_access_token_is_reissued() {
    let redis = crate::redis::RedisServer::start().await;
    for backing in [Backing::Sqlite, Backing::Redis(redis.url())] {
        let tables = "[site.\"localhost\".tokens]\naccess_ttl = \"1s\"\n".to_owned();
        let gateway = Gateway::start(Setup { tables, backing, ..setup() }).await;
        gateway.add_user(&["--username", "user"], "password").await;
        let mut client = gateway.client(crate::harness::Version::H2).await;
        let (access, refresh) = login_as(&mut client, "user").await;
        crate::harness::eventually("the access token expires", async || {
            (passes(&mut client, &access).await == 401).then_some(())
        })
        .await;

        let reply = reissue(&mut client, &access, &refresh).await;

        let found = assert_transcript(&reply, ISSUED);
        assert_eq!(passes(&mut client, &found["access"]).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_out_ends_all_refresh_tokens_and_this_access_token_alone() {
    everywhere(setup(), async |gateway, mut client| {
        add_users(gateway).await;
        let (here, here_refresh) = login_as(&mut client, "user").await;
        let (there, there_refresh) = login_as(&mut client, "user").await;
        let (other, other_refresh) = login_as(&mut client, "other").await;

        let reply = request("POST", "/api/auth/logout").bearer(&here).send(&mut client).await;

        assert_transcript(&reply, "200\n\n");
        assert_eq!(passes(&mut client, &here).await, 401);
        assert_eq!(passes(&mut client, &there).await, 200, "it ends with its 30 minutes");
        for (access, refresh) in [(&here, &here_refresh), (&there, &there_refresh)] {
            assert_transcript(&reissue(&mut client, access, refresh).await, &refusal(401));
        }
        assert_eq!(passes(&mut client, &other).await, 200);
        assert_transcript(&reissue(&mut client, &other, &other_refresh).await, ISSUED);
    })
    .await;
}
