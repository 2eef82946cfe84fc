//! The second factor over the wire: by the API of `standard`, and on the pages.

use aws_lc_rs::hmac;
use munjigi::clock::Now;
use serde_json::{Value, json};

use crate::harness::{Gateway, Reply, Setup, Version, request};
use crate::pages::{Browser, PASSWORD, account, value_of};

const EMAIL: &str = "ann@example.com";

fn setup(mfa: &str) -> Setup {
    Setup {
        routes: "{ path = \"/recent/*\", upstream = \"{upstream}\", auth_age = \"1s\" },\n\
                 { path = \"/fresh/*\", upstream = \"{upstream}\", auth_age = \"1h\" },\n\
                 { path = \"/api/*\", upstream = \"{upstream}\" },"
            .to_owned(),
        site: format!("mfa = \"{mfa}\"\n"),
        tables: "[site.\"localhost\".pages]\nname = \"Shop\"\n".to_owned(),
        ..Setup::default()
    }
}

/// The code of an authenticator app, so many time steps from now (RFC 6238).
fn code(secret: &str, steps: i64) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digits = secret.chars().filter_map(|character| ALPHABET.find(character));
    let bits: String = digits.map(|digit| format!("{digit:05b}")).collect();
    let bytes = bits.as_bytes().chunks_exact(8);
    let bytes = bytes.map(|bits| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2));
    let bytes = bytes.collect::<Result<Vec<_>, _>>().unwrap();
    let step = (Now::read().wall.as_seconds() / 30 + steps).to_be_bytes();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = hmac::sign(&key, &step);
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

async fn post(gateway: &Gateway, path: &str, token: Option<&str>, body: &Value) -> Reply {
    let mut request = request("POST", path).json(&body.to_string());
    if let Some(token) = token {
        request = request.bearer(token);
    }
    request.send(&mut gateway.client(Version::H1).await).await
}

async fn login(gateway: &Gateway) -> Reply {
    post(gateway, "/auth/login", None, &json!({ "email": EMAIL, "password": PASSWORD })).await
}

fn text(reply: &Reply, member: &str) -> String {
    let json = reply.json();
    json[member].as_str().unwrap_or_else(|| panic!("no {member}: {json}")).to_owned()
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sets_it_up_proves_it_and_turns_it_off() {
    let gateway = Gateway::start(setup("optional")).await;
    account(&gateway, EMAIL).await;
    let token = text(&login(&gateway).await, "access_token");
    assert_eq!(claims(&token)["amr"], json!(["pwd"]));
    let drawn = post(&gateway, "/auth/second-factor/setup", Some(&token), &json!({})).await;
    let (secret, uri) = (text(&drawn, "secret"), text(&drawn, "uri"));
    assert_eq!(uri, format!("otpauth://totp/Shop:ann%40example.com?secret={secret}&issuer=Shop"));
    let confirm = json!({ "setup": text(&drawn, "setup"), "code": code(&secret, 0) });
    let on = post(&gateway, "/auth/second-factor/confirm", Some(&token), &confirm).await;
    assert_eq!(on.status, 200, "{}", on.text());
    let codes = on.json()["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(codes.len(), 10);

    let waiting = login(&gateway).await;
    assert_eq!(waiting.status, 403);
    assert_eq!(waiting.json()["code"], "second_factor_required");
    let challenge = text(&waiting, "challenge");
    let prove = async |proof: Value| {
        let mut body = json!({ "challenge": challenge });
        body.as_object_mut().unwrap().extend(proof.as_object().unwrap().clone());
        post(&gateway, "/auth/second-factor", None, &body).await
    };
    assert_eq!(prove(json!({ "code": "000000" })).await.json()["code"], "invalid_code");
    assert_eq!(prove(json!({})).await.json()["code"], "invalid_input");
    let proved = prove(json!({ "code": code(&secret, 1) })).await;
    assert_eq!(proved.status, 200, "{}", proved.text());
    let token = text(&proved, "access_token");
    let told = claims(&token);
    assert_eq!(told["amr"], json!(["pwd", "otp", "mfa"]));
    assert!(told["auth_time"].as_i64().unwrap() <= told["iat"].as_i64().unwrap());
    assert_eq!(prove(json!({ "code": code(&secret, 1) })).await.status, 400);
    assert_eq!(prove(json!({ "recovery_code": codes[0] })).await.status, 200);

    let shown = request("GET", "/auth/second-factor").bearer(&token);
    let shown = shown.send(&mut gateway.client(Version::H1).await).await.json();
    assert_eq!((&shown["on"], &shown["recovery_codes_left"]), (&json!(true), &json!(9)));
    let remove = "/auth/second-factor/remove";
    let wrong = post(&gateway, remove, Some(&token), &json!({ "password": "wrong horse" })).await;
    assert_eq!(wrong.json()["code"], "invalid_credentials");
    let off = post(&gateway, remove, Some(&token), &json!({ "password": PASSWORD })).await;
    assert_eq!(off.status, 200, "{}", off.text());
    assert_eq!(login(&gateway).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_required_a_login_brings_it_and_an_operator_can_reset_it() {
    let gateway = Gateway::start(setup("required")).await;
    account(&gateway, EMAIL).await;
    let waiting = login(&gateway).await;
    assert_eq!(waiting.json()["code"], "second_factor_setup_required");
    let challenge = text(&waiting, "challenge");
    let first = json!({ "challenge": challenge });
    let drawn = post(&gateway, "/auth/second-factor/first-setup", None, &first).await;
    let confirm = json!({
        "challenge": challenge,
        "setup": text(&drawn, "setup"),
        "code": code(&text(&drawn, "secret"), 0),
    });
    let on = post(&gateway, "/auth/second-factor/first-confirm", None, &confirm).await;
    assert_eq!(on.status, 200, "{}", on.text());
    assert_eq!(claims(&text(&on, "access_token"))["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(login(&gateway).await.json()["code"], "second_factor_required");

    let shown = gateway.munjigi(&["user", "show", EMAIL]).await;
    assert!(String::from_utf8_lossy(&shown.stdout).contains("has a second factor"));
    let reset = gateway.munjigi(&["user", "mfa", "reset", EMAIL, "--reason", "lost it"]).await;
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
    assert_eq!(login(&gateway).await.json()["code"], "second_factor_setup_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_ask_for_a_recent_login() {
    let gateway = Gateway::start(setup("optional")).await;
    account(&gateway, EMAIL).await;
    let token = text(&login(&gateway).await, "access_token");
    let mut browser = Browser::new(&gateway);
    let signed_in = [("identifier", EMAIL), ("password", PASSWORD)];
    assert_eq!(browser.fill("/account/sign-in", &signed_in).await.status, 303);

    let old = crate::harness::eventually("the login is too old", async || {
        let request = request("GET", "/recent/x").bearer(&token);
        let reply = request.send(&mut gateway.client(Version::H1).await).await;
        (reply.status == 401).then_some(reply)
    });
    let old = old.await;

    let challenge = "Bearer realm=\"localhost\", error=\"insufficient_user_authentication\", \
                     max_age=\"1\"";
    assert_eq!(old.header("www-authenticate"), challenge);
    assert_eq!(old.json()["code"], "reauthentication_required");
    let fresh = request("GET", "/fresh/x").bearer(&token);
    assert_eq!(fresh.send(&mut gateway.client(Version::H1).await).await.status, 200);
    let led = crate::harness::eventually("a person is led to sign in", async || {
        let reply = browser.get("/recent/x").await;
        (reply.status == 303).then_some(reply)
    });
    let led = led.await.header("location").to_owned();
    assert_eq!(led, "/account/sign-in?return_to=/recent/x&n=recent&again=1");
    assert!(browser.get(&led).await.text().contains("Sign in to go on."));
    assert_eq!(browser.fill(&led, &signed_in).await.header("location"), "/recent/x");
}

/// The secret that a page shows.
fn shown_secret(html: &str) -> String {
    let after = html.split("<code id=\"key\">").nth(1).expect(html);
    after.split('<').next().unwrap().replace(' ', "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sets_it_up_and_signs_in_with_it() {
    let gateway = Gateway::start(setup("optional")).await;
    account(&gateway, EMAIL).await;
    let mut browser = Browser::new(&gateway);
    let password = [("identifier", EMAIL), ("password", PASSWORD)];
    assert_eq!(browser.fill("/account/sign-in", &password).await.header("location"), "/");

    let page = browser.get("/account/second-factor/setup").await.text();
    assert!(page.contains("<svg role=\"img\" aria-label=\"QR code"), "{page}");
    let secret = shown_secret(&page);
    let form = |code: &str| {
        let hidden = ["form_token", "return_to", "setup"].map(|name| (name, value_of(&page, name)));
        let mut fields = hidden.to_vec();
        fields.push(("code", code.to_owned()));
        fields
    };
    let send = async |browser: &mut Browser<'_>, fields: Vec<(&str, String)>| {
        let fields: Vec<_> = fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
        browser.post("/account/second-factor/on", &fields).await
    };
    let wrong = send(&mut browser, form("000000")).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(shown_secret(&wrong.text()), secret, "another secret was drawn");
    let spaced = code(&secret, 0);
    let on = send(&mut browser, form(&format!("{} {}", &spaced[..3], &spaced[3..]))).await;
    assert_eq!(on.status, 200, "{}", on.text());
    let html = on.text();
    assert_eq!(on.header("cache-control"), "no-store");
    let codes: Vec<&str> = html.split("<li>").skip(1).map(|item| &item[..11]).collect();
    assert_eq!(codes.len(), 10, "{html}");
    let again = browser.get("/account/second-factor/on").await;
    assert_eq!(again.header("location"), "/account/second-factor/setup");
    assert!(browser.get("/account/second-factor/setup").await.text().contains("It is on since"));
    browser.fill("/account/sign-out", &[]).await;

    let page = "/account/sign-in?return_to=/api/x";
    let asked = browser.fill(page, &[&password[..], &[("keep", "1")]].concat()).await;
    assert_eq!(asked.header("location"), "/account/second-factor?return_to=/api/x");
    assert!(!browser.jar.contains_key("__Host-mj_at"));
    let asked = asked.header("location").to_owned();
    // Somebody else signs in meanwhile, in the same browser: then nothing waits any more.
    account(&gateway, "bob@example.com").await;
    let waiting = browser.jar.clone();
    assert!(waiting.contains_key("__Host-mj_login"));
    let other = [("identifier", "bob@example.com"), ("password", PASSWORD)];
    assert_eq!(browser.fill("/account/sign-in", &other).await.header("location"), "/");
    assert!(!browser.jar.contains_key("__Host-mj_login"));
    browser.jar = waiting;
    let wrong = browser.fill(&asked, &[("code", "000000")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("The clock of your phone may be off"), "{}", wrong.text());
    let next = code(&secret, 1);
    let signed_in = browser.fill(&asked, &[("code", &next), ("trust", "1")]).await;
    assert_eq!(signed_in.header("location"), "/api/x", "{}", signed_in.text());
    assert!(browser.jar["__Host-mj_rt"].starts_with("keep."));
    assert!(!browser.jar.contains_key("__Host-mj_login"));
    assert_eq!(browser.get("/api/x").await.status, 200);

    // The device is remembered, until it is forgotten.
    browser.fill("/account/sign-out", &[]).await;
    assert_eq!(browser.fill(page, &password).await.header("location"), "/api/x");
    let devices = browser.get("/account/second-factor/setup").await.text();
    assert!(devices.contains("Devices that are not asked"), "{devices}");
    let device = value_of(&devices, "device");
    let forgotten = browser.fill("/account/second-factor/setup", &[("device", &device)]).await;
    assert_eq!(forgotten.header("location"), "/account/second-factor/setup?n=forgotten");
    browser.fill("/account/sign-out", &[]).await;
    let asked = browser.fill(page, &password).await.header("location").to_owned();
    let recovery = format!("{asked}&kind=recovery");
    let typed = codes[4].to_uppercase().replace('-', " ");
    let signed_in = browser.fill(&recovery, &[("recovery_code", &typed)]).await;
    assert_eq!(signed_in.header("location"), "/api/x", "{}", signed_in.text());
    let spent = browser.get("/account/second-factor/setup").await.text();
    assert!(spent.contains("Recovery codes left: 9"), "{spent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_needs_one_is_led_to_it_before_they_are_signed_in() {
    let gateway = Gateway::start(setup("required")).await;
    account(&gateway, EMAIL).await;
    let mut browser = Browser::new(&gateway);
    let password = [("identifier", EMAIL), ("password", PASSWORD)];

    let asked = browser.fill("/account/sign-in?return_to=/api/x", &password).await;

    let asked = asked.header("location").to_owned();
    assert_eq!(asked, "/account/second-factor/setup?return_to=/api/x");
    assert!(!browser.jar.contains_key("__Host-mj_at"));
    let page = browser.get(&asked).await.text();
    assert!(page.contains("Set it up now; then you are signed in."), "{page}");
    let (secret, setup) = (shown_secret(&page), value_of(&page, "setup"));
    let fields = [
        ("form_token", value_of(&page, "form_token")),
        ("return_to", value_of(&page, "return_to")),
        ("setup", setup),
        ("code", code(&secret, 0)),
    ];
    let fields: Vec<_> = fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let on = browser.post("/account/second-factor/on", &fields).await;
    assert_eq!(on.status, 200, "{}", on.text());
    assert!(on.text().contains("href=\"/api/x\">I have kept them"), "{}", on.text());
    assert_eq!(browser.get("/api/x").await.status, 200);
    // Without the cookie of a sign-in there is nothing to prove.
    let mut stranger = Browser::new(&gateway);
    let led = stranger.get("/account/second-factor").await;
    assert_eq!(led.header("location"), "/account/sign-in?n=again");
    let led = stranger.get("/account/second-factor/setup").await;
    assert_eq!(led.header("location"), "/account/sign-in?return_to=/account/second-factor/setup");
}
