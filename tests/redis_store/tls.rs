//! `rediss://` with a CA of the operator's own.

use std::path::PathBuf;

use munjigi::store::{Accounts, RedisOptions, RedisStore, StoreError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::fixture::{eventually, new_user, told};
use crate::redis_server::{RedisServer, free_port};
use crate::server::PATIENT;

/// A CA, and a server's certificate of it for 127.0.0.1.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of another name than what it signs, or OpenSSL takes that for its own issuer.
        authority.distinguished_name.push(DnType::CommonName, "a CA");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(authority, key).expect("a CA");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
        let made = Self { folder };
        for (name, pem) in
            [("ca.pem", issuer.pem()), ("cert.pem", leaf.pem()), ("key.pem", key.serialize_pem())]
        {
            std::fs::write(made.path(name), pem).expect("a file");
        }
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client that trusts the CA.
    fn client(&self, server: &RedisServer) -> redis::Client {
        let root_cert = Some(std::fs::read(self.path("ca.pem")).expect("a CA"));
        let certificates = redis::TlsCertificates { client_tls: None, root_cert };
        redis::Client::build_with_tls(server.url(), certificates).expect("a client")
    }

    async fn serve(&self) -> RedisServer {
        self.serve_with(&["--tls-auth-clients", "no"]).await
    }

    async fn serve_with(&self, more: &[&str]) -> RedisServer {
        let [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"]
            .map(|name| self.path(name).to_str().expect("a path").to_owned());
        let arguments =
            ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
        RedisServer::start_with("rediss", &[&arguments, more].concat()).await
    }
}

#[tokio::test]
async fn a_server_of_the_operators_ca_is_trusted() {
    let certificates = Certificates::make();
    let server = certificates.serve().await;
    let options = RedisOptions { ca: Some(certificates.path("ca.pem")), ..server.options(PATIENT) };

    let store = RedisStore::connect(options).await.expect("a store");

    let ann = store.create_user(new_user("ann")).await.expect("an account");
    assert_eq!(store.list_users("default", None, 2).await.expect("a list").users, [ann]);
}

#[tokio::test]
async fn a_server_of_another_ca_is_refused() {
    let server = Certificates::make().serve().await;
    let others = Certificates::make();

    for ca in [None, Some(others.path("ca.pem"))] {
        let options = RedisOptions { ca, ..server.options(PATIENT) };
        let refused = RedisStore::connect(options).await;

        let error = refused.expect_err("a refusal");
        assert!(matches!(error, StoreError::Outage(_)), "{error:?}");
        assert!(told(&error).contains("certificate"), "{}", told(&error));
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_it() {
    let certificates = Certificates::make();
    let server = certificates.serve_with(&["--tls-auth-clients", "yes"]).await;
    let without = RedisOptions { ca: Some(certificates.path("ca.pem")), ..server.options(PATIENT) };
    let with = |cert: &Certificates| RedisOptions {
        cert: Some(cert.path("cert.pem")),
        key: Some(cert.path("key.pem")),
        ..without.clone()
    };

    let store = RedisStore::connect(with(&certificates)).await.expect("a store");

    store.create_user(new_user("ann")).await.expect("an account");
    for (what, options) in
        [("none", without.clone()), ("another CA's", with(&Certificates::make()))]
    {
        let refused = RedisStore::connect(options).await;
        assert!(matches!(refused, Err(StoreError::Outage(_))), "{what}: {refused:?}");
    }
    let half = RedisOptions { key: None, ..with(&certificates) };
    let text = told(&RedisStore::connect(half).await.expect_err("a refusal"));
    assert!(text.contains("`cert` and `key`"), "{text}");
}

#[tokio::test]
async fn a_cluster_over_tls_is_asked_over_tls_at_every_node() {
    let certificates = Certificates::make();
    let bus = free_port().to_string();
    let more = [
        ["--tls-auth-clients", "no"],
        ["--tls-cluster", "yes"],
        ["--cluster-enabled", "yes"],
        ["--cluster-port", &bus],
    ];
    let server = certificates.serve_with(more.as_flattened()).await;
    let options = RedisOptions {
        url: format!("rediss+cluster://127.0.0.1:{}", server.port()),
        ca: Some(certificates.path("ca.pem")),
        ..server.options(PATIENT)
    };
    // Alone, it has all slots or none.
    let refused = RedisStore::connect(options.clone()).await.expect_err("a refusal");
    assert!(told(&refused).contains("knows of no slots"), "{}", told(&refused));

    let client = certificates.client(&server);
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let mut own = redis::cmd("CLUSTER");
    own.arg("ADDSLOTSRANGE").arg(0).arg(16383);
    own.query_async::<()>(&mut connection).await.expect("slots");

    let store = eventually(async || RedisStore::connect(options.clone()).await).await;
    store.create_user(new_user("ann")).await.expect("an account");
}

#[tokio::test]
async fn a_ca_file_that_is_not_there_is_named() {
    let certificates = Certificates::make();
    let server = certificates.serve().await;
    let options =
        RedisOptions { ca: Some(certificates.path("none.pem")), ..server.options(PATIENT) };

    let error = RedisStore::connect(options).await.expect_err("a refusal");

    assert!(told(&error).contains("none.pem"), "{}", told(&error));
}
