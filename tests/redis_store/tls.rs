//! `rediss://` with a CA of the operator's own.

use std::path::PathBuf;

use munjigi::store::RedisOptions;
use munjigi::store::RedisStore;
use munjigi::store::Store;
use munjigi::store::StoreError;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use tempfile::TempDir;

use crate::fixture::new_user;
use crate::fixture::told;
use crate::redis_server::RedisServer;
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

    async fn serve(&self) -> RedisServer {
        let [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"]
            .map(|name| self.path(name).to_str().expect("a path").to_owned());
        let arguments = [
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            "no",
        ];
        RedisServer::start_with("rediss", &arguments).await
    }
}

#[tokio::test]
async fn a_server_of_the_operators_ca_is_trusted() {
    let certificates = Certificates::make();
    let server = certificates.serve().await;
    let options = RedisOptions { ca: Some(certificates.path("ca.pem")), ..server.options(PATIENT) };

    let store = RedisStore::connect(options).await.expect("a store");

    let ann = store.create_user(new_user("ann")).await.expect("an account");
    assert_eq!(store.list_users("default", None, 2).await.expect("a list"), [ann]);
}

#[tokio::test]
async fn a_server_of_another_ca_is_refused() {
    let server = Certificates::make().serve().await;
    let others = Certificates::make();

    for ca in [None, Some(others.path("ca.pem"))] {
        let options = RedisOptions { ca, ..server.options(PATIENT) };
        let refused = RedisStore::connect(options).await;

        let error = refused.expect_err("a refusal");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(told(&error).contains("certificate"), "{}", told(&error));
    }
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
