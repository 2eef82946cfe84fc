//! A tour of a contract: lines to paste, made from what the contract serves.

use std::path::Path;

use bytes::Bytes;
use http::{Method, Response, header};

use crate::contract::{AnswerPlace, Contract, Endpoint, ExampleValues};
use crate::operation::{Identifier, IdentityError, Input, Operation};

/// One tour: an account, a login, a request that passes, and one that is refused after the logout.
#[derive(Debug)]
pub(crate) struct Tour<'a> {
    /// The contract.
    pub(crate) contract: &'a Contract,
    /// The command line of this binary on this configuration; `None` where no other process can
    /// see this one's store.
    pub(crate) munjigi: Option<&'a str>,
    /// Whether the account is there already.
    pub(crate) has_account: bool,
    /// curl's cookie file.
    pub(crate) cookies: &'a Path,
}

/// A line, and its remark.
pub(crate) type Line = (String, &'static str);

const EMAIL: &str = "you@example.com";
const USERNAME: &str = "you";
/// The password of the account that a tour makes.
pub(crate) const PASSWORD: &str = "correct horse 1";

const HELLO: &str = "curl $CA $G/api/hello";

/// The identifier of the tour's account, under a contract.
pub(crate) fn account(contract: &Contract) -> Result<Identifier, IdentityError> {
    match contract.login_input() {
        Some(Input::Username) => USERNAME.parse().map(Identifier::Username),
        _ => EMAIL.parse().map(Identifier::Email),
    }
}

impl Tour<'_> {
    /// The lines.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines = vec![(HELLO.to_owned(), "401: no token")];
        if !self.has_account {
            lines.extend(self.make_account());
        }
        let Some(mut login) = self.login() else { return lines };
        let signs_up = self.contract.endpoint(Operation::SignUp).is_some();
        if let Some((_, remark)) = login.lines.first_mut()
            && self.munjigi.is_none()
            && !signs_up
        {
            *remark = "the account was made for this run";
        }
        lines.extend(login.lines);
        let with_token = format!("{HELLO} -H \"Authorization: Bearer $T\"");
        lines.push((with_token.clone(), "200: see what your backend receives"));
        if let Some(endpoint) = self.contract.endpoint(Operation::CheckToken) {
            lines.push((self.call(endpoint, ""), "200: until when it holds"));
        }
        if let Some(endpoint) = self.contract.endpoint(Operation::Refresh)
            && login.can_refresh
        {
            let answer = self.contract.example_answer(endpoint, &values());
            let in_header = matches!(token_place(&answer), Some(AnswerPlace::Header { .. }));
            let flags = if in_header { "-i " } else { "" };
            lines.push((self.call(endpoint, flags), "200: the next token"));
        }
        let end = match (self.contract.endpoint(Operation::Logout), self.munjigi) {
            (Some(endpoint), _) => self.call(endpoint, ""),
            // The gateway reads the command line's changes from its store, five times a second.
            (None, Some(munjigi)) => format!("{munjigi} revoke token $T; sleep 0.5"),
            (None, None) => return lines,
        };
        lines.push((end, ""));
        lines.push((with_token, "401: revoked, effective at once"));
        lines
    }

    fn make_account(&self) -> Option<Line> {
        if let Some(endpoint) = self.contract.endpoint(Operation::SignUp) {
            return Some((self.call(endpoint, ""), ""));
        }
        let who = match self.contract.login_input()? {
            Input::Username => format!("--username {USERNAME}"),
            _ => format!("--email {EMAIL}"),
        };
        let munjigi = self.munjigi?;
        let line = format!("echo '{PASSWORD}' | {munjigi} user add {who} --password-stdin");
        Some((line, "accounts are made by the operator here"))
    }

    /// The login, which leaves the access token in `T` and, if it is to be sent, the refresh
    /// token in `R`; `None` if the contract has no login.
    fn login(&self) -> Option<Login> {
        let endpoint = self.contract.endpoint(Operation::Login)?;
        let answer = self.contract.example_answer(endpoint, &values());
        let access = token_place(&answer)?;
        let refresh = AnswerPlace::find(&answer, &values().refresh_token);
        let wants_refresh = self
            .contract
            .endpoint(Operation::Refresh)
            .is_some_and(|endpoint| self.call(endpoint, "").contains(&values().refresh_token));
        let cuts = [(&access, "T"), (refresh.as_ref().unwrap_or(&access), "R")];
        let wanted = if wants_refresh && refresh.is_some() { 2 } else { 1 };
        let cuts = cuts.iter().take(wanted);
        let in_header = |place: &AnswerPlace| matches!(place, AnswerPlace::Header { .. });
        let flags =
            if cuts.clone().any(|(place, _)| in_header(place)) { "-s -D - " } else { "-s " };
        let call = self.call(endpoint, flags);
        let cuts: Option<Vec<(String, &str)>> =
            cuts.map(|(place, name)| Some((cut(place)?, *name))).collect();
        let lines = match cuts?.as_slice() {
            [(cut, name)] => vec![(format!("{name}=$({call} | {cut})"), "")],
            cuts => {
                let assign = |(cut, name): &(String, &str)| format!("{name}=$({cut} <<<\"$L\")");
                let assigned: Vec<String> = cuts.iter().map(assign).collect();
                vec![(format!("L=$({call})"), ""), (assigned.join(" "), "")]
            }
        };
        let can_refresh = !wants_refresh || refresh.is_some();
        Some(Login { lines, can_refresh })
    }

    /// A request to an endpoint as curl makes it.
    fn call(&self, endpoint: &Endpoint, flags: &str) -> String {
        let request = self.contract.example_request(endpoint, &values());
        let mut words = vec![format!("curl {flags}$CA {}", address(&request.target))];
        let implied = if request.body.is_some() { Method::POST } else { Method::GET };
        if request.method != implied {
            words.push(format!("-X {}", request.method));
        }
        if let Some(body) = &request.body {
            let option = if request.is_json() { "--json" } else { "-d" };
            words.push(format!("{option} {}", quoted(body)));
        }
        for (name, value) in &request.headers {
            if *name == header::AUTHORIZATION {
                words.push(format!("-H {}", quoted(&format!("Authorization: {value}"))));
            } else if *name != header::CONTENT_TYPE && *name != header::COOKIE {
                words.push(format!("-H {}", quoted(&format!("{name}: {value}"))));
            }
        }
        let cookies = self.cookies.display();
        if request.header(&header::COOKIE).is_some() {
            words.push(format!("-b {cookies}"));
        }
        let answer = self.contract.example_answer(endpoint, &values());
        if answer.headers().contains_key(header::SET_COOKIE) {
            words.push(format!("-c {cookies}"));
        }
        words.join(" ")
    }
}

struct Login {
    lines: Vec<Line>,
    can_refresh: bool,
}

/// Tokens are in variables of the shell.
fn values() -> ExampleValues {
    ExampleValues {
        email: EMAIL.to_owned(),
        username: USERNAME.to_owned(),
        password: PASSWORD.to_owned(),
        access_token: "$T".to_owned(),
        refresh_token: "$R".to_owned(),
    }
}

fn token_place(answer: &Response<Bytes>) -> Option<AnswerPlace> {
    AnswerPlace::find(answer, &values().access_token)
}

/// The command that cuts a value out of an answer.
fn cut(place: &AnswerPlace) -> Option<String> {
    match place {
        AnswerPlace::Member(name) => {
            Some(format!("sed -n 's/.*\"{}\":\"\\([^\"]*\\).*/\\1/p'", pattern(name)))
        }
        AnswerPlace::Header { name, prefix } => {
            Some(format!("sed -n 's/^{name}: {}\\([^[:space:]]*\\).*/\\1/p'", pattern(prefix)))
        }
        // The gateway looks for access tokens in `Authorization` alone.
        AnswerPlace::Cookie(_) => None,
    }
}

/// Words as a pattern of sed within single quotes.
fn pattern(words: &str) -> String {
    let mut text = String::new();
    for c in words.chars() {
        match c {
            '\'' => text.push('.'),
            '\\' | '/' | '.' | '*' | '[' | ']' | '^' | '$' => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    text
}

/// A word of the shell in which variables are still filled in.
fn quoted(text: &str) -> String {
    if !text.contains(['$', '\'']) {
        return format!("'{text}'");
    }
    let mut word = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '`') {
            word.push('\\');
        }
        word.push(c);
    }
    word.push('"');
    word
}

fn address(target: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~$@%".contains(c);
    if target.chars().all(plain) { format!("$G{target}") } else { format!("\"$G{target}\"") }
}
