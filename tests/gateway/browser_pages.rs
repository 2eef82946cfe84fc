//! A person in a real browser: the hosted pages, and what opens behind them.

use serde_json::{Value, json};

use crate::harness::browser::pin_of;
use crate::harness::devtools::Tab;
use crate::harness::{Browser, Gateway, Setup};

const PASSWORD: &str = "correct horse 1";

#[tokio::test(flavor = "multi_thread")]
async fn everything_a_page_needs_opens_after_the_sign_in_and_closes_at_the_sign_out() {
    let tables = "[mail]\nurl = \"dir:mail\"\n[site.\"localhost\".pages]\nname = \"Shop\"\n";
    let gateway = Gateway::start(Setup { tables: tables.to_owned(), ..Setup::default() }).await;
    let origin = format!("https://localhost:{}", gateway.address().port());
    let pin = pin_of(&gateway.folder.path().join("certs/dev/key.pem"));
    let browser = Browser::open("about:blank", &[pin]);
    let mut tab = Tab::open(&browser, &format!("{origin}/orders/7")).await;

    tab.until("the sign-in page", "document.title.startsWith('Sign in') && !!document.forms[0]")
        .await;
    tab.run("document.querySelector('a[href*=sign-up]').click()").await;
    tab.until("the sign-up page", "location.pathname == '/account/sign-up' && !!document.forms[0]")
        .await;
    let fields = [("email", "ann@example.com"), ("new-password", PASSWORD)];
    tab.send_form(&fields, "/account/verify").await;
    let code = crate::pages::code(&gateway, "ann@example.com", 0).await;
    tab.send_form(&[("code", &code)], "n=verified").await;
    let fields = [("identifier", "ann@example.com"), ("current-password", PASSWORD)];
    tab.send_form(&fields, "/orders/7").await;
    assert_eq!(tab.run("document.cookie").await, "");

    // The page's own requests: of a script, an image, a form, events and a socket.
    let statuses = tab
        .run("Promise.all(['GET', 'POST'].map(method => fetch('/api/x', {method}).then(a => a.status)))")
        .await;
    assert_eq!(statuses, json!([200, 200]));
    tab.run(
        "new Promise(done => { const i = new Image(); i.onerror = done; i.src = '/api/image'; })",
    )
    .await;
    let seen = gateway.upstream.seen();
    let image =
        seen.iter().find(|seen| seen["target"] == "/api/image").expect("the image's request");
    assert_eq!(image["headers"]["x-user-email"], json!(["ann@example.com"]));
    assert_eq!(image["headers"]["cookie"], Value::Null);
    tab.run(
        "window.closed_with = 0; window.socket = new WebSocket('wss://' + location.host + '/api/ws');
         socket.onclose = end => { closed_with = end.code; };
         window.events = new EventSource('/api/sse')",
    )
    .await;
    tab.until("the socket is open", "socket.readyState == 1 && events.readyState == 1").await;

    let mut other = Tab::open(&browser, &format!("{origin}/account/sign-out")).await;
    other.until("the question", "!!document.forms[0]").await;
    other.send_form(&[], "n=out").await;

    tab.until("the socket is closed", "closed_with == 1008").await;
    assert_eq!(tab.run("fetch('/api/x').then(answer => answer.status)").await, 401);
    tab.run("location.reload()").await;
    tab.until("the page is gone", "location.pathname == '/account/sign-in'").await;
    drop((tab, other));
    browser.close().await;
}
