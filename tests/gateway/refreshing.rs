//! Many refreshes of one token at once, and a token that was used before: for each form of refresh
//! token, over the wire, on SQLite and on Redis.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Client, Gateway, Reply, Setup, Version, eventually, request};
use crate::redis::RedisServer;

/// The login and refresh of a product's clients.
#[derive(Clone, Copy)]
struct Product {
    contract: &'static str,
    login: &'static str,
    refresh: &'static str,
    /// The places of the tokens in the answers.
    members: [&'static str; 2],
    /// The body of a refresh, of the access and the refresh token.
    body: fn(&str, &str) -> Value,
    /// The status of a refresh that is refused.
    refused: u16,
}

const PRODUCTS: [Product; 3] = [
    Product {
        contract: "standard",
        login: "/auth/login",
        refresh: "/auth/refresh",
        members: ["/access_token", "/refresh_token"],
        body: |_, refresh| json!({ "refresh_token": refresh }),
        refused: 400,
    },
    Product {
        contract: "auth-api",
        login: "/api/auth/login",
        refresh: "/api/auth/refresh",
        members: ["/data/accessToken", "/data/refreshToken"],
        body: |_, refresh| json!({ "refreshToken": refresh }),
        refused: 401,
    },
    Product {
        contract: "username",
        login: "/api/auth/login",
        refresh: "/api/auth/reissue-token",
        members: ["/accessToken", "/refreshToken"],
        body: |access, refresh| json!({ "accessToken": access, "refreshToken": refresh }),
        refused: 401,
    },
];

/// The access and the refresh token.
type Pair = [String; 2];

impl Product {
    fn pair(&self, reply: &Reply) -> Pair {
        assert_eq!(reply.status, 200, "{}: {}", self.contract, reply.text());
        let json = reply.json();
        self.members.map(|member| json.pointer(member).unwrap().as_str().unwrap().to_owned())
    }

    async fn log_in(&self, client: &mut Client) -> Pair {
        let body = json!({ "email": "a@example.com", "username": "ann", "password": "password1" });
        let body = body.to_string();
        self.pair(&request("POST", self.login).json(&body).send(client).await)
    }

    async fn refresh(&self, client: &mut Client, [access, refresh]: &Pair) -> Reply {
        let body = (self.body)(access, refresh).to_string();
        request("POST", self.refresh).json(&body).send(client).await
    }
}

async fn passes(client: &mut Client, access: &str) -> u16 {
    request("GET", "/api/hello").bearer(access).send(client).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_refreshes_at_once_give_one_successor_and_a_living_session() {
    let redis = RedisServer::start().await;
    for product in PRODUCTS {
        let prefix = product.contract;
        for url in ["sqlite:munjigi.db".to_owned(), redis.url()] {
            // Two hundred at once on a busy machine are not what the deadline is for.
            let tables =
                format!("[store]\nurl = \"{url}\"\nprefix = \"{prefix}:\"\ntimeout = \"10s\"\n");
            let gateway =
                Gateway::start(Setup { tables, ..Setup::contract(product.contract) }).await;
            let user = ["--email", "a@example.com", "--username", "ann"];
            gateway.add_user(&user, "password1").await;
            let mut client = gateway.client(Version::H2).await;
            let first = product.log_in(&mut client).await;

            let successors = refresh_at_once(&gateway, product, &first).await;

            assert_eq!(successors.len(), 1, "{}: {successors:?}", product.contract);
            let refresh = successors.into_iter().next().unwrap();
            let second = product.refresh(&mut client, &[first[0].clone(), refresh]).await;
            let second = product.pair(&second);
            assert_eq!(passes(&mut client, &second[0]).await, 200);

            let replayed = product.refresh(&mut client, &first).await;
            assert_eq!(replayed.status, product.refused, "{}", replayed.text());
            assert_eq!(passes(&mut client, &second[0]).await, 401, "the family lives on");
            let after = product.refresh(&mut client, &second).await;
            assert_eq!(after.status, product.refused, "{}", after.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_given_again_until_somebody_shows_to_have_it() {
    let redis = RedisServer::start().await;
    for (url, product) in ["sqlite:munjigi.db".to_owned(), redis.url()].into_iter().zip(PRODUCTS) {
        let tables = format!(
            "[store]\nurl = \"{url}\"\ntimeout = \"10s\"\n\
             [site.\"localhost\".tokens]\nrefresh_grace = \"1ms\"\n"
        );
        let gateway = Gateway::start(Setup { tables, ..Setup::contract(product.contract) }).await;
        gateway.add_user(&["--email", "a@example.com", "--username", "ann"], "password1").await;
        let mut client = gateway.client(Version::H2).await;
        let first = product.log_in(&mut client).await;
        let lost = product.pair(&product.refresh(&mut client, &first).await);
        past_the_grace().await;
        assert_eq!(passes(&mut client, &first[0]).await, 200, "the earlier token is no sign");

        let again = product.pair(&product.refresh(&mut client, &first).await);

        assert_eq!(again[1], lost[1], "{}", product.contract);
        assert_eq!(passes(&mut client, &again[0]).await, 200);
        past_the_grace().await;
        let stolen = product.refresh(&mut client, &first).await;
        assert_eq!(stolen.status, product.refused, "{}", stolen.text());
        assert_eq!(passes(&mut client, &again[0]).await, 401, "the family lives on");
    }
}

async fn past_the_grace() {
    let begun = Instant::now();
    eventually("the grace is over", async || {
        (begun.elapsed() > Duration::from_millis(2)).then_some(())
    })
    .await;
}

/// Presents one token two hundred times at once; gives the refresh tokens that were answered.
async fn refresh_at_once(gateway: &Gateway, product: Product, pair: &Pair) -> BTreeSet<String> {
    let mut racing = JoinSet::new();
    for _ in 0..4 {
        let client = gateway.client(Version::H2).await;
        for _ in 0..50 {
            let (mut client, pair) = (client.sibling(), pair.clone());
            racing.spawn(async move {
                let reply = product.refresh(&mut client, &pair).await;
                let [_, refresh] = product.pair(&reply);
                refresh
            });
        }
    }
    racing.join_all().await.into_iter().collect()
}
