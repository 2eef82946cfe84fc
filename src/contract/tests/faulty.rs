//! Files that are refused: what is said, and of which line.

use std::path::Path;

use crate::contract::Contract;
use crate::contract::answer::slot::{Place, Slot};
use crate::operation::{ErrorCode, Operation};

const GOOD: &str = r#"name = "own"
about = "A contract of the test's own."
not_served = ["sign_up", "refresh", "me", "sessions", "end_session", "change_password", "check_token", "social_login", "request_reset", "confirm_reset", "request_verification", "confirm_verification"]
[tokens]
algorithm = "HS256"
access_ttl = "30m"
[envelope]
error = { reason = "{message}", code = "{error.code}" }
[errors]
default = { code = "x", message = "no" }
[[endpoint]]
operation = "login"
path = "POST /in"
input = { email = "body:email", password = "body:password" }
body = { token = "{access_token}" }
[[endpoint]]
operation = "logout"
path = "POST /out"
input = { access_token = "bearer" }
empty = true
"#;

pub(super) fn faults(text: &str) -> Vec<(usize, String, String)> {
    let Err(faults) = Contract::parse(text, Path::new("own.toml")) else { return Vec::new() };
    let place = |fault: crate::config::Fault| {
        let source = fault.source.unwrap();
        assert_eq!(source.path, Path::new("own.toml"));
        (source.spot(fault.span).line, fault.title, fault.hint)
    };
    faults.0.into_iter().map(place).collect()
}

#[test]
fn the_good_file_has_no_fault() {
    assert_eq!(faults(GOOD), []);
}

/// The text in the good file, its replacement, and the fault: line, title, hint.
type Row = (&'static str, &'static str, usize, &'static str, &'static str);

const ROWS: [Row; 52] = [
    ("name = \"own\"", "name = 1", 1, "an integer where a string belongs", ""),
    ("name = \"own\"", "nam = \"own\"", 1, "unknown key `nam`", "did you mean `name`?"),
    ("name = \"own\"", "name = \"own", 1, "", "this is no TOML"),
    ("name = \"own\"", "name = 2025-01-01", 1, "no value of a contract", ""),
    ("\"me\"", "\"mee\"", 3, "unknown operation `mee`", "did you mean `me`?"),
    ("\"me\"", "\"me\", \"login\"", 3, "`login` is served and not served", ""),
    ("\"me\", ", "", 1, "`me` is neither served nor listed in `not_served`", ""),
    ("HS256", "HS265", 5, "unknown algorithm `HS265`", "did you mean `HS256`?"),
    ("HS256", "none", 5, "unknown algorithm `none`", "known here: HS256"),
    ("\"30m\"", "\"30 parsecs\"", 6, "`30 parsecs` is no duration", "such as"),
    ("\"30m\"", "\"0s\"", 6, "`0s` is no duration", ""),
    ("access_ttl = \"30m\"", "", 4, "`access_ttl` is missing", ""),
    ("\"30m\"", "\"30m\"\nrefresh_format = \"uid\"", 7, "unknown refresh format `uid`", "`uuid`"),
    ("\"30m\"", "\"30m\"\nacces_ttl = \"1m\"", 7, "unknown key `acces_ttl`", "`access_ttl`"),
    ("[errors]", "[errors]\nbad_request = { message = 5 }", 10, "a message that is no string", ""),
    ("body = {", "message = \"hi\"\nbody = {", 15, "`{message}` stands nowhere in the body", ""),
    ("body = {", "data = {}\nbody = {", 15, "`{data}` stands nowhere in the body", ""),
    (
        "token = \"{access_token}\"",
        "m = \"{message}\"",
        15,
        "`{message}` has no value in answers of `login`",
        "give",
    ),
    ("{message}", "{mesage}", 8, "unknown slot `{mesage}`", "known here"),
    ("{message}", "{message", 8, "a `{` without its `}`", "`{{`"),
    ("{message}", "message}", 8, "a `}` without its `{`", "`}}`"),
    ("{message}", "{user.id}", 8, "`{user.id}` is not known to refusals", "known here"),
    ("{error.code}", "{error.cod}", 8, "`{error.cod}` is not given for every error kind", "?}"),
    ("{message}", "{now:rfc333}", 8, "unknown time format `rfc333`", "did you mean `rfc3339`?"),
    ("{message}", "{status:rfc3339}", 8, "`{status}` is no time", ""),
    (
        "[errors]",
        "[errors]\nnot_fond = { code = \"y\" }",
        10,
        "unknown error kind `not_fond`",
        "`not_found`",
    ),
    (
        "[errors]",
        "[errors]\nnot_found = { status = 500 }",
        10,
        "500 is no status for `not_found`",
        "404",
    ),
    (
        "[errors]",
        "[errors]\ninternal_error = { status = 200 }",
        10,
        "200 is no status for `internal_error`",
        "500",
    ),
    ("code = \"x\"", "code = \"x\", status = 500", 10, "`default` has no status", ""),
    ("default = {", "not_found = {", 9, "no words for the error kind `invalid_input`", "`default`"),
    ("\"login\"", "\"log_in\"", 12, "unknown operation `log_in`", "did you mean `login`?"),
    ("\"login\"", "\"social_login\"", 14, "`social_login` needs the input `provider`", ""),
    (
        "{access_token}",
        "{is_new_user}",
        15,
        "`{is_new_user}` is not known to answers of `login`",
        "",
    ),
    ("{access_token}", "{token}", 15, "`{token}` is not known to answers of `login`", ""),
    ("POST /in", "PSOT /in", 13, "unknown method `PSOT`", "did you mean `POST`?"),
    ("POST /in", "/in", 13, "no method and path", ""),
    ("POST /in", "POST /in/", 13, "`/in/` is no path of an endpoint", "an empty segment"),
    ("POST /in", "POST /%69n", 13, "`/%69n` is no path of an endpoint", ""),
    ("POST /in", "GET /in", 14, "`body:email` in a GET", "query"),
    ("POST /in", "POST /out", 18, "`POST /out` is claimed twice", ""),
    (
        "email = \"body:email\"",
        "emial = \"body:email\"",
        14,
        "unknown input `emial`",
        "did you mean `email`?",
    ),
    (
        "email = \"body:email\", ",
        "",
        14,
        "`login` needs to know who",
        "email, username, identifier",
    ),
    (", password = \"body:password\"", "", 14, "`login` needs the input `password`", ""),
    (
        "\"body:email\"",
        "\"bdy:email\"",
        14,
        "`bdy:email` is no place of a request",
        "did you mean `body`?",
    ),
    ("\"body:email\"", "\"path:email\"", 14, "no `{email}` in `/in`", ""),
    (
        "\"body:email\"",
        "{ from = \"body:email\", may_be_hashed = true }",
        14,
        "`may_be_hashed` on another input",
        "",
    ),
    ("\"bearer\"", "\"body:token\"", 19, "`bearer` is the place of `access_token` alone", ""),
    (
        "{access_token}",
        "{acess_token}",
        15,
        "unknown slot `{acess_token}`",
        "did you mean `access_token`?",
    ),
    ("{access_token}", "{refresh_token}", 15, "`{refresh_token}` has no value", "refresh_ttl"),
    ("empty = true", "status = 404\nempty = true", 20, "404 is no status of success", "200 to 299"),
    (
        "empty = true",
        "status = 204\ndata = {}",
        21,
        "an answer without a body has no use for this",
        "",
    ),
    (
        "empty = true",
        "body = { token = \"{access_token}\" }",
        20,
        "`{access_token}` is not known to answers of `logout`",
        "",
    ),
];

#[test]
fn each_fault_is_told_with_its_line_and_a_hint() {
    for (from, to, line, title, hint) in ROWS {
        assert!(GOOD.contains(from), "{from}");
        let faults = faults(&GOOD.replacen(from, to, 1));

        let told = faults.iter().any(|(own_line, own_title, own_hint)| {
            *own_line == line && (own_title == title || title.is_empty()) && own_hint.contains(hint)
        });
        assert!(told, "{to}: {faults:?}");
    }
}

#[test]
fn faults_of_headers_are_told() {
    for (headers, title) in [
        ("{ Set-Cookie = \"a=b\" }", "`Set-Cookie` cannot be set here"),
        ("{ Content-Length = \"1\" }", "`Content-Length` cannot be set here"),
        ("{ \"a b\" = \"1\" }", "`a b` cannot be set here"),
        ("{ X-Name = \"{user.username}\" }", "a value that may not fit a header"),
        ("{ X-Name = \"가\" }", "a value that may not fit a header"),
    ] {
        let path = "path = \"POST /in\"\n";
        let faults = faults(&GOOD.replacen(path, &format!("{path}headers = {headers}\n"), 1));

        assert_eq!(faults.len(), 1, "{headers}: {faults:?}");
        assert_eq!((faults[0].0, faults[0].1.as_str()), (14, title));
    }
}

#[test]
fn all_faults_come_in_one_report_in_the_order_of_the_file() {
    let text = GOOD
        .replace("HS256", "HS1")
        .replace("{error.code}", "{error.cod}")
        .replace("POST /in", "POST in")
        .replace("{access_token}", "{acces_token}");

    let lines: Vec<_> = faults(&text).into_iter().map(|(line, ..)| line).collect();

    assert_eq!(lines, [5, 8, 13, 15]);
}

#[test]
fn a_form_of_body_that_nobody_reads_is_told() {
    let text = GOOD.replace("empty = true", "accept = [\"form\"]\nempty = true");

    let faults = faults(&text);

    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((faults[0].0, faults[0].1.as_str()), (20, "no input stands in the body"));
}

#[test]
fn the_examples_of_the_readme_load_and_the_readme_names_everything() {
    let readme = include_str!("../../../config/contracts/README.md");
    let mut examples =
        readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole = examples.next().unwrap();
    let [cookie, example] = [examples.next().unwrap(), examples.next().unwrap()];
    let start = GOOD.find("[[endpoint]]").unwrap();
    let end = GOOD.rfind("[[endpoint]]").unwrap();
    let text = [&GOOD[..start], example, &GOOD[end..]].concat();
    let envelope = "success = { data = \"{data}\", message = \"{message?}\" }\n[errors]";
    let text = text.replacen("[errors]", envelope, 1);
    let described = [whole, cookie].concat().replace("{refresh_token}", "{access_token}");
    let described = described.replacen("data = {", "set_cookies = [\"session\"]\ndata = {", 1);

    assert_eq!(faults(whole), []);
    assert_eq!(faults(&text), []);
    assert_eq!(faults(&described), []);
    let places = Operation::ALL.map(Place::Answer).into_iter().chain([Place::Item, Place::Refusal]);
    let slots = places.flat_map(Slot::names);
    let kinds = ErrorCode::ALL.into_iter().map(ErrorCode::name);
    let operations = Operation::ALL.into_iter().map(Operation::name);
    for name in slots.chain(kinds).chain(operations) {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn a_missing_table_does_not_hide_other_faults() {
    let text = "name = \"own\"\n[[endpoint]]\noperation = \"login\"\npath = \"POST in\"\n";

    let titles: Vec<_> = faults(text).into_iter().map(|(_, title, _)| title).collect();

    for title in [
        "`about` is missing",
        "`[tokens]` is missing",
        "`[envelope]` is missing",
        "`[errors]` is missing",
        "`in` is no path of an endpoint",
        "`input` is missing",
        "an endpoint without an answer",
    ] {
        assert!(titles.iter().any(|told| told == title), "{title}: {titles:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_a_fault_that_names_it() {
    let Err(faults) = Contract::load(Path::new("no/such/contract.toml")) else { panic!("loaded") };

    assert_eq!(faults.0.len(), 1);
    assert!(faults.0[0].title.contains("no/such/contract.toml"));
    assert!(!faults.0[0].hint.is_empty());
}

#[test]
fn what_is_compiled_in_has_no_fault() {
    for name in Contract::built_in_names() {
        let contract = Contract::built_in(name).unwrap().map_err(|faults| faults.0).unwrap();

        assert_eq!(contract.name(), *name);
    }
    assert!(Contract::built_in("nobody").is_none());
}
