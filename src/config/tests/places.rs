//! The rendering of faults.

use crate::config::tests::{SECRET, read};

#[test]
fn a_misspelt_key_is_drawn_with_its_place_and_what_was_meant() {
    let drawn = read(concat!(
        "[site.\"*\"]\n",
        "contract = \"standard\"\n",
        "\n",
        "[site.\"*\".tokens]\n",
        "access_tl = \"15m\"\n",
    ));

    assert_eq!(
        drawn.expect_err("a fault").to_string(),
        "\
error: unknown key `access_tl`
 --> munjigi.toml:5:1
  |
5 | access_tl = \"15m\"
  | ^^^^^^^^^ not a setting of [site.tokens]; did you mean `access_ttl`?"
    );
}

#[test]
fn a_missing_upstream_is_drawn_with_the_known_ones() {
    let drawn = read(concat!(
        "[upstream.orders]\n",
        "targets = [\"http://127.0.0.1:3000\"]\n",
        "\n",
        "[site.\"*\"]\n",
        "contract = \"standard\"\n",
        "\n\n\n\n",
        "routes = [\n",
        "  { path = \"/*\", upstream = \"orders\" },\n",
        "  { path = \"/orders/*\", upstream = \"order\" },\n",
        "]\n",
    ));

    assert_eq!(
        drawn.expect_err("a fault").to_string(),
        "\
error: route `/orders/*` names an upstream that does not exist
  --> munjigi.toml:12:36
   |
12 |   { path = \"/orders/*\", upstream = \"order\" },
   |                                    ^^^^^^^ known upstreams: orders"
    );
}

#[test]
fn several_faults_are_drawn_in_the_order_of_the_file() {
    let drawn = read("[log]\nlevel = \"inof\"\naccess = 1\n");

    assert_eq!(
        drawn.expect_err("faults").to_string(),
        "\
error: bad value for `level`
 --> munjigi.toml:2:9
  |
2 | level = \"inof\"
  |         ^^^^^^ expected `error`, `warn`, `info`, `debug`, `trace` or `off`; did you mean `info`?

error: bad value for `access`
 --> munjigi.toml:3:10
  |
3 | access = 1
  |          ^ expected `true` or `false`, found a whole number

error: no site is configured
 |
 = help: add [site.\"*\"] with its contract and routes"
    );
}

#[test]
fn colour_is_used_only_where_it_is_asked_for() {
    let faults = read("[log]\nlevel = 1\n").expect_err("a fault");

    assert!(faults.render(true).contains("\u{1b}["));
    assert!(!faults.render(false).contains("\u{1b}["));
}

#[test]
fn no_secret_is_drawn() {
    let key = |rest: &str| {
        format!("[site.\"*\"]\ncontract = \"none\"\n[site.\"*\".tokens]\nkeys = [{{ {rest} }}]\n")
    };
    for (name, text) in [
        ("too short", key("kid = \"a\", algorithm = \"HS256\", secret = \"canary\"")),
        ("beside a fault", key(&format!("kd = \"a\", algorithm = \"HS256\", secret = \"canary{SECRET}\""))),
        ("misspelt", key("kid = \"a\", algorithm = \"HS256\", secrt = \"canary\"")),
        ("misnamed", key("kid = \"a\", algorithm = \"HS256\", hmac = \"canary\"")),
        ("of the wrong kind", key("kid = \"a\", algorithm = \"RS256\", secret = \"canary\"")),
        ("as a path", key("kid = \"a\", algorithm = \"RS256\", private = \"canary\"")),
        ("not closed", "[store]\npassword = \"canary\n".to_owned()),
        ("not quoted", "[store]\npassword = canary\n".to_owned()),
        ("over lines", "[store]\nx = 1\npassword = \"\"\"\ncanary".to_owned()),
        ("in a URL", "[store]\nurl = \"redis://canary:canary@h/x\"".to_owned()),
        ("in a bad URL", "[store]\nurl = \"redis://u:c/canary@h\"".to_owned()),
        ("of a mail server", "[mail]\nurl = \"smtp://u:canary@h\"\nx = 1".to_owned()),
        ("of a bad mail server", "[mail]\nurl = \"smtp://u:can canary'canary/@h\"".to_owned()),
        ("of the wrong type", "[password]\npepper = [\"canary\"]\nx = 1".to_owned()),
        ("in part", "[password]\npepper = \"canary${A}\"".to_owned()),
        (
            "in a header",
            "[site.\"*\"]\ncontract = \"none\"\nroutes = [{ set_headers = { X-Key = \"canary\" } }]"
                .to_owned(),
        ),
        ("of an upstream", "[upstream.a]\ntargets = [\"http://u:canary@h\"]".to_owned()),
    ] {
        let faults = read(&text).expect_err(name);

        let shown = format!("{}{:?}", faults.render(false), faults);
        assert!(!shown.contains("canary"), "{name}: {shown}");
    }
}

#[test]
fn a_configuration_shows_no_secret() {
    let text = format!(
        "[store]\npassword = \"canary\"\nurl = \"redis://u:canary@h\"\n\
         [mail]\nurl = \"smtp://u:canary@h\"\n[password]\npepper = \"canary\"\n\
         [site.\"*\"]\ncontract = \"none\"\n\
         routes = [{{ path = \"/*\", upstream = \"http://a\", set_headers = {{ X-Key = \"canary\" }} }}]\n\
         [site.\"*\".tokens]\nkeys = [{{ kid = \"a\", algorithm = \"HS256\", secret = \"canary{SECRET}\" }}]\n"
    );

    let config = read(&text).expect("a good configuration");

    assert!(!format!("{config:?}").contains("canary"), "{config:?}");
    assert_eq!(config.store.password.expose(), "canary");
}
