//! Nothing that is read makes the reading panic.

use proptest::prelude::{any, prop, proptest};
use proptest::strategy::Strategy;

use crate::config::tests::read;
use crate::config::{Algorithm, ByteRate, ByteSize, HostPattern, UpstreamUrl};
use crate::document::parse_duration;
use crate::document::redact::redact;
use crate::path::PathPattern;

/// Fragments of a configuration in any order: most do not parse, and many nearly do.
fn fragments() -> impl Strategy<Value = String> {
    let fragments = prop::sample::select(vec![
        "[server]\n",
        "[server",
        "listen = ",
        "[",
        "]",
        "\"",
        "'''",
        "\"\"\"",
        "\n",
        "= ",
        "{ ",
        " }",
        ", ",
        "127.0.0.1:1",
        "[store]\n",
        "password = ",
        "secret = ",
        "redis://u:p@h",
        "1",
        "true",
        "1979-05-27",
        "1e9",
        "inf",
        "[site.\"*\"]\n",
        "[[site.\"*\".routes]]\n",
        "routes = ",
        "path = ",
        "contract = ",
        "\"none\"",
        "\"/*\"",
        "${A}",
        "file:",
        "한",
        "\\u00e9",
        "[site.\"*\".tokens]\n",
        "keys = ",
        "kid = ",
        "#",
        ".",
        "claims = ",
    ]);
    prop::collection::vec(fragments, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn values_of_any_text_are_read_or_refused(text in any::<String>()) {
        let _value = parse_duration(&text);
        let _value = text.parse::<ByteSize>();
        let _value = text.parse::<ByteRate>();
        let _value = text.parse::<HostPattern>();
        let _value = text.parse::<UpstreamUrl>();
        let _value = text.parse::<Algorithm>();
        let _value = text.parse::<PathPattern>();
    }

    #[test]
    fn values_of_nearly_right_text_are_read_or_refused(text in "[0-9]{0,25}[a-zµ/%.]{0,4}[0-9A-F.]{0,3}") {
        let _value = parse_duration(&text);
        let _value = text.parse::<ByteSize>();
        let _value = format!("/{text}").parse::<PathPattern>();
    }

    #[test]
    fn any_file_is_read_or_its_faults_drawn(text in fragments()) {
        if let Err(faults) = read(&text) {
            assert!(!faults.0.is_empty());
            assert!(faults.render(false).contains("error"));
        }
    }

    #[test]
    fn blanking_keeps_every_place(text in fragments()) {
        let redacted = redact(&text);

        assert_eq!(redacted.len(), text.len());
        assert_eq!(redacted.matches('\n').count(), text.matches('\n').count());
    }
}
