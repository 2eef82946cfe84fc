//! One tab of a real browser, driven as its developer tools drive it (Chrome `DevTools` Protocol).

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Browser, DEADLINE, eventually};

/// A tab.
pub(crate) struct Tab {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    commands: u64,
}

impl Tab {
    /// Opens a tab with a page.
    pub(crate) async fn open(browser: &Browser, url: &str) -> Self {
        let port = eventually("the browser listens", async || browser.devtools_port()).await;
        let target = format!("http://127.0.0.1:{port}/json/new?{url}");
        let made =
            Command::new("curl").args(["-sSg", "-X", "PUT", &target]).output().await.unwrap();
        let made: Value = serde_json::from_slice(&made.stdout).expect("a tab");
        let address = made["webSocketDebuggerUrl"].as_str().unwrap();
        let (socket, _) = tokio_tungstenite::connect_async(address).await.unwrap();
        Self { socket, commands: 0 }
    }

    /// The value of a script, awaited if it is a promise.
    pub(crate) async fn run(&mut self, script: &str) -> Value {
        let parameters = json!({
            "expression": script,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let answer = self.command("Runtime.evaluate", parameters).await;
        answer["result"]["result"]["value"].clone()
    }

    /// Runs a script until it gives `true`; pages come and go meanwhile.
    pub(crate) async fn until(&mut self, what: &str, script: &str) {
        let end = tokio::time::Instant::now() + DEADLINE;
        while self.run(script).await != Value::Bool(true) {
            let shown = "location.href + document.body?.innerText";
            assert!(tokio::time::Instant::now() < end, "{what}: {}", self.run(shown).await);
            tokio::task::yield_now().await;
        }
    }

    /// Fills the fields of the page's first form, sends it, and waits until the address has this.
    pub(crate) async fn send_form(&mut self, fields: &[(&str, &str)], then: &str) {
        for (id, value) in fields {
            let set = format!("document.getElementById({id:?}).value = {value:?}");
            self.run(&set).await;
        }
        self.run("document.querySelector('form').requestSubmit()").await;
        let arrived =
            format!("document.readyState == 'complete' && location.href.includes({then:?})");
        self.until(then, &arrived).await;
    }

    async fn command(&mut self, method: &str, parameters: Value) -> Value {
        self.commands += 1;
        let id = self.commands;
        let command = json!({ "id": id, "method": method, "params": parameters });
        self.socket.send(Message::text(command.to_string())).await.unwrap();
        let answer = async {
            while let Some(message) = self.socket.next().await {
                let Ok(text) = message.unwrap().into_text() else { continue };
                let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                if answer["id"] == id {
                    return answer;
                }
            }
            panic!("the tab is gone")
        };
        tokio::time::timeout(DEADLINE, answer).await.expect("the tab answers")
    }
}
