//! Mails, from the queue to a real SMTP server.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use munjigi::app::reload_state::ReloadState;
use munjigi::app::{assemble, keys, stores};
use munjigi::clock::Now;
use munjigi::config;
use munjigi::mail::{Letter, Outbox};
use munjigi::operation::Language;
use munjigi::store::{NewMail, Store};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::harness::{DEADLINE, Gateway, Process, Setup, SmtpServer, Upstream, eventually, smtp};

const YOU: &str = "you@example.com";

/// A setup with these settings of `[mail]`, and pauses that a test can wait for.
fn setup(mail: &str) -> Setup {
    let tables = format!("[mail]\nretry = \"20ms\"\n{mail}\n");
    Setup { tables, ..Setup::default() }
}

fn url(scheme: &str, server: &SmtpServer) -> String {
    format!("url = \"{scheme}127.0.0.1:{}\"\nca = \"{}\"", server.port, server.ca().display())
}

fn outbox(gateway: &Gateway) -> Arc<Outbox> {
    let snapshot = gateway.app().gateway().snapshot.load();
    Arc::clone(snapshot.outbox().expect("mail is on"))
}

fn written(outbox: &Outbox, to: Option<&str>, code: &str) -> NewMail {
    let now = Now::read().wall;
    let to = to.map(|to| to.parse().unwrap());
    let times = (now, now.plus(Duration::from_mins(10)));
    let letter = Letter::ResetCode { code };
    outbox.write(letter, to.as_ref(), Language::English, "a.example", times).unwrap()
}

/// Queues the mail of a code as an operation does.
async fn queue(gateway: &Gateway, to: Option<&str>, code: &str) {
    let outbox = outbox(gateway);
    gateway.app().gateway().auth.store.queue_mail(written(&outbox, to, code)).await.unwrap();
    outbox.nudge();
}

/// The number of mails that wait in the gateway's file.
fn waiting(folder: &Path) -> i64 {
    let connection = rusqlite::Connection::open(folder.join("munjigi.db")).unwrap();
    connection.query_row("SELECT count(*) FROM mails", [], |row| row.get(0)).unwrap()
}

async fn nothing_waits(gateway: &Gateway) {
    let empty = async || (waiting(gateway.folder.path()) == 0).then_some(());
    eventually("the queue is empty", empty).await;
}

/// Reloads with this `[mail]` in the place of the setup's.
async fn reload(gateway: &Gateway, setup: &Setup) {
    std::fs::write(gateway.file(), setup.text(&gateway.upstream)).unwrap();
    gateway.app().reload(config::load(&gateway.file()).unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_mail_arrives_as_it_was_written() {
    let server = SmtpServer::start(&[]);
    let gateway = Gateway::start(setup(&url("smtp://", &server))).await;

    queue(&gateway, None, "000000").await;
    queue(&gateway, Some(YOU), "042137").await;

    let mail = server.mail().await;
    assert_eq!(mail["sender"], "no-reply@example.com");
    assert_eq!(mail["recipients"], serde_json::json!([YOU]));
    assert_eq!(mail["headers"]["From"], "Munjigi <no-reply@example.com>");
    assert_eq!(mail["headers"]["To"], YOU);
    assert_eq!(mail["headers"]["Subject"], "[a.example] Your password reset code");
    assert_eq!(mail["headers"]["Auto-Submitted"], "auto-generated");
    assert_eq!(mail["encrypted"], false);
    let body = mail["body"].as_str().unwrap();
    assert!(body.replace("\r\n", "\n").contains("\n\n042137\n\n"), "{body}");
    nothing_waits(&gateway).await;
    assert_eq!(server.events("connection").len(), 1, "the mail for nobody was dropped unsent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_korean_mail_arrives_as_it_reads() {
    let server = SmtpServer::start(&[]);
    let gateway = Gateway::start(setup(&url("smtp://", &server))).await;
    let (outbox, now) = (outbox(&gateway), Now::read().wall);
    let (to, times) = (YOU.parse().unwrap(), (now, now.plus(Duration::from_mins(10))));
    let letter = Letter::TemporaryPassword { password: "Gk7-pq2-Rt9" };

    let mail = outbox.write(letter, Some(&to), Language::Korean, "집.example", times).unwrap();
    gateway.app().gateway().auth.store.queue_mail(mail).await.unwrap();
    outbox.nudge();

    let mail = server.mail().await;
    assert_eq!(mail["headers"]["Subject"], "[집.example] 임시 비밀번호 안내");
    let body = mail["body"].as_str().unwrap();
    assert!(body.contains("임시 비밀번호는 다음과 같습니다."), "{body}");
    assert!(body.lines().any(|line| line == "Gk7-pq2-Rt9"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_encrypted_by_starttls_and_from_its_first_byte() {
    for (scheme, tls) in [("smtp://", "starttls"), ("smtps://", "implicit")] {
        let server = SmtpServer::start(&["--tls", tls]);
        let gateway = Gateway::start(setup(&url(scheme, &server))).await;

        queue(&gateway, Some(YOU), "042137").await;

        let mail = server.mail().await;
        assert_eq!(mail["encrypted"], true, "{tls}");
        assert_eq!(mail["hello"], "example.com", "{tls}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_gets_no_mail_until_it_is() {
    for (scheme, tls) in [("smtp://", "starttls"), ("smtps://", "implicit")] {
        let server = SmtpServer::start(&["--tls", tls]);
        let alone = format!("url = \"{scheme}127.0.0.1:{}\"\ntls = \"required\"", server.port);
        let gateway = Gateway::start(setup(&alone)).await;

        queue(&gateway, Some(YOU), "042137").await;

        if tls == "starttls" {
            server.has_seen("connection", 2).await;
        }
        assert_eq!(server.events("recipient").len(), 0, "{tls}");
        let trusted = format!("{}\ntls = \"required\"", url(scheme, &server));
        reload(&gateway, &setup(&trusted)).await;
        assert_eq!(server.mail().await["encrypted"], true, "{tls}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_this_machine_needs_no_certificate_that_verifies() {
    for (scheme, host, tls, policy, encrypted) in [
        ("smtp", "127.0.0.1", "starttls", "auto", true),
        ("smtp", "localhost", "starttls", "auto", true),
        ("smtps", "127.0.0.1", "implicit", "auto", true),
        ("smtp", "127.0.0.1", "starttls", "off", false),
    ] {
        let server = SmtpServer::start(&["--tls", tls]);
        let mail = format!("url = \"{scheme}://{host}:{}\"\ntls = \"{policy}\"", server.port);
        let gateway = Gateway::start(setup(&mail)).await;

        queue(&gateway, Some(YOU), "042137").await;

        assert_eq!(server.mail().await["encrypted"], encrypted, "{mail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_gets_no_mail() {
    let server = SmtpServer::start(&["--tls", "starttls"]);
    let mail = url("smtp://", &server).replace("127.0.0.1", "localhost");
    let gateway = Gateway::start(setup(&format!("{mail}\ntls = \"required\""))).await;

    queue(&gateway, Some(YOU), "042137").await;

    server.has_seen("connection", 2).await;
    assert_eq!(server.events("recipient").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_costs_no_mail() {
    let server = SmtpServer::start(&["--tls", "starttls", "--user", "me@x", "--password", "p:w/"]);
    let with = |password: &str| setup(&url(&format!("smtp://me%40x:{password}@"), &server));
    let gateway = Gateway::start(with("wrong")).await;

    queue(&gateway, Some(YOU), "042137").await;

    server.has_seen("login", 2).await;
    assert_eq!(server.events("recipient").len(), 0);
    reload(&gateway, &with("p%3Aw%2F")).await;
    assert_eq!(server.mail().await["login"], "me@x");
    nothing_waits(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_work_another_time_is_tried_until_it_does() {
    for (name, arguments) in [
        ("4xx", ["--refuse", "451 4.3.0 come again", "--times", "3"].as_slice()),
        ("a cut", ["--cut", "--times", "3"].as_slice()),
    ] {
        let server = SmtpServer::start(arguments);
        let gateway = Gateway::start(setup(&url("smtp://", &server))).await;

        queue(&gateway, Some(YOU), "042137").await;

        let body = server.mail().await["body"].as_str().unwrap().to_owned();
        assert!(body.contains("042137"), "{name}: {body}");
        nothing_waits(&gateway).await;
        assert_eq!(server.events("recipient").len(), 4, "{name}");
        assert_eq!(server.events("mail").len(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_given_up_at_once() {
    let server = SmtpServer::start(&["--refuse", "550 5.1.1 <{address}>: no such user"]);
    let gateway = Gateway::start(setup(&url("smtp://", &server))).await;

    queue(&gateway, Some(YOU), "042137").await;

    server.has_seen("recipient", 1).await;
    nothing_waits(&gateway).await;
    assert_eq!(server.events("connection").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_holds_nothing_up_for_long() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hasty = format!("timeout = \"200ms\"\nurl = \"smtp://{}\"", silent.local_addr().unwrap());
    let gateway = Gateway::start(setup(&hasty)).await;

    queue(&gateway, Some(YOU), "042137").await;

    let (first, second) = (accept(&silent).await, accept(&silent).await);
    drop((first, second));
    assert_eq!(waiting(gateway.folder.path()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_said_in_the_clear_counts_once_encrypted() {
    for (injected, is_encrypted) in [("", true), ("250 no more extensions\r\n", false)] {
        let folder = tempfile::tempdir().unwrap();
        smtp::certify(folder.path());
        let liar = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = liar.local_addr().unwrap();
        let ca = folder.path().join("ca.pem");
        let mail = format!("url = \"smtp://{address}\"\nca = \"{}\"", ca.display());
        let gateway = Gateway::start(setup(&mail)).await;

        queue(&gateway, Some(YOU), "042137").await;

        let mut stream = BufReader::new(accept(&liar).await);
        let mut line = String::new();
        for (said, asked) in [
            ("220 here\r\n", "EHLO example.com\r\n"),
            ("250-here\r\n250 STARTTLS\r\n", "STARTTLS\r\n"),
        ] {
            stream.write_all(said.as_bytes()).await.unwrap();
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            assert_eq!(line, asked);
        }
        // Behind the answer stands what the client might take for encrypted.
        stream.write_all(format!("220 go on\r\n{injected}").as_bytes()).await.unwrap();
        let handshake = acceptor(folder.path()).accept(stream.into_inner());
        let handshake = tokio::time::timeout(DEADLINE, handshake).await.unwrap();
        assert_eq!(handshake.is_ok(), is_encrypted, "{injected:?}");
        assert_eq!(waiting(gateway.folder.path()), 1);
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let accepted = tokio::time::timeout(DEADLINE, listener.accept()).await;
    accepted.expect("the gateway connects").unwrap().0
}

fn acceptor(folder: &Path) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_wait_while_mail_is_off_and_go_when_it_is_on_again() {
    let server = SmtpServer::start(&[]);
    let gateway = Gateway::start(setup(&url("smtp://", &server))).await;
    let mail = written(&outbox(&gateway), Some(YOU), "042137");
    reload(&gateway, &setup("url = \"\"")).await;
    assert!(gateway.app().gateway().snapshot.load().outbox().is_none());

    gateway.app().gateway().auth.store.queue_mail(mail).await.unwrap();
    reload(&gateway, &setup(&url("smtp://", &server))).await;

    assert_eq!(server.mail().await["headers"]["To"], YOU);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_given_up_and_holds_nothing_up() {
    let server = SmtpServer::start(&[]);
    let gateway = Gateway::start(setup(&url("smtp://", &server))).await;
    let sealed = b"another gateway's".to_vec();
    let mail = NewMail { sealed, ..written(&outbox(&gateway), Some(YOU), "000000") };

    gateway.app().gateway().auth.store.queue_mail(mail).await.unwrap();
    queue(&gateway, Some(YOU), "042137").await;

    server.mail().await;
    nothing_waits(&gateway).await;
    assert_eq!(server.events("mail").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_a_killed_process_left_is_sent_by_the_next() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("munjigi.toml");
    let busy = SmtpServer::start(&["--refuse", "451 4.3.0 come again"]);
    // The mails that the killed process had taken are hidden for twice the timeout.
    let mail = format!("timeout = \"1s\"\n{}", url("smtp://", &busy));
    std::fs::write(&file, setup(&mail).text(&upstream)).unwrap();
    let process = Process::run(&file).await;
    // Beside the running process, as if its operation had just queued it.
    let config = config::load(&file).unwrap();
    let store = stores::open(&config.store).await.unwrap();
    let outbox = outbox_of(&config, store.as_ref()).await;
    let mail = written(&outbox, Some(YOU), "042137");
    store.queue_mail(mail).await.unwrap();
    busy.has_seen("recipient", 1).await;

    process.kill().await;

    assert_eq!(waiting(folder.path()), 1);
    let server = SmtpServer::start(&[]);
    std::fs::write(&file, setup(&url("smtp://", &server)).text(&upstream)).unwrap();
    let process = Process::run(&file).await;
    assert_eq!(server.mail().await["headers"]["To"], YOU);
    let empty = async || (waiting(folder.path()) == 0).then_some(());
    eventually("the queue is empty", empty).await;
    process.kill().await;
}

/// The outbox of a configuration whose gateway is another process.
async fn outbox_of(config: &config::Config, store: &dyn Store) -> Arc<Outbox> {
    let own_keys = keys::own_keys(store, Now::read().wall).await.unwrap();
    let contracts = assemble::contracts(config).unwrap();
    let kept = ReloadState::new(config).unwrap();
    let settings = assemble::settings(config, &contracts, &kept, &own_keys).unwrap();
    Arc::clone(settings.mails.as_ref().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_gets_a_readable_file_a_mail() {
    let gateway = Gateway::start(setup("url = \"dir:mail/here\"")).await;
    let folder = gateway.folder.path().join("mail/here");

    queue(&gateway, None, "000000").await;
    queue(&gateway, Some(YOU), "042137").await;

    nothing_waits(&gateway).await;
    let files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("20") && name.ends_with(".eml") && !name.contains("you"), "{name}");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\r\nTo: you@example.com\r\n"), "{text}");
    assert!(text.contains("\r\n\r\n042137\r\n\r\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_template_replaces_ours_from_the_next_reload_on() {
    let gateway = Gateway::start(setup("url = \"dir:mail\"")).await;
    let templates = gateway.folder.path().join("templates");
    std::fs::create_dir(&templates).unwrap();
    let own = templates.join("reset_code.en.txt");
    let with = setup("url = \"dir:mail\"\n[ui]\ntemplates = \"templates\"");
    let reading = |text: &str| {
        std::fs::write(&own, text).unwrap();
        std::fs::write(gateway.file(), with.text(&gateway.upstream)).unwrap();
    };

    reading("Subject: Hallo\n\n{{ cod }}\n");
    let output = gateway.munjigi(&["check"]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("templates/reset_code.en.txt:3"), "{told}");
    let refused = gateway.app().reload(config::load(&gateway.file()).unwrap()).await;
    assert!(refused.is_err());
    reading("Subject: Hallo\n\n{{ code }}\n");
    gateway.app().reload(config::load(&gateway.file()).unwrap()).await.unwrap();
    queue(&gateway, Some(YOU), "042137").await;

    nothing_waits(&gateway).await;
    let folder = gateway.folder.path().join("mail");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\r\nSubject: Hallo\r\n") && text.contains("\r\n\r\n042137"), "{text}");
}
