//! `zipcheck`, held to the product's own document, byte for byte.

use crate::harness::{
    Client, Gateway, Reply, Setup, Version, assert_case, assert_transcript, everywhere, request,
};

const SIGNUP: &str = r#"{"email":"user@email.com","password":"password123","nickname":"zipuser"}"#;
const LOGIN: &str = r#"{"email":"user@email.com","password":"password123"}"#;
const FIVE_MIB: usize = 5 * 1024 * 1024;

fn setup() -> Setup {
    let tables = "[mail]\nurl = \"dir:mail\"\n".to_owned();
    Setup { tables, ..Setup::contract("zipcheck") }
}

async fn post(client: &mut Client, path: &str, body: &str) -> Reply {
    request("POST", path).json(body).send(client).await
}

async fn reissue(client: &mut Client, cookie: &str) -> Reply {
    request("POST", "/auth/reissue").header("cookie", cookie).send(client).await
}

/// Logs in; gives the access and the refresh token.
async fn login(client: &mut Client) -> (String, String) {
    let reply = post(client, "/auth/login", LOGIN).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let access = reply.header("authorization").strip_prefix("Bearer ").unwrap().to_owned();
    let cookie = reply.header("set-cookie").strip_prefix("refresh=").unwrap();
    (access, cookie.split(';').next().unwrap().to_owned())
}

/// A refusal with whatever words.
fn refusal(status: u16) -> String {
    let body = r#"{"success":false,"message":"<message>","data":null}"#;
    format!("{status}\ncontent-type: application/json\n\n{body}")
}

/// A refusal in the document's words.
fn refused(status: u16, message: &str) -> String {
    refusal(status).replace("<message>", message)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_life_of_an_account() {
    everywhere(setup(), async |_, mut client| {
        let reply = post(&mut client, "/auth/signup", SIGNUP).await;
        assert_transcript(
            &reply,
            r#"200
            content-type: application/json
            cache-control: no-store

            {"success":true,"message":"회원가입 완료","data":null}"#,
        );

        let reply = post(&mut client, "/auth/login", LOGIN).await;
        let first = assert_transcript(
            &reply,
            r#"200
            content-type: application/json
            cache-control: no-store
            authorization: Bearer <access>
            set-cookie: refresh=<refresh>; HttpOnly; Path=/; Secure; SameSite=Lax

            {"success":true,"data":{"userId":<id>,"email":"user@email.com","nickname":"zipuser",
            "role":"ROLE_USER","accessToken":"<access>","profileImage":null}}"#,
        );
        first["id"].parse::<i64>().expect("an integer");
        let hello = request("GET", "/hello").bearer(&first["access"]).send(&mut client).await;
        assert_eq!(hello.status, 200);

        let cookie = format!("a=1; refresh={}; b=2", first["refresh"]);
        let reply = reissue(&mut client, &cookie).await;
        let second = assert_transcript(
            &reply,
            r#"200
            content-type: application/json
            cache-control: no-store
            authorization: Bearer <access>
            set-cookie: refresh=<refresh>; HttpOnly; Path=/; Secure; SameSite=Lax

            {"success":true,"message":"토큰이 재발급되었습니다.","data":null}"#,
        );
        assert_ne!(first["refresh"], second["refresh"]);
        let hello = request("GET", "/hello").bearer(&second["access"]).send(&mut client).await;
        assert_eq!(hello.status, 200);

        let logout = request("POST", "/auth/logout").bearer(&second["access"]);
        let reply = logout.send(&mut client).await;
        assert_transcript(
            &reply,
            r#"200
            content-type: application/json
            set-cookie: refresh=; Max-Age=0; HttpOnly; Path=/; Secure; SameSite=Lax

            {"success":true,"message":"로그아웃 완료","data":null}"#,
        );
        let hello = request("GET", "/hello").bearer(&second["access"]).send(&mut client).await;
        assert_transcript(&hello, &refusal(401));
        let cookie = format!("refresh={}", second["refresh"]);
        assert_transcript(&reissue(&mut client, &cookie).await, &refusal(401));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_the_documents_shape() {
    everywhere(setup(), async |_, mut client| {
        post(&mut client, "/auth/signup", SIGNUP).await;
        let wrong = "이메일 또는 비밀번호가 올바르지 않습니다.";
        let (signup, login) = ("/auth/signup", "/auth/login");
        let (reset, confirm) = ("/auth/password/reset", "/auth/password/reset-confirm");
        let rows = [
            (signup, SIGNUP, 409, "<message>"),
            (signup, r#"{"email":"b@email.com","password":"short","nickname":"n"}"#, 400, "<message>"),
            (signup, r#"{"email":"b@email.com","password":"password123"}"#, 400, "<message>"),
            (signup, r#"{"password":"password123","nickname":"n"}"#, 400, "<message>"),
            (signup, r#"{"email":"b@email.com","password":"password123","nickname":"n","profileImage":"?"}"#, 400, "<message>"),
            (signup, "{", 400, "<message>"),
            (login, r#"{"email":"user@email.com","password":"wrong one"}"#, 400, wrong),
            (login, r#"{"email":"nobody@email.com","password":"password123"}"#, 400, wrong),
            (login, r#"{"email":"user@email.com"}"#, 400, "<message>"),
            (login, "[]", 400, "<message>"),
            (reset, "{}", 400, "<message>"),
            (reset, r#"{"email":"no address"}"#, 400, "<message>"),
            (confirm, r#"{"email":"user@email.com"}"#, 400, "<message>"),
            (confirm, r#"{"email":"user@email.com","code":"000000"}"#, 400, "<message>"),
            (confirm, r#"{"email":"nobody@email.com","code":"000000"}"#, 400, "<message>"),
        ];
        for (path, body, status, message) in rows {
            let reply = post(&mut client, path, body).await;
            assert_case(&format!("{path} {body}"), &reply, &refused(status, message));
        }
        let reply = request("POST", "/auth/logout").send(&mut client).await;
        assert_transcript(&reply, &refusal(401));
        let reply = request("GET", "/auth/login").send(&mut client).await;
        assert_transcript(&reply, &refusal(405));
        let reply = request("GET", "/hello").send(&mut client).await;
        assert_transcript(&reply, &refusal(401));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_refresh_token_travels_in_its_cookie_alone() {
    everywhere(setup(), async |_, mut client| {
        post(&mut client, "/auth/signup", SIGNUP).await;
        let (_, refresh) = login(&mut client).await;
        let missing = refused(401, "리프레시 토큰이 없습니다.");
        for cookie in ["other=1", "refresh=", "Refresh=x", "xrefresh=x"] {
            assert_transcript(&reissue(&mut client, cookie).await, &missing);
        }
        let in_body = format!(r#"{{"refresh":"{refresh}"}}"#);
        assert_transcript(&post(&mut client, "/auth/reissue", &in_body).await, &missing);
        let unknown = "refresh=c0ffee00-0000-4000-8000-000000000000";
        assert_transcript(&reissue(&mut client, unknown).await, &refusal(401));
    })
    .await;
}

/// The refresh token that an answer sets.
fn refreshed(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let cookie = reply.header("set-cookie").strip_prefix("refresh=").unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_cookies_the_live_one_is_taken_and_two_live_ones_end_both() {
    everywhere(setup(), async |_, mut client| {
        post(&mut client, "/auth/signup", SIGNUP).await;
        let (_, first) = login(&mut client).await;
        let unknown = "c0ffee00-0000-4000-8000-000000000000";

        let cookies = format!("refresh=; refresh={unknown}; refresh={first}; refresh={first}");
        let second = refreshed(&reissue(&mut client, &cookies).await);
        let third = refreshed(&reissue(&mut client, &format!("refresh={second}")).await);
        // Alone, the first would end the session: it was exchanged twice.
        let cookies = format!("refresh={first}; refresh={third}; x=1; refresh={second}");
        let fourth = refreshed(&reissue(&mut client, &cookies).await);
        let late = format!("refresh=1; refresh=2; refresh=3; refresh=4; refresh={fourth}");
        assert_transcript(&reissue(&mut client, &late).await, &refusal(401));

        let other = SIGNUP.replace("user@", "other@").replace("zipuser", "zipother");
        post(&mut client, "/auth/signup", &other).await;
        let body = LOGIN.replace("user@", "other@");
        let others = refreshed(&post(&mut client, "/auth/login", &body).await);
        let cleared = refusal(401).replace(
            "\n\n",
            "\nset-cookie: refresh=; Max-Age=0; HttpOnly; Path=/; Secure; SameSite=Lax\n\n",
        );
        let cookies = format!("refresh={fourth}; refresh={others}");
        assert_transcript(&reissue(&mut client, &cookies).await, &cleared);
        for ended in [fourth, others] {
            let reply = reissue(&mut client, &format!("refresh={ended}")).await;
            assert_transcript(&reply, &refusal(401));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_image_comes_back_as_it_was_up_to_five_mebibytes() {
    use base64::Engine;
    let standard = base64::engine::general_purpose::STANDARD;
    everywhere(setup(), async |_, mut client| {
        let sign_up = |email: &str, bytes: usize| {
            let image = standard.encode(vec![0xab; bytes]);
            let body = format!(
                r#"{{"email":"{email}","password":"password123","nickname":"n","profileImage":"{image}"}}"#
            );
            (body, image)
        };
        let (body, _) = sign_up("big@email.com", FIVE_MIB + 1);
        assert_transcript(&post(&mut client, "/auth/signup", &body).await, &refusal(400));
        let (body, image) = sign_up("user@email.com", FIVE_MIB);
        let reply = post(&mut client, "/auth/signup", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());

        let reply = post(&mut client, "/auth/login", LOGIN).await;

        assert_eq!(reply.status, 200);
        assert!(reply.json()["data"]["profileImage"] == image.as_str(), "another image");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_image_may_be_a_data_url_or_broken_into_lines() {
    let gateway = Gateway::start(setup()).await;
    let mut client = gateway.client(Version::H1).await;
    for (name, image) in [
        ("url", "data:image/png;base64,q83vASNF"),
        ("lines", "q83v\r\nASNF\r\n"),
        ("both", "data:image/jpeg;base64,q83v\nASM=\n"),
    ] {
        let account = serde_json::json!({
            "email": format!("{name}@email.com"), "password": "password123", "nickname": "n",
            "profileImage": image,
        });
        let with_mark = format!("\u{FEFF}{account}");
        let reply = post(&mut client, "/auth/signup", &with_mark).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        let reply = post(&mut client, "/auth/login", &with_mark).await;
        assert_eq!(reply.json()["data"]["profileImage"], image, "{name}");
    }
}
