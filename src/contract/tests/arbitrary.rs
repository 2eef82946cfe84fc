//! Any request is decoded or refused, and every refusal can be encoded.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::{option, prop_oneof, proptest};

use crate::contract::tests::{built_in, context, principal};
use crate::contract::{Contract, EndpointRequest};

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let texts = prop_oneof!["[a-z@.\\PC]{0,12}", "\\{[\"a-z:,@.{}\\[\\]0-9]{0,40}"];
    let object = ("\\PC{0,8}", "\\PC{0,8}").prop_map(|(email, password)| {
        serde_json::json!({ "email": email, "password": password, "username": 1 }).to_string()
    });
    prop_oneof![
        vec(any::<u8>(), 0..64),
        texts.prop_map(String::into_bytes),
        object.prop_map(String::into_bytes)
    ]
}

fn media_types() -> impl Strategy<Value = Option<Vec<u8>>> {
    option::of(prop_oneof![
        proptest::strategy::Just(b"application/json".to_vec()),
        proptest::strategy::Just(b"application/x-www-form-urlencoded".to_vec()),
        vec(any::<u8>(), 0..24),
    ])
}

static CONTRACTS: LazyLock<Vec<Contract>> =
    LazyLock::new(|| Contract::built_in_names().iter().map(|name| built_in(name)).collect());

proptest! {
    #[test]
    fn decode_and_refuse_never_panic(
        body in bodies(),
        media_type in media_types(),
        query in option::of("\\PC{0,24}"),
        id in "\\PC{0,24}",
        cookie in option::of("(refresh|[a-z;= ]){0,12}"),
    ) {
        let mut headers = HeaderMap::new();
        let media_type = media_type.map(|text| HeaderValue::from_bytes(&text));
        if let Some(Ok(value)) = media_type {
            headers.insert(HeaderName::from_static("content-type"), value);
        }
        let cookie = cookie.and_then(|text| HeaderValue::try_from(text).ok());
        headers.extend(cookie.map(|text| (HeaderName::from_static("cookie"), text)));
        for contract in CONTRACTS.iter() {
            for endpoint in contract.endpoints() {
                let path = [("id".to_owned(), id.clone())];
                let request = EndpointRequest {
                    headers: &headers,
                    query: query.as_deref(),
                    path: &path,
                    body: &body,
                    principal: Some(principal()),
                };
                if let Err(rejection) = contract.decode(endpoint, request) {
                    let response = contract.refuse(Some(endpoint), &rejection, context());
                    assert!(response.status().is_client_error());
                    serde_json::from_slice::<serde_json::Value>(response.body()).unwrap();
                }
            }
        }
    }

    #[test]
    fn any_text_is_a_contract_or_has_faults(text in "\\PC{0,200}") {
        let path = std::path::Path::new("own.toml");
        assert!(Contract::parse(&text, path).is_err());
    }
}
