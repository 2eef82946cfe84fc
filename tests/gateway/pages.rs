//! The hosted pages over the wire, as a browser without JavaScript uses them.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::{Gateway, Reply, Setup, Version, eventually, request};

const OWN: &str = "https://localhost";
pub(crate) const PASSWORD: &str = "correct horse 1";

fn setup(mail: bool) -> Setup {
    let mail = if mail { "[mail]\nurl = \"dir:mail\"\n" } else { "" };
    Setup {
        routes: "{ path = \"/public/*\", upstream = \"{upstream}\", auth = \"none\" },\n\
                 { path = \"/admin/*\", upstream = \"{upstream}\", roles = [\"admin\"] },\n\
                 { path = \"/bearer/*\", upstream = \"{upstream}\", token_from = [\"bearer\"] },\n\
                 { path = \"/gone/*\", upstream = \"http://127.0.0.1:1\" },\n\
                 { path = \"/api/*\", upstream = \"{upstream}\" },"
            .to_owned(),
        tables: format!("{mail}[site.\"localhost\".pages]\nname = \"Shop\"\n"),
        ..Setup::default()
    }
}

/// A person's browser.
pub(crate) struct Browser<'g> {
    gateway: &'g Gateway,
    pub(crate) jar: BTreeMap<String, String>,
    language: &'static str,
}

impl<'g> Browser<'g> {
    pub(crate) fn new(gateway: &'g Gateway) -> Self {
        Self { gateway, jar: BTreeMap::new(), language: "en" }
    }

    async fn send(&mut self, request: crate::harness::client::RequestBuilder) -> Reply {
        let cookie: Vec<String> =
            self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header("cookie", &cookie.join("; "))
            .header("accept-language", self.language)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0");
        let reply = request.send(&mut self.gateway.client(Version::H1).await).await;
        for line in reply.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            assert!(line.contains("; Secure; HttpOnly; SameSite=Lax"), "{line}");
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() || line.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.send(request("GET", path)).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = request("POST", path)
            .header("origin", OWN)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&").into_bytes());
        self.send(request).await
    }

    /// Opens a page and sends its first form with these fields.
    pub(crate) async fn fill(&mut self, page: &str, fields: &[(&str, &str)]) -> Reply {
        let shown = self.get(page).await;
        assert_eq!(shown.status, 200, "{page}: {}", shown.text());
        let html = shown.text();
        let (token, return_to) = (value_of(&html, "form_token"), value_of(&html, "return_to"));
        let action = html.split("<form method=\"post\" action=\"").nth(1).unwrap();
        let action = action.split('"').next().unwrap().to_owned();
        let own = [("form_token", &*token), ("return_to", &*return_to)];
        self.post(&action, &[&own, fields].concat()).await
    }

    async fn sign_in(&mut self, name: &str) {
        let fields = [("identifier", name), ("password", PASSWORD)];
        let reply = self.fill("/account/sign-in", &fields).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/"));
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The value of a hidden field.
pub(crate) fn value_of(html: &str, name: &str) -> String {
    let after = html.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_default();
    after.split('"').next().unwrap().replace("&amp;", "&")
}

/// A page without what differs between two browsers and two seconds.
fn comparable(html: &str, name: &str) -> String {
    let html = html.replace(name, "NAME").replace(&value_of(html, "form_token"), "TOKEN");
    match html.split_once("data-wait=\"") {
        Some((before, after)) => {
            format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => html,
    }
}

/// The codes mailed to an address, oldest first.
fn codes(gateway: &Gateway, email: &str) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(gateway.folder.path().join("mail")) else { return vec![] };
    let mut mails: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    mails.sort();
    let texts = mails.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    let code = |text: String| Some(text.lines().map(str::trim).find(is_code)?.to_owned());
    texts.filter(|text| text.contains(email)).filter_map(code).collect()
}

pub(crate) async fn code(gateway: &Gateway, email: &str, number: usize) -> String {
    eventually("the mail is there", async || codes(gateway, email).get(number).cloned()).await
}

pub(crate) async fn account(gateway: &Gateway, email: &str) {
    let body = json!({ "email": email, "password": PASSWORD }).to_string();
    let request = request("POST", "/auth/signup").json(&body);
    let reply = request.send(&mut gateway.client(Version::H1).await).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_gets_from_nothing_to_their_page_and_out_again() {
    let gateway = Gateway::start(setup(true)).await;
    let mut browser = Browser::new(&gateway);
    let wanted = browser.get("/api/orders/7?a=1").await;
    assert_eq!(wanted.status, 303);
    assert_eq!(wanted.header("location"), "/account/sign-in?return_to=/api/orders/7%3Fa%3D1");
    let sign_in = browser.get(wanted.header("location")).await.text();
    assert!(sign_in.contains("/account/sign-up?return_to=/api/orders/7%3Fa%3D1"), "{sign_in}");

    let page = "/account/sign-up?return_to=/api/orders/7%3Fa%3D1";
    let made = browser.fill(page, &[("email", "ann@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(made.status, 303, "{}", made.text());
    assert_eq!(made.header("location"), "/account/verify?return_to=/api/orders/7%3Fa%3D1");
    // Nobody is signed in before the code.
    assert!(!browser.jar.contains_key("__Host-mj_at"));
    let verify = made.header("location").to_owned();
    let wrong = browser.fill(&verify, &[("code", "000000x")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("This code is wrong, used or expired."), "{}", wrong.text());
    let code = code(&gateway, "ann@example.com", 0).await;
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    let proven = browser.fill(&verify, &[("code", &spaced)]).await;
    let back = "/account/sign-in?return_to=/api/orders/7%3Fa%3D1&n=verified";
    assert_eq!((proven.status.as_u16(), proven.header("location")), (303, back));
    assert!(browser.get(back).await.text().contains("Your email address is confirmed."));
    let fields = [("identifier", "ANN@example.com "), ("password", PASSWORD), ("keep", "1")];
    let signed_in = browser.fill(back, &fields).await;
    assert_eq!(signed_in.header("location"), "/api/orders/7?a=1");
    assert!(browser.jar["__Host-mj_rt"].starts_with("keep."));

    let shown = browser.get("/api/orders/7?a=1").await;
    assert_eq!(shown.json()["headers"]["x-user-email"], json!(["ann@example.com"]));
    let again = browser.get("/account/sign-in?return_to=/api/x").await;
    assert_eq!((again.status.as_u16(), again.header("location")), (303, "/api/x"));

    let before = browser.jar.clone();
    let asked = browser.get("/account/sign-out").await;
    assert_eq!(asked.status, 200);
    assert!(asked.text().contains("ann@example.com"));
    assert_eq!(browser.get("/api/x").await.status, 200);
    let out = browser.fill("/account/sign-out", &[]).await;
    assert_eq!(out.header("location"), "/account/sign-in?n=out");
    assert!(!browser.jar.contains_key("__Host-mj_at"));
    browser.jar = before;
    assert_eq!(browser.get("/api/x").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mail_a_sign_up_signs_in() {
    let gateway = Gateway::start(setup(false)).await;
    let mut browser = Browser::new(&gateway);
    let page = "/account/sign-up?return_to=/api/x";

    let short = browser.fill(page, &[("email", "ann@example.com"), ("password", "short")]).await;
    assert_eq!(short.status, 422);
    let html = short.text();
    assert!(html.contains("<title>Error: Create an account – Shop</title>"), "{html}");
    assert!(html.contains("This is too short: at least 8 characters."), "{html}");
    assert!(html.contains("value=\"ann@example.com\""), "{html}");
    assert!(!html.contains("value=\"short\""), "{html}");
    let made = browser.fill(page, &[("email", "ann@example.com"), ("password", PASSWORD)]).await;

    assert_eq!((made.status.as_u16(), made.header("location")), (303, "/api/x"));
    assert_eq!(browser.get("/api/x").await.status, 200);
    let mut other = Browser::new(&gateway);
    let taken = other.fill(page, &[("email", "ann@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(taken.status, 422);
    assert!(taken.text().contains("This address cannot be used for a new account."));
    assert!(!other.get("/account/sign-in").await.text().contains("/account/reset"));
    assert_eq!(other.get("/account/reset").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_gets_the_same_answer_and_its_owner_a_mail() {
    let gateway = Gateway::start(setup(true)).await;
    let mut pages = Vec::new();
    for email in ["ann@example.com", "ann@example.com", "bob@example.com"] {
        let mut browser = Browser::new(&gateway);
        let fields = [("email", email), ("password", PASSWORD)];
        let made = browser.fill("/account/sign-up", &fields).await;
        assert_eq!((made.status.as_u16(), made.header("location")), (303, "/account/verify"));
        let html = browser.get("/account/verify").await.text();
        pages.push(comparable(&html, email));
        if pages.len() == 1 {
            let code = code(&gateway, email, 0).await;
            let proven = browser.fill("/account/verify", &[("code", &code)]).await;
            assert_eq!(proven.status, 303);
        }
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
    // A user name is no secret: it is said that it is taken, whatever the address.
    let mut browser = Browser::new(&gateway);
    let named = [("email", "kim@example.com"), ("username", "kim"), ("password", PASSWORD)];
    assert_eq!(browser.fill("/account/sign-up", &named).await.status, 303);
    for email in ["ann@example.com", "lee@example.com"] {
        let named = [("email", email), ("username", "Kim "), ("password", PASSWORD)];
        let taken = browser.fill("/account/sign-up", &named).await;
        assert_eq!(taken.status, 422, "{email}");
        assert!(taken.text().contains("This user name is taken."), "{}", taken.text());
    }
    let mails = || std::fs::read_dir(gateway.folder.path().join("mail")).unwrap();
    let announced = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains("You have an account already").then_some(text)
    };
    let find = async || mails().find_map(|file| announced(file.unwrap().path()));
    let mail = eventually("its owner gets a mail", find).await;
    assert!(mail.contains("ann@example.com"), "{mail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_sign_in_tells_nothing_and_keeps_what_was_typed() {
    let gateway = Gateway::start(setup(true)).await;
    account(&gateway, "ann@example.com").await;
    let mut pages = Vec::new();
    for (name, password) in [("ann@example.com", "wrong horse 1"), ("bob@example.com", PASSWORD)] {
        let mut browser = Browser::new(&gateway);
        let fields = [("identifier", name), ("password", password)];
        let reply = browser.fill("/account/sign-in?return_to=/api/x", &fields).await;
        assert_eq!(reply.status, 422);
        let html = reply.text();
        assert!(html.contains("The account or the password is wrong."), "{html}");
        assert!(!html.contains(password), "{html}");
        assert!(browser.jar.keys().all(|name| name == "__Host-mj_form"));
        pages.push(comparable(&html, name));
    }
    assert_eq!(pages[0], pages[1]);
    let mut browser = Browser::new(&gateway);
    let rows = [
        ("", "", "Enter your email address or user name."),
        ("ann@example.com", "", "Enter your password."),
        ("ann@", PASSWORD, "This is not an email address."),
    ];
    for (name, password, expected) in rows {
        let fields = [("identifier", name), ("password", password)];
        let reply = browser.fill("/account/sign-in", &fields).await;
        assert_eq!(reply.status, 422, "{name}");
        assert!(reply.text().contains(expected), "{name}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_counts_only_from_this_browser_and_this_site() {
    let gateway = Gateway::start(setup(true)).await;
    account(&gateway, "ann@example.com").await;
    let fields = [("identifier", "ann@example.com"), ("password", PASSWORD)];
    let mut browser = Browser::new(&gateway);

    let off = browser.post("/account/sign-in", &fields).await;
    assert_eq!(off.status, 422);
    assert!(off.text().contains("Cookies are off in this browser."), "{}", off.text());
    for token in ["", "nonsense"] {
        let stale = [&fields[..], &[("form_token", token)]].concat();
        let stale = browser.post("/account/sign-in", &stale).await;
        assert_eq!(stale.status, 422);
        let html = stale.text();
        assert!(html.contains("This page was open for a long time."), "{html}");
        assert!(html.contains("value=\"ann@example.com\""), "{html}");
    }
    // Of another form, and of another browser.
    let html = browser.get("/account/reset").await.text();
    let token = value_of(&html, "form_token");
    let other = [&fields[..], &[("form_token", &*token)]].concat();
    assert_eq!(browser.post("/account/sign-in", &other).await.status, 422);
    let html = browser.get("/account/sign-in").await.text();
    let token = value_of(&html, "form_token");
    let good = [&fields[..], &[("form_token", &*token)]].concat();
    assert_eq!(Browser::new(&gateway).post("/account/sign-in", &good).await.status, 422);
    for origin in ["https://evil.example", "null", ""] {
        let body: Vec<String> =
            good.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let post = request("POST", "/account/sign-in").body(body.join("&").into_bytes());
        let post = if origin.is_empty() { post } else { post.header("origin", origin) };
        assert_eq!(browser.send(post).await.status, 403, "{origin}");
    }
    assert!(!browser.jar.contains_key("__Host-mj_at"));
    // It may be sent twice, and from two tabs.
    for _ in 0..2 {
        assert_eq!(browser.post("/account/sign-in", &good).await.status, 303);
    }
    let framed = request("GET", "/account/sign-in").header("sec-fetch-dest", "iframe");
    let framed = framed.send(&mut gateway.client(Version::H1).await).await;
    assert_eq!(framed.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_sent_back_to_the_site_alone() {
    let gateway = Gateway::start(setup(false)).await;
    account(&gateway, "ann@example.com").await;
    let fields = [("identifier", "ann@example.com"), ("password", PASSWORD)];
    let rows = [
        ("/api/x?a=1&b=%2F", "/api/x?a=1&b=%2F"),
        ("https://localhost/api/x", "/api/x"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https:evil.example", "/evil.example"),
        ("javascript:alert(1)", "/"),
        ("https://localhost@evil.example/", "/"),
        ("/account/sign-out", "/"),
        ("", "/"),
    ];
    for (given, expected) in rows {
        let mut browser = Browser::new(&gateway);
        let page = format!("/account/sign-in?return_to={}", encoded(given));
        let reply = browser.fill(&page, &fields).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, expected), "{given}");
        let signed_in = browser.get(&page).await;
        assert_eq!(signed_in.header("location"), expected, "{given}");
        // What a forged form says counts as little.
        let html = browser.get("/account/sign-in?again=1").await.text();
        let token = value_of(&html, "form_token");
        let forged = [&fields[..], &[("form_token", &*token), ("return_to", given)]].concat();
        let reply = browser.post("/account/sign-in", &forged).await;
        assert_eq!(reply.header("location"), expected, "{given}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_reset_by_mail_alike_for_every_address() {
    let gateway = Gateway::start(setup(true)).await;
    account(&gateway, "ann@example.com").await;
    let mut other = Browser::new(&gateway);
    other.sign_in("ann@example.com").await;
    let mut pages = Vec::new();
    for email in ["ann@example.com", "bob@example.com"] {
        let mut browser = Browser::new(&gateway);
        let sent = browser.fill("/account/reset", &[("email", email)]).await;
        assert_eq!((sent.status.as_u16(), sent.header("location")), (303, "/account/reset/code"));
        let html = browser.get("/account/reset/code").await.text();
        pages.push((comparable(&html, email), browser));
    }
    assert_eq!(pages[0].0, pages[1].0);
    let (_, mut browser) = pages.swap_remove(0);
    let code = code(&gateway, "ann@example.com", 0).await;

    let again = browser.get("/account/reset/code").await.text();
    let hidden = [("form_token", &*value_of(&again, "form_token"))];
    assert_eq!(browser.post("/account/reset/again", &hidden).await.status, 429);
    let short = [("code", &*code), ("new_password", "short")];
    let short = browser.fill("/account/reset/code", &short).await;
    assert_eq!(short.status, 422);
    let html = short.text();
    assert!(html.contains("This is too short") && html.contains(&format!("value=\"{code}\"")));
    let set = [("code", &*code), ("new_password", "correct horse 2")];
    let set = browser.fill("/account/reset/code", &set).await;
    assert_eq!((set.status.as_u16(), set.header("location")), (303, "/account/sign-in?n=changed"));
    assert_eq!(other.get("/api/x").await.status, 303, "all sessions ended");
    let over = browser.get("/account/reset/code").await;
    assert_eq!(over.header("location"), "/account/reset?n=again");
    let fields = [("identifier", "ann@example.com"), ("password", "correct horse 2")];
    assert_eq!(browser.fill("/account/sign-in", &fields).await.status, 303);
    assert!(codes(&gateway, "bob@example.com").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_and_a_new_password_ends_the_others() {
    let gateway = Gateway::start(setup(false)).await;
    account(&gateway, "ann@example.com").await;
    let mut browsers = [0; 4].map(|_| Browser::new(&gateway));
    for browser in &mut browsers {
        browser.sign_in("ann@example.com").await;
    }
    let [own, one, two, three] = &mut browsers;
    let html = own.get("/account/sessions").await.text();
    assert_eq!(html.matches("<li>").count(), 4, "{html}");
    assert_eq!(html.matches("this device").count(), 1, "{html}");
    let mut nobody = Browser::new(&gateway);
    let sent = nobody.get("/account/sessions").await;
    assert_eq!(sent.header("location"), "/account/sign-in?return_to=/account/sessions");

    let id = value_of(&html, "session_id");
    let ended = own.fill("/account/sessions", &[("session_id", &id)]).await;
    assert_eq!(
        (ended.status.as_u16(), ended.header("location")),
        (303, "/account/sessions?n=ended")
    );
    let mut left = 0;
    for browser in [one, two, three] {
        left += u8::from(browser.get("/api/x").await.status == 200);
    }
    assert_eq!(left, 2);
    let html = own.get("/account/sessions?n=ended").await.text();
    assert!(html.contains("Signed out there."), "{html}");
    let token = value_of(&html, "form_token");
    assert_eq!(own.post("/account/sessions/end-others", &[]).await.status, 422);
    own.post("/account/sessions/end-others", &[("form_token", &token)]).await;
    let html = own.get("/account/sessions").await.text();
    assert!(html.contains("This is the only device that is signed in."), "{html}");

    let mut other = Browser::new(&gateway);
    other.sign_in("ann@example.com").await;
    let wrong = [("password", "wrong horse 1"), ("new_password", "correct horse 2")];
    let wrong = own.fill("/account/password", &wrong).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("The current password is wrong."));
    let right = [("password", PASSWORD), ("new_password", "correct horse 2")];
    let right = own.fill("/account/password", &right).await;
    assert_eq!(right.header("location"), "/account/password?n=changed");
    assert_eq!(own.get("/api/x").await.status, 200);
    assert_eq!(other.get("/api/x").await.status, 303);
    let known = own.get("/.well-known/change-password").await;
    assert_eq!((known.status.as_u16(), known.header("location")), (302, "/account/password"));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_pages_and_programs_the_contracts_answers() {
    let gateway = Gateway::start(setup(false)).await;
    account(&gateway, "ann@example.com").await;
    let mut browser = Browser::new(&gateway);
    browser.sign_in("ann@example.com").await;
    let rows = [
        ("/admin/x", 403, "You do not have access to this page"),
        // No sign-in would open it.
        ("/bearer/x", 401, "Please sign in"),
        ("/nowhere", 404, "There is nothing here"),
        ("/gone/x", 502, "The service does not answer"),
        ("/api/%zz", 400, "The request was not understood"),
    ];
    for (path, status, title) in rows {
        let page = browser.get(path).await;
        assert_eq!(page.status, status, "{path}");
        let html = page.text();
        assert!(html.contains(&format!("<h1>{title}</h1>")), "{path}: {html}");
        assert!(html.contains(page.header("x-request-id")), "{path}: {html}");
        assert_eq!(page.header("cache-control"), "no-store");
        let cookie = format!("__Host-mj_at={}", browser.jar["__Host-mj_at"]);
        for (name, value) in [("accept", "*/*"), ("sec-fetch-dest", "image")] {
            let program = request("GET", path).header("cookie", &cookie).header(name, value);
            let program = program.send(&mut gateway.client(Version::H1).await).await;
            assert_eq!(program.status, status, "{path} {name}");
            assert_eq!(program.header("content-type"), "application/problem+json", "{path}");
        }
    }
    // No link of a page leads to another site.
    let twisted = browser.get("//evil.example/x?a=1").await;
    assert_eq!(twisted.status, 400);
    assert!(!twisted.text().contains("evil"), "{}", twisted.text());
    let html = browser.get("/admin/x").await.text();
    assert!(html.contains("<strong>ann@example.com</strong>"), "{html}");
    assert!(html.contains("/account/sign-in?return_to=/admin/x&amp;again=1"), "{html}");
    let mut nobody = Browser::new(&gateway);
    nobody.language = "ko-KR,ko;q=0.9,en;q=0.8";
    assert!(nobody.get("/nowhere").await.text().contains("페이지를 찾을 수 없습니다"));
    let posted = nobody.send(request("POST", "/api/x")).await;
    assert_eq!(
        (posted.status.as_u16(), posted.header("content-type")),
        (401, "application/problem+json")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_keep_to_themselves_and_speak_the_readers_language() {
    let gateway = Gateway::start(setup(true)).await;
    let mut browser = Browser::new(&gateway);
    let page = browser.get("/account/sign-in").await;
    let policy = "default-src 'self'; base-uri 'none'; form-action 'self'; \
                  frame-ancestors 'none'; object-src 'none'";
    let expected = [
        ("content-security-policy", policy),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("content-type", "text/html; charset=utf-8"),
        ("content-language", "en"),
    ];
    for (name, value) in expected {
        assert_eq!(page.header(name), value, "{name}");
    }
    let html = page.text();
    let sheet = html.split("href=\"").find(|part| part.contains(".css\"")).unwrap();
    let sheet = browser.get(sheet.split('"').next().unwrap()).await;
    assert_eq!(sheet.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(sheet.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(browser.get("/account/assets/munjigi.css").await.status, 404);
    let head = request("HEAD", "/account/sign-in");
    let head = head.send(&mut gateway.client(Version::H1).await).await;
    assert_eq!((head.status.as_u16(), head.text().len()), (200, 0));

    assert!(browser.get("/account/sign-in?lang=ko").await.text().contains("<html lang=\"ko\">"));
    assert!(browser.get("/account/sign-up").await.text().contains("계정 만들기"));
    for unknown in ["lang=xx", "n=%3Cscript%3E", "n=out&n=out", "return_to=%zz", "%zz"] {
        assert_eq!(browser.get(&format!("/account/sign-in?{unknown}")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_browser_brings_breaks_a_page_or_opens_a_session() {
    let gateway = Gateway::start(setup(true)).await;
    account(&gateway, "ann@example.com").await;
    let mut good = Browser::new(&gateway);
    good.sign_in("ann@example.com").await;
    good.fill("/account/reset", &[("email", "ann@example.com")]).await;
    let mut client = gateway.client(Version::H1).await;
    for name in ["__Host-mj_at", "__Host-mj_rt", "__Host-mj_flow", "__Host-mj_form"] {
        let whole = good.jar[name].clone();
        let middle = whole.len() / 2;
        let values = [
            String::new(),
            "=".to_owned(),
            "\u{e9}\u{4e00}".to_owned(),
            whole[..middle].to_owned(),
            whole[middle..].to_owned(),
            format!("{whole}A"),
            format!("{}.{}", &whole[..middle], &whole[middle..]),
            whole.chars().rev().collect(),
            "A".repeat(8000),
        ];
        for value in values {
            let cookie = format!("{name}={value}");
            for path in ["/api/x", "/account/sign-in", "/account/reset/code", "/account/sessions"] {
                let request = request("GET", path)
                    .header("cookie", &cookie)
                    .header("sec-fetch-mode", "navigate")
                    .header("accept-language", &value.replace(|c: char| !c.is_ascii(), ";q=;"));
                let reply = request.send(&mut client).await;
                assert!(reply.status.as_u16() < 500, "{path} {cookie}: {}", reply.status);
                let opened = path == "/api/x" && reply.status == 200;
                assert!(!opened, "{cookie}");
                assert!(!reply.text().contains("ann@example.com"), "{path} {cookie}");
                if reply.status == 303 {
                    assert!(reply.header("location").starts_with("/account/"), "{path} {cookie}");
                }
            }
        }
    }
}
