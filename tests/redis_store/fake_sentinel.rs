//! A sentinel that says what a test wants, when it wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::redis_server::until;

/// Listens until it is dropped.
pub(crate) struct FakeSentinel {
    port: u16,
    word: Arc<Word>,
    task: JoinHandle<()>,
}

struct Word {
    /// Port of the master, and the epoch above it.
    master: AtomicU64,
    messages: broadcast::Sender<String>,
}

impl FakeSentinel {
    /// Names the server at a port, as of a fail-over.
    pub(crate) async fn start(master: u16, epoch: u64) -> Self {
        Self::with(Some((master, epoch))).await
    }

    /// Takes connections, and says nothing on them.
    pub(crate) async fn silent() -> Self {
        Self::with(None).await
    }

    async fn with(named: Option<(u16, u64)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let word =
            Arc::new(Word { master: AtomicU64::new(0), messages: broadcast::Sender::new(4) });
        let (task_word, is_silent) = (Arc::clone(&word), named.is_none());
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                if is_silent {
                    open.push(stream);
                } else {
                    tokio::spawn(serve(stream, Arc::clone(&task_word)));
                }
            }
        });
        let made = Self { port, word, task };
        if let Some((master, epoch)) = named {
            made.name(master, epoch);
        }
        made
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Names another server from now on; who wants to know has to ask.
    pub(crate) fn name(&self, master: u16, epoch: u64) {
        self.word.master.store(epoch << 16 | u64::from(master), Ordering::SeqCst);
    }

    /// Tells those who listen.
    pub(crate) fn tell(&self) {
        let (port, _) = self.word.named();
        let words = format!("gate 127.0.0.1 1 127.0.0.1 {port}");
        self.word.messages.send(words).expect("somebody listens");
    }

    /// Waits until somebody does.
    pub(crate) async fn is_listened_to(&self) {
        until("somebody listens", async || self.word.messages.receiver_count() > 0).await;
    }
}

impl Drop for FakeSentinel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Word {
    fn named(&self) -> (u64, u64) {
        let word = self.master.load(Ordering::SeqCst);
        (word & 0xffff, word >> 16)
    }
}

fn array(words: &[&str]) -> String {
    let items = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), items.collect::<String>())
}

/// Answers what comes with one read: whoever asks waits for the answer.
async fn serve(mut stream: TcpStream, word: Arc<Word>) {
    let mut question = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut question).await {
        let text = String::from_utf8_lossy(&question[..length]).into_owned();
        if text.contains("SUBSCRIBE") {
            let mut messages = word.messages.subscribe();
            let noted = "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n";
            stream.write_all(noted.as_bytes()).await.expect("a listener");
            while let Ok(words) = messages.recv().await {
                let told = array(&["message", "+switch-master", &words]);
                if stream.write_all(told.as_bytes()).await.is_err() {
                    return;
                }
            }
        } else {
            let (port, epoch) = word.named();
            let (port, epoch) = (port.to_string(), epoch.to_string());
            // Two questions at once: the address, and everything.
            let told = array(&["127.0.0.1", &port]) + &array(&["config-epoch", &epoch]);
            if stream.write_all(told.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
