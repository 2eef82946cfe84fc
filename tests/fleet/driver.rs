//! Asks two gateways for sessions, uses and log-outs, breaks what is around them, and writes a
//! history of it all.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;

use crate::backend::Backend;
use crate::checker::{Verdict, check};
use crate::harness::{eventually, request};
use crate::history::{History, What, now, wall};
use crate::link::{Link, Mode};
use crate::node::{Node, Terms};
use crate::random::{Random, seed};
use crate::redis::RedisServer;

/// Two gateways on one Redis.
pub(crate) struct Fleet {
    /// The gateways.
    pub nodes: [Node; 2],
    /// Where their links lead.
    pub redis: RedisServer,
    /// What happened.
    pub history: History,
    /// What chance decides.
    pub random: Random,
    /// The terms of both.
    pub terms: Terms,
    folder: TempDir,
    numbers: AtomicU64,
    /// Counts what the store lost: accounts are named by it.
    era: AtomicU64,
    /// How many log-outs were acknowledged.
    acknowledged: watch::Sender<u64>,
    _backend: Backend,
}

/// The first gateway.
pub(crate) const A: usize = 0;

/// The second one.
pub(crate) const B: usize = 1;

/// A session as its client holds it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Its number in the history.
    pub id: u64,
    /// The number of the access token there.
    pub token: u64,
    /// The access token.
    pub access: String,
    /// The refresh token, and its number.
    pub refresh: (u64, String),
    /// Whether its log-out was acknowledged.
    pub is_out: bool,
}

/// What became of a log-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logout {
    /// Acknowledged.
    Acknowledged,
    /// Refused with a status.
    Refused(u16),
    /// The connection ended first.
    Lost,
}

/// Requests of one gateway at once.
const AT_ONCE: usize = 16;

/// Accounts of an era.
const ACCOUNTS: u64 = 20;

impl Fleet {
    /// Starts both gateways on a Redis of their own.
    pub(crate) async fn start(terms: Terms) -> Self {
        Self::start_on(RedisServer::start().await, terms).await
    }

    /// Starts both gateways on a Redis.
    pub(crate) async fn start_on(redis: RedisServer, terms: Terms) -> Self {
        let mut fleet = Self::prepare(redis, terms).await;
        for node in [A, B] {
            fleet.nodes[node].start().await;
        }
        fleet.settle().await;
        fleet
    }

    /// Prepares both gateways; none runs yet.
    pub(crate) async fn prepare(redis: RedisServer, terms: Terms) -> Self {
        let seed = seed();
        eprintln!("seed {seed} (MUNJIGI_SEED repeats it)");
        let backend = Backend::start().await;
        let port = redis.port();
        let [a, b] = [Link::to(port, seed).await, Link::to(port, seed + 1).await];
        let nodes =
            [Node::prepare("a", a, terms, &backend), Node::prepare("b", b, terms, &backend)];
        let folder = tempfile::tempdir().expect("a folder");
        let history = History::begin(&folder.path().join("history.jsonl"));
        Self {
            nodes,
            redis,
            history,
            random: Random::new(seed),
            terms,
            folder,
            numbers: AtomicU64::new(1),
            era: AtomicU64::new(0),
            acknowledged: watch::Sender::new(0),
            _backend: backend,
        }
    }

    /// Opens sessions at a gateway; goes on until it has that many.
    pub(crate) async fn open(&self, node: usize, count: usize) -> Vec<Session> {
        let opening = (0..count)
            .map(|_| async move { eventually("a login", async || self.log_in(node).await).await });
        stream::iter(opening).buffer_unordered(AT_ONCE).collect().await
    }

    async fn log_in(&self, node: usize) -> Option<Session> {
        let (id, token, refresh) = (self.number(), self.number(), self.number());
        let email = format!("u{}-{}@example.com", self.era.load(Ordering::Relaxed), id % ACCOUNTS);
        let body = json!({ "email": email, "password": "correct horse 1" }).to_string();
        let begun = now();
        let reply = self.post(node, "/auth/login", &body).await?;
        if reply.0 == 401 {
            // Two may sign up at once, and a sign-up whose answer was lost may have happened.
            self.post(node, "/auth/signup", &body).await?;
            return None;
        }
        let (access, text) = tokens(&reply)?;
        let expires = wall() + reply.1["expires_in"].as_i64()? * 1000;
        self.note(node, id, begun, What::Issue { token, expires });
        Some(Session { id, token, access, refresh: (refresh, text), is_out: false })
    }

    /// Logs a session out.
    pub(crate) async fn log_out(&self, node: usize, session: &mut Session) -> Logout {
        let (id, token) = (session.id, session.token);
        let begun = now();
        self.note(node, id, begun, What::RevokeSent { token });
        let logout = request("POST", "/auth/logout").bearer(&session.access).build();
        match self.nodes[node].client().try_send(logout).await {
            Ok(reply) if reply.status == 200 => {
                self.note(node, id, begun, What::RevokeAck { token });
                session.is_out = true;
                self.acknowledged.send_modify(|count| *count += 1);
                Logout::Acknowledged
            }
            Ok(reply) => {
                let status = reply.status.as_u16();
                self.note(node, id, begun, What::RevokeNack { token, status });
                Logout::Refused(status)
            }
            Err(_ended) => Logout::Lost,
        }
    }

    /// Logs a session out until that is acknowledged, or found to have happened.
    pub(crate) async fn log_out_at_last(&self, node: usize, session: &mut Session) {
        if session.is_out {
            return;
        }
        eventually("a log-out is acknowledged", async || {
            let logout = self.log_out(node, session).await;
            matches!(logout, Logout::Acknowledged | Logout::Refused(401)).then_some(())
        })
        .await;
    }

    /// Logs sessions out, many at once; says of each what became of it.
    pub(crate) async fn log_all_out(&self, node: usize, sessions: &mut [Session]) -> Vec<Logout> {
        let outs = sessions.iter_mut().map(|session| self.log_out(node, session));
        stream::iter(outs).buffered(AT_ONCE).collect().await
    }

    /// How many log-outs were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        *self.acknowledged.borrow()
    }

    /// Waits until so many more log-outs are acknowledged.
    pub(crate) async fn acknowledges(&self, more: u64) {
        let mut count = self.acknowledged.subscribe();
        let enough = *count.borrow() + more;
        drop(count.wait_for(|count| *count >= enough).await);
    }

    /// Uses a session's access token; the status, if there was an answer.
    pub(crate) async fn using(&self, node: usize, session: &Session) -> Option<u16> {
        let token = session.token;
        let begun = now();
        let get = request("GET", "/api/hello").bearer(&session.access).build();
        let status = self.nodes[node].client().try_send(get).await.ok()?.status.as_u16();
        let what = match status {
            204 => What::UseAccepted { token },
            status => What::UseRefused { token, status },
        };
        self.note(node, session.id, begun, what);
        Some(status)
    }

    /// Uses it where a stale gateway accepts what it does not know to be revoked: no part of the
    /// history.
    pub(crate) async fn using_though_stale(&self, node: usize, session: &Session) -> u16 {
        let get = request("GET", "/accept/hello").bearer(&session.access).build();
        let reply = self.nodes[node].client().try_send(get).await.expect("an answer");
        reply.status.as_u16()
    }

    /// Uses it until the gateway decides; the status then.
    pub(crate) async fn decided(&self, node: usize, session: &Session) -> u16 {
        eventually("the gateway decides", async || {
            self.using(node, session).await.filter(|status| *status != 503)
        })
        .await
    }

    /// Uses every session at both gateways until they decide; one that is logged out until it is
    /// refused, or should long have been.
    pub(crate) async fn audit(&self, sessions: &[Session]) {
        let uses = sessions.iter().flat_map(|session| [(A, session), (B, session)]);
        let uses = uses.map(|(node, session)| self.settled(node, session));
        stream::iter(uses).buffer_unordered(2 * AT_ONCE).collect::<Vec<_>>().await;
    }

    async fn settled(&self, node: usize, session: &Session) {
        let began = Instant::now();
        while self.decided(node, session).await != 401
            && session.is_out
            && began.elapsed() < 2 * self.terms.max_staleness
        {
            tokio::task::yield_now().await;
        }
    }

    /// Exchanges a refresh token; the session with the new ones where there are any.
    pub(crate) async fn refresh(
        &self,
        node: usize,
        session: &Session,
        numbers: &Numbers,
    ) -> Result<Session, Option<u16>> {
        let body = json!({ "refresh_token": session.refresh.1 }).to_string();
        let presented = session.refresh.0;
        let begun = now();
        let reply = self.post(node, "/auth/refresh", &body).await.ok_or(None)?;
        let Some((access, text)) = tokens(&reply) else {
            let what = What::Refresh { presented, successor: None, token: None, status: reply.0 };
            self.note(node, session.id, begun, what);
            return Err(Some(reply.0));
        };
        let token = self.number();
        let successor = numbers.of(&text, || self.number());
        let what = What::Refresh {
            presented,
            successor: Some(successor),
            token: Some(token),
            status: reply.0,
        };
        self.note(node, session.id, begun, what);
        Ok(Session { token, access, refresh: (successor, text), ..session.clone() })
    }

    async fn post(&self, node: usize, path: &str, body: &str) -> Option<(u16, Value)> {
        let post = request("POST", path).json(body).build();
        let reply = self.nodes[node].client().try_send(post).await.ok()?;
        let json = serde_json::from_slice(&reply.body).unwrap_or_default();
        Some((reply.status.as_u16(), json))
    }

    /// Waits until both gateways decide about a new session.
    pub(crate) async fn settle(&self) {
        for session in self.open(A, 1).await {
            self.audit(&[session]).await;
        }
    }

    /// Kills a gateway, and starts it again.
    pub(crate) async fn kill(&mut self, node: usize) {
        self.nodes[node].kill().await;
        self.note(node, 0, now(), What::Killed);
    }

    /// Does to a gateway's link what keeps every answer of the store from it.
    pub(crate) fn cut(&self, node: usize, mode: Mode) {
        self.nodes[node].link.set(mode);
        self.note(node, 0, now(), What::CutOff);
    }

    /// Makes a gateway's link sound again.
    pub(crate) fn heal(&self, node: usize) {
        self.note(node, 0, now(), What::Reachable);
        self.nodes[node].link.set(Mode::Pass);
    }

    /// Kills Redis.
    pub(crate) async fn kill_redis(&self) {
        let pid = self.redis.process().to_string();
        let killed = Command::new("kill").args(["-s", "KILL", &pid]).status().await;
        assert!(killed.is_ok_and(|status| status.success()), "no process {pid}");
        for node in [A, B] {
            self.note(node, 0, now(), What::CutOff);
        }
    }

    /// Stops Redis without ending it.
    pub(crate) fn pause_redis(&self) {
        self.redis.pause();
        for node in [A, B] {
            self.note(node, 0, now(), What::CutOff);
        }
    }

    /// Lets a stopped Redis go on.
    pub(crate) fn resume_redis(&self) {
        for node in [A, B] {
            self.note(node, 0, now(), What::Reachable);
        }
        self.redis.resume();
    }

    /// Starts a killed Redis again, with nothing in it.
    pub(crate) async fn start_redis(&mut self) {
        for node in [A, B] {
            self.note(node, 0, now(), What::Reachable);
        }
        let begun = now();
        self.redis.kill();
        self.redis.start_again().await;
        self.lost(begun, "killed");
    }

    /// Leads both gateways to another server, which the killed one, empty, is left in the place of.
    pub(crate) async fn lead_to(&mut self, server: &mut RedisServer, begun: u64) {
        for node in [A, B] {
            self.note(node, 0, now(), What::Reachable);
            self.nodes[node].link.swap(server.port());
        }
        std::mem::swap(&mut self.redis, server);
        self.lost(begun, "failed over");
        server.kill();
        server.start_again().await;
    }

    /// Notes that the store has lost what it held, since an instant.
    pub(crate) fn lost(&self, begun: u64, how: &str) {
        self.era.fetch_add(1, Ordering::Relaxed);
        self.history.add("", 0, begun, What::StoreLost { how: how.to_owned() });
    }

    /// Judges the history; prints what was counted.
    ///
    /// # Panics
    /// When there is any anomaly.
    pub(crate) fn judge(&mut self) -> Verdict {
        let verdict = check(&self.history.read(), self.terms.max_staleness);
        eprintln!("{verdict}");
        assert!(verdict.anomalies.is_empty(), "the promise is broken, see above");
        verdict
    }

    /// The folder of the history.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn note(&self, node: usize, session: u64, begun: u64, what: What) {
        self.history.add(self.nodes[node].name, session, begun, what);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.folder.disable_cleanup(true);
        self.history.flush();
        eprintln!("the history is kept in {}", self.folder.path().display());
        for node in &mut self.nodes {
            let folder = node.keep();
            eprintln!("gateway {} is kept in {}", node.name, folder.display());
        }
    }
}

/// Numbers of refresh tokens in the history.
#[derive(Debug, Default)]
pub(crate) struct Numbers(std::sync::Mutex<std::collections::HashMap<String, u64>>);

impl Numbers {
    fn of(&self, text: &str, new: impl FnOnce() -> u64) -> u64 {
        let mut known = self.0.lock().expect("no panic while it is held");
        *known.entry(text.to_owned()).or_insert_with(new)
    }
}

fn tokens(reply: &(u16, Value)) -> Option<(String, String)> {
    let text = |name: &str| Some(reply.1[name].as_str()?.to_owned());
    Some((text("access_token")?, text("refresh_token")?)).filter(|_| reply.0 == 200)
}
