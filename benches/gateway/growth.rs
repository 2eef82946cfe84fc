//! Cost a request as the work grows: routes, sites, revocations, connections, identity headers. Each
//! row is held against the least of its kind.

use std::fmt::Write;
use std::path::Path;
use std::rc::Rc;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use tempfile::TempDir;

use super::process::Process;
use super::target::{SECRET, Target, Targets, client_config, munjigi};

/// One gateway's work.
#[derive(Clone, Copy, PartialEq)]
struct Work {
    routes: usize,
    sites: usize,
    revoked: usize,
    headers: usize,
    /// Connections that are open and idle.
    idle: usize,
}

const LEAST: Work = Work { routes: 1, sites: 1, revoked: 0, headers: 1, idle: 0 };
const ISSUER: &str = "https://issuer.test";
/// Claims of the token that become headers.
const CLAIMS: usize = 32;

impl Targets {
    /// Starts a gateway for each amount of work.
    pub(crate) fn growth() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = Process::helper(&["serve-backend"]);
        let upstream = format!("http://{}", backend.address);
        let rows = [
            ("1 route", LEAST),
            ("100 routes", Work { routes: 100, ..LEAST }),
            ("10,000 routes", Work { routes: 10_000, ..LEAST }),
            ("1 site", LEAST),
            ("100 sites", Work { sites: 100, ..LEAST }),
            ("10,000 sites", Work { sites: 10_000, ..LEAST }),
            ("none revoked", LEAST),
            ("1,000,000 revoked", Work { revoked: 1_000_000, ..LEAST }),
            ("64 connections", LEAST),
            ("10,000 connections", Work { idle: 9_936, ..LEAST }),
            ("1 identity header", LEAST),
            ("32 identity headers", Work { headers: CLAIMS, ..LEAST }),
        ];
        let token = format!("Bearer {}", token()).parse().unwrap();
        let tokens = [token];
        let least = Rc::new(gateway(&folder, "least", LEAST, &upstream));
        let target = |(name, work): (&'static str, Work)| {
            let is_least = work == LEAST;
            let process = if is_least {
                Rc::clone(&least)
            } else {
                Rc::new(gateway(&folder, name, work, &upstream))
            };
            Target {
                name,
                is_floor: is_least,
                address: process.address,
                process,
                tls: Some(client_config(&folder.path().join("certs/dev/ca.pem"), b"http/1.1")),
                http2: false,
                header: http::header::AUTHORIZATION,
                tokens: tokens.to_vec(),
                status: 200,
                idle: work.idle,
            }
        };
        let list = rows.into_iter().map(target).collect();
        Self { list, _folder: folder, _backend: Some(backend) }
    }
}

fn gateway(folder: &TempDir, name: &str, work: Work, upstream: &str) -> Process {
    let file = folder.path().join(format!("{}.toml", name.replace([' ', ','], "_")));
    std::fs::write(&file, configuration(&file, work, upstream)).unwrap();
    if work.revoked > 0 {
        let mut ids = String::new();
        for _ in 0..work.revoked {
            writeln!(ids, "{}", uuid::Uuid::new_v4()).unwrap();
        }
        let list = folder.path().join("revoked.txt");
        std::fs::write(&list, ids).unwrap();
        let list = list.display().to_string();
        munjigi(&file, &["revoke", "import", &list, "--until", "1h"], "");
    }
    Process::gateway(&file)
}

fn configuration(file: &Path, work: Work, upstream: &str) -> String {
    let store = file.with_extension("db");
    let mut text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"\"\nworkers = 1\nmax_connections = 12000\n\
         [limits]\nkeep_alive = \"1h\"\n[log]\naccess = false\n[revocation]\ncapacity = 11000000\n\
         [store]\nurl = \"sqlite:{}\"\n",
        store.display()
    );
    for site in 0..work.sites {
        let host = if site == 0 { "localhost".to_owned() } else { format!("s{site}.test") };
        write!(
            text,
            "[site.\"{host}\"]\ncontract = \"none\"\n\
             [site.\"{host}\".tokens]\nissuer = \"{ISSUER}\"\naudience = \"any\"\n\
             keys = [{{ kid = \"bench\", algorithm = \"HS256\", secret = \"{SECRET}\" }}]\n\
             [site.\"{host}\".identity]\nclaims = {{ {} }}\n",
            (1..work.headers)
                .map(|n| format!("X-Claim-{n} = \"c{n}\""))
                .collect::<Vec<_>>()
                .join(", ")
        )
        .unwrap();
        let routes = if site == 0 { work.routes } else { 1 };
        for route in 1..routes {
            write!(
                text,
                "[[site.\"{host}\".routes]]\npath = \"/area{route}/*\"\nupstream = \"{upstream}\"\n"
            )
            .unwrap();
        }
        write!(text, "[[site.\"{host}\".routes]]\npath = \"/*\"\nupstream = \"{upstream}\"\n")
            .unwrap();
    }
    text
}

fn token() -> String {
    let now = jsonwebtoken::get_current_timestamp();
    let mut claims = json!({
        "iss": ISSUER, "sub": "bench", "jti": uuid::Uuid::new_v4().to_string(),
        "iat": now, "exp": now + 3600,
    });
    for claim in 1..CLAIMS {
        claims[format!("c{claim}")] = "value".into();
    }
    let header = Header { kid: Some("bench".to_owned()), ..Header::default() };
    let key = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}
