//! Mailed codes over the wire, with a real SMTP server: password reset and address verification.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{
    Client, Gateway, Reply, Setup, SmtpServer, Version, assert_transcript, eventually, request,
};
use crate::redis::RedisServer;

const EMAIL: &str = "user@email.com";
const PASSWORD: &str = "password123";

/// A contract with mail, on SQLite or Redis.
fn setup(contract: &str, smtp: &SmtpServer, redis: Option<&RedisServer>) -> Setup {
    let url = format!("smtp://127.0.0.1:{}", smtp.port);
    let store = redis.map_or_else(|| "sqlite:munjigi.db".to_owned(), RedisServer::url);
    // Two hundred at once on a busy machine are not what the deadline is for.
    let tables =
        format!("[store]\nurl = \"{store}\"\ntimeout = \"10s\"\n[mail]\nurl = \"{url}\"\n");
    Setup { tables, ..Setup::contract(contract) }
}

/// Runs a check with a contract on every store, over HTTP/1.1 and HTTP/2 in turn.
async fn with_mail(contract: &str, check: impl AsyncFn(&Gateway, &SmtpServer, Client)) {
    let redis = RedisServer::start().await;
    for (store, version) in [None, Some(&redis)].into_iter().zip(Version::BOTH) {
        let smtp = SmtpServer::start(&[]);
        let gateway = Gateway::start(setup(contract, &smtp, store)).await;
        let client = gateway.client(version).await;
        check(&gateway, &smtp, client).await;
    }
}

async fn post(client: &mut Client, path: &str, body: &Value) -> Reply {
    request("POST", path).json(&body.to_string()).send(client).await
}

async fn sign_up(client: &mut Client, email: &str) {
    let body = json!({ "email": email, "password": PASSWORD, "nickname": "n" });
    let reply = post(client, "/auth/signup", &body).await;
    assert!(reply.status.is_success(), "{}", reply.text());
}

/// Logs in; gives the status and, where it is 200, the access token.
async fn login(client: &mut Client, email: &str, password: &str) -> (u16, String) {
    let body = json!({ "email": email, "password": password });
    let reply = post(client, "/auth/login", &body).await;
    let json = reply.json();
    let token = json.pointer("/data/accessToken").or_else(|| json.pointer("/access_token"));
    (reply.status.as_u16(), token.and_then(Value::as_str).unwrap_or_default().to_owned())
}

async fn passes(client: &mut Client, token: &str) -> u16 {
    request("GET", "/hello").bearer(token).send(client).await.status.as_u16()
}

/// Waits for so many mails; gives the last one's words of its own line.
async fn secret_of_mail(smtp: &SmtpServer, number: usize) -> String {
    smtp.has_seen("mail", number).await;
    let mail = smtp.events("mail").pop().unwrap();
    let body = mail["body"].as_str().unwrap();
    let is_secret =
        |line: &&str| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let secret = body.lines().map(str::trim).find(is_secret);
    secret.unwrap_or_else(|| panic!("no code on a line of its own: {body}")).to_owned()
}

/// Six digits that are not the code.
fn wrong(code: &str) -> String {
    let number: u32 = code.parse().expect("six digits");
    format!("{:06}", (number + 1) % 1_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn zipcheck_mails_a_code_and_then_a_temporary_password() {
    with_mail("zipcheck", async |_, smtp, mut client| {
        sign_up(&mut client, EMAIL).await;
        let (_, token) = login(&mut client, EMAIL, PASSWORD).await;

        let reply = post(&mut client, "/auth/password/reset", &json!({ "email": EMAIL })).await;
        assert_transcript(
            &reply,
            r#"200
            content-type: application/json

            {"success":true,"message":"이메일로 인증 코드가 발송되었습니다.","data":null}"#,
        );
        let code = secret_of_mail(smtp, 1).await;
        assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
        assert_eq!(smtp.events("mail")[0]["recipients"], json!([EMAIL]));
        assert_eq!(passes(&mut client, &token).await, 200, "asking for a code ends nothing");

        let confirm = json!({ "email": EMAIL, "code": code });
        let reply = post(&mut client, "/auth/password/reset-confirm", &confirm).await;
        assert_transcript(
            &reply,
            r#"200
            content-type: application/json

            {"success":true,"message":"임시 비밀번호가 이메일로 전송되었습니다.","data":null}"#,
        );
        assert_eq!(passes(&mut client, &token).await, 401, "the session lives on");
        assert_eq!(login(&mut client, EMAIL, PASSWORD).await.0, 400, "the old password holds");
        let temporary = secret_of_mail(smtp, 2).await;
        assert!(temporary.len() >= 8, "{temporary}");
        assert_eq!(login(&mut client, EMAIL, &temporary).await.0, 200);

        let again = post(&mut client, "/auth/password/reset-confirm", &confirm).await;
        assert_eq!(again.status, 400, "a code works once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_resets_to_the_password_that_is_given() {
    with_mail("standard", async |_, smtp, mut client| {
        sign_up(&mut client, EMAIL).await;
        let (_, token) = login(&mut client, EMAIL, PASSWORD).await;
        let reply = post(&mut client, "/auth/password/reset", &json!({ "email": EMAIL })).await;
        assert_transcript(&reply, "202\ncontent-type: application/json\n\n{}");
        let code = secret_of_mail(smtp, 1).await;
        let confirm = |code: &str, password: &str| json!({ "email": EMAIL, "code": code, "new_password": password });

        let short = post(&mut client, "/auth/password/reset-confirm", &confirm(&code, "short")).await;
        assert_eq!((short.status.as_u16(), &short.json()["field"]), (400, &json!("new_password")));
        let guess = confirm(&wrong(&code), "another password");
        let reply = post(&mut client, "/auth/password/reset-confirm", &guess).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (400, &json!("invalid_code")));

        let right = confirm(&code, "another password");
        let reply = post(&mut client, "/auth/password/reset-confirm", &right).await;
        assert_transcript(&reply, "200\ncontent-type: application/json\n\n{}");
        assert_eq!(passes(&mut client, &token).await, 401);
        assert_eq!(login(&mut client, EMAIL, PASSWORD).await.0, 401);
        let (status, token) = login(&mut client, EMAIL, "another password").await;
        assert_eq!(status, 200);
        let me = request("GET", "/auth/me").bearer(&token).send(&mut client).await;
        assert_eq!(me.json()["email_verified"], true, "a mailed code proves the address");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_and_a_code_are_taken_as_people_type_them() {
    let smtp = SmtpServer::start(&[]);
    let gateway = Gateway::start(setup("standard", &smtp, None)).await;
    let mut client = gateway.client(Version::H1).await;
    let wide = |digit: char| char::from_u32(u32::from(digit) + 0xFEE0).unwrap();
    let typed: [&dyn Fn(&str) -> String; 4] = [
        &|code| format!(" {} {}\n", &code[..3], &code[3..]),
        &|code| format!("{}-{}", &code[..3], &code[3..]),
        &|code| code.chars().map(wide).collect(),
        &|code| code.chars().map(|digit| format!("{digit}\u{2013}")).collect(),
    ];
    for (number, typed) in typed.into_iter().enumerate() {
        let (blank, email) = (["\u{3000}", " ", "\t", "\u{A0}"][number], format!("u{number}@a.kr"));
        let padded = format!("{blank}{email}{blank}{blank}");
        sign_up(&mut client, &padded).await;
        assert_eq!(login(&mut client, &padded, PASSWORD).await.0, 200);
        let reply = post(&mut client, "/auth/password/reset", &json!({ "email": padded })).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        let code = secret_of_mail(&smtp, number + 1).await;
        assert_eq!(smtp.events("mail")[number]["recipients"], json!([email]));
        let confirm =
            json!({ "email": padded, "code": typed(&code), "new_password": "another password" });
        let reply = post(&mut client, "/auth/password/reset-confirm", &confirm).await;
        assert_eq!(reply.status, 200, "{}: {}", typed(&code), reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_verifies_an_address_by_a_mailed_code() {
    with_mail("standard", async |_, smtp, mut client| {
        sign_up(&mut client, EMAIL).await;
        let (_, token) = login(&mut client, EMAIL, PASSWORD).await;
        let verified = async |client: &mut Client| {
            let me = request("GET", "/auth/me").bearer(&token).send(client).await;
            assert_eq!(me.status, 200, "{}", me.text());
            me.json()["email_verified"].clone()
        };
        assert_eq!(verified(&mut client).await, false);
        let reply = post(&mut client, "/auth/verify", &json!({ "email": EMAIL })).await;
        assert_transcript(&reply, "202\ncontent-type: application/json\n\n{}");
        let code = secret_of_mail(smtp, 1).await;

        let guess = json!({ "email": EMAIL, "code": wrong(&code) });
        let reply = post(&mut client, "/auth/verify-confirm", &guess).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (400, &json!("invalid_code")));
        let reset = json!({ "email": EMAIL, "code": code, "new_password": "another password" });
        let reply = post(&mut client, "/auth/password/reset-confirm", &reset).await;
        assert_eq!(reply.status, 400, "a code of one purpose serves another");
        assert_eq!(verified(&mut client).await, false);

        let right = json!({ "email": EMAIL, "code": code });
        let reply = post(&mut client, "/auth/verify-confirm", &right).await;
        assert_transcript(&reply, "200\ncontent-type: application/json\n\n{}");
        assert_eq!(verified(&mut client).await, true);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_bounded_over_codes_addresses_and_gateways() {
    let redis = RedisServer::start().await;
    // One gateway on a file; three on one Redis give no more.
    for (store, gateways) in [(None, 1), (Some(&redis), 3)] {
        let smtp = SmtpServer::start(&[]);
        let mut clients = Vec::new();
        let mut running = Vec::new();
        for _ in 0..gateways {
            let gateway = Gateway::start(setup("standard", &smtp, store)).await;
            clients.push(gateway.client(Version::H2).await);
            running.push(gateway);
        }
        sign_up(&mut clients[0], EMAIL).await;
        let mut judged = Vec::new();
        for address in [EMAIL, "nobody@email.com"] {
            let mut guesses = JoinSet::new();
            for number in 0..60 {
                let mut client = clients[number % gateways].sibling();
                guesses.spawn(async move {
                    if number % 4 == 0 {
                        let reset = json!({ "email": address });
                        let reply = post(&mut client, "/auth/password/reset", &reset).await;
                        assert_eq!(reply.status, 202, "{}", reply.text());
                    }
                    let body =
                        json!({ "email": address, "code": "no code", "new_password": PASSWORD });
                    let reply = post(&mut client, "/auth/password/reset-confirm", &body).await;
                    if reply.status == 429 {
                        let wait: u64 = reply.header("retry-after").parse().unwrap();
                        assert!((3500..=3600).contains(&wait), "{wait}");
                    }
                    reply.status.as_u16()
                });
            }
            let answers = guesses.join_all().await;
            assert!(answers.iter().all(|it| [400, 429].contains(it)), "{answers:?}");
            judged.push(answers.iter().filter(|status| **status == 400).count());
        }
        assert_eq!(judged, [10, 10], "over {gateways}");
        smtp.has_seen("mail", 3).await;
        let recipients = smtp.events("recipient").len();
        assert_eq!(recipients, 3, "three mails at once, to the account alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_request_ends_no_code() {
    with_mail("standard", async |_, smtp, mut client| {
        sign_up(&mut client, EMAIL).await;
        post(&mut client, "/auth/verify", &json!({ "email": EMAIL })).await;
        let first = secret_of_mail(smtp, 1).await;
        post(&mut client, "/auth/verify", &json!({ "email": EMAIL })).await;
        secret_of_mail(smtp, 2).await;

        let body = json!({ "email": EMAIL, "code": first });
        assert_eq!(post(&mut client, "/auth/verify-confirm", &body).await.status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_reset_lifts_the_lock_of_its_account() {
    let redis = RedisServer::start().await;
    for store in [None, Some(&redis)] {
        let smtp = SmtpServer::start(&[]);
        let mut setup = setup("standard", &smtp, store);
        setup.tables += "[login]\nrate_limit = \"off\"\nlock_after = 10\n";
        let gateway = Gateway::start(setup).await;
        let mut client = gateway.client(Version::H2).await;
        sign_up(&mut client, EMAIL).await;
        for _ in 0..10 {
            assert_eq!(login(&mut client, EMAIL, "wrong horse").await.0, 401);
        }
        assert_eq!(login(&mut client, EMAIL, PASSWORD).await.0, 429);
        post(&mut client, "/auth/password/reset", &json!({ "email": EMAIL })).await;
        let code = secret_of_mail(&smtp, 1).await;
        let new = json!({ "email": EMAIL, "code": code, "new_password": "another password" });
        assert_eq!(post(&mut client, "/auth/password/reset-confirm", &new).await.status, 200);

        assert_eq!(login(&mut client, EMAIL, "another password").await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guess_at_a_silent_store_is_503() {
    let redis = RedisServer::start().await;
    let smtp = SmtpServer::start(&[]);
    let tables = format!(
        "[store]\nurl = \"{}\"\ntimeout = \"100ms\"\n[mail]\nurl = \"smtp://127.0.0.1:{}\"\n",
        redis.url(),
        smtp.port
    );
    let gateway = Gateway::start(Setup { tables, ..Setup::contract("standard") }).await;
    let mut client = gateway.client(Version::H2).await;
    redis.pause();
    let body = json!({ "email": EMAIL, "code": "no code", "new_password": PASSWORD });
    let reply = post(&mut client, "/auth/password/reset-confirm", &body).await;
    redis.resume();

    assert_eq!(reply.status, 503, "{}", reply.text());
    assert_eq!(reply.json()["code"], "service_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_gets_the_same_answer_and_no_mail() {
    with_mail("zipcheck", async |_, smtp, mut client| {
        sign_up(&mut client, EMAIL).await;
        let stranger = json!({ "email": "nobody@email.com" });
        let unknown = post(&mut client, "/auth/password/reset", &stranger).await;
        let known = post(&mut client, "/auth/password/reset", &json!({ "email": EMAIL })).await;

        assert_eq!((unknown.status, &unknown.body), (known.status, &known.body));
        let names = |reply: &Reply| -> Vec<String> {
            reply.headers.keys().map(ToString::to_string).collect()
        };
        assert_eq!(names(&unknown), names(&known));
        smtp.has_seen("mail", 1).await;
        assert_eq!(smtp.events("mail")[0]["recipients"], json!([EMAIL]));
        assert_eq!(smtp.events("recipient").len(), 1, "the stranger was written to");
        for email in ["nobody@email.com", EMAIL] {
            let guess = json!({ "email": email, "code": "no code" });
            let reply = post(&mut client, "/auth/password/reset-confirm", &guess).await;
            assert_eq!(reply.status, 400, "{email}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mail_a_code_is_refused_alike_for_all() {
    let gateway = Gateway::start(Setup::contract("standard")).await;
    let mut client = gateway.client(Version::H2).await;
    sign_up(&mut client, EMAIL).await;
    for email in [EMAIL, "nobody@email.com"] {
        let reply = post(&mut client, "/auth/password/reset", &json!({ "email": email })).await;

        assert_eq!(reply.status, 503, "{email}");
        assert_eq!(reply.json()["code"], "service_unavailable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_away_does_not_hold_the_answer_up() {
    let smtp = SmtpServer::start(&["--refuse", "451 later", "--times", "1"]);
    let tables = format!("[mail]\nurl = \"smtp://127.0.0.1:{}\"\nretry = \"20ms\"\n", smtp.port);
    let gateway = Gateway::start(Setup { tables, ..Setup::contract("standard") }).await;
    let mut client = gateway.client(Version::H2).await;
    sign_up(&mut client, EMAIL).await;

    let reply = post(&mut client, "/auth/password/reset", &json!({ "email": EMAIL })).await;

    assert_eq!(reply.status, 202);
    eventually("the mail goes out at the second try", async || {
        (!smtp.events("mail").is_empty()).then_some(())
    })
    .await;
}
