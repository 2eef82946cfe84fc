//! Decides which endpoint or route of a site a request is for.
//!
//! The site's own paths (the contract's endpoints, the key set) go before its routes. Among
//! either, the most exact path wins, and only then the method is looked at: a path that is served
//! by other methods is 405, whatever a wider path would take.

use http::Method;

use crate::config::{COMMON_METHODS, RouteConfig};
use crate::operation::{ErrorCode, Rejection};
use crate::path::PathForms;
use crate::path::canonical::Canonical;
use crate::path::tree::{PathTree, Pattern};

/// Where a site's public keys are (RFC 8414 §3 and practice).
pub(crate) const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Everything that a site answers, by path and method.
#[derive(Debug)]
pub(crate) struct Router {
    own: PathTree<Vec<Choice>>,
    routes: PathTree<Vec<Choice>>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An endpoint of the contract, by its place in it.
    Endpoint(usize),
    /// The public keys.
    Jwks,
    /// A route, by its place in the configuration.
    Route(usize),
}

/// What is wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteFault {
    /// Its place in the configuration.
    pub(crate) route: usize,
    /// What is wrong.
    pub(crate) title: String,
    /// What may help.
    pub(crate) hint: String,
}

/// One of the targets that share a path.
#[derive(Debug)]
struct Choice {
    /// Empty: all that no other choice names, but TRACE.
    methods: Vec<Method>,
    target: Target,
}

impl Router {
    /// Brings a contract's endpoints and a site's routes together.
    ///
    /// # Errors
    /// Routes that do not read, that no request can reach, or that stand for the same requests.
    pub(crate) fn build<'a>(
        endpoints: impl Iterator<Item = (&'a Method, &'a str)>,
        routes: &[RouteConfig],
    ) -> Result<Self, Vec<RouteFault>> {
        let mut router = Self { own: PathTree::new(), routes: PathTree::new() };
        for (index, (method, path)) in endpoints.enumerate() {
            // A contract's own check has refused what does not read.
            if let Ok(pattern) = Pattern::parse(path) {
                let choice =
                    Choice { methods: vec![method.clone()], target: Target::Endpoint(index) };
                router.own.slot(pattern).get_or_insert_default().push(choice);
            }
        }
        if let Ok(pattern) = Pattern::parse(JWKS_PATH) {
            let methods = vec![Method::GET, Method::HEAD];
            let choice = Choice { methods, target: Target::Jwks };
            router.own.slot(pattern).get_or_insert_default().push(choice);
        }
        let mut faults = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            if let Err((title, hint)) = router.add(index, route) {
                faults.push(RouteFault { route: index, title, hint });
            }
        }
        if faults.is_empty() { Ok(router) } else { Err(faults) }
    }

    /// Finds what a request is for.
    ///
    /// # Errors
    /// 404, or 405 with the methods that are served.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<Target, Rejection> {
        let choices = self.own.find(path).or_else(|| self.routes.find(path));
        let Some(choices) = choices else {
            return Err(Rejection::new(ErrorCode::NotFound, "no route covers the path"));
        };
        let named = |method| choices.iter().find(|choice| choice.methods.contains(method));
        let choice = match named(method) {
            // RFC 9110 §9.3.2: a HEAD asks for what a GET would be answered with.
            None if method == Method::HEAD => named(&Method::GET),
            found => found,
        };
        // RFC 9110 §9.3.8: a TRACE is answered with the request itself, identity included.
        let traces = method.as_str().eq_ignore_ascii_case("TRACE");
        let any = || choices.iter().find(|choice| choice.methods.is_empty() && !traces);
        choice.or_else(any).map(|choice| choice.target).ok_or_else(|| not_allowed(choices))
    }

    fn add(&mut self, index: usize, route: &RouteConfig) -> Result<(), (String, String)> {
        let path = &route.path;
        let pattern = Pattern::parse(path)
            .map_err(|error| (format!("`{path}` is no route path"), error.to_string()))?;
        check_reachable(path)?;
        let choices = self.routes.slot(pattern).get_or_insert_default();
        let overlaps = |choice: &Choice| {
            (choice.methods.is_empty() && route.methods.is_empty())
                || choice.methods.iter().any(|method| route.methods.contains(method))
        };
        if choices.iter().any(overlaps) {
            let hint = "another route of this site has the same path and method".to_owned();
            return Err((format!("route `{path}` is there twice"), hint));
        }
        let methods = route.methods.clone();
        choices.push(Choice { methods, target: Target::Route(index) });
        Ok(())
    }
}

/// Refuses a pattern that no canonical path can match.
fn check_reachable(path: &str) -> Result<(), (String, String)> {
    let sample = path.replace(['{', '}'], "").replace('*', "x");
    let parsed = Canonical::parse(&sample)
        .and_then(|canonical| canonical.check(PathForms::default()).map(|()| canonical));
    let problem = match parsed {
        Ok(canonical) if canonical.is_as_sent() => return Ok(()),
        Ok(canonical) => {
            format!("requests are matched in canonical form: `{}`", canonical.as_str())
        }
        Err(error) => error.to_string(),
    };
    Err((format!("no request can reach route `{path}`"), problem))
}

fn not_allowed(choices: &[Choice]) -> Rejection {
    let mut allow: Vec<String> = Vec::new();
    for choice in choices {
        allow.extend(choice.methods.iter().map(ToString::to_string));
        match choice.methods.as_slice() {
            [] => allow.extend(COMMON_METHODS.map(str::to_owned)),
            methods if methods.contains(&Method::GET) => allow.push("HEAD".to_owned()),
            _ => {}
        }
    }
    allow.sort_unstable();
    allow.dedup();
    Rejection {
        allow,
        ..Rejection::new(ErrorCode::MethodNotAllowed, "the path is served by other methods")
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Router, Target};
    use crate::config::RouteConfig;
    use crate::gateway::fixtures::route;
    use crate::operation::ErrorCode;

    const ENDPOINTS: [(Method, &str); 3] = [
        (Method::POST, "/auth/login"),
        (Method::GET, "/auth/sessions"),
        (Method::DELETE, "/auth/sessions/{id}"),
    ];

    fn build(routes: &[RouteConfig]) -> Result<Router, Vec<super::RouteFault>> {
        Router::build(ENDPOINTS.iter().map(|(method, path)| (method, *path)), routes)
    }

    #[test]
    fn a_path_is_chosen_before_a_method() {
        let router = build(&[
            route("/*", &[]),
            route("/a", &[Method::GET]),
            route("/a", &[Method::POST, Method::PUT]),
            route("/b", &[Method::GET]),
            route("/b", &[]),
            route("/auth/*", &[]),
            route("/c", &[Method::GET]),
            route("/c", &[Method::HEAD, Method::TRACE]),
        ])
        .unwrap();
        let trace: Method = "trace".parse().unwrap();
        let rows = [
            (Method::GET, "/a", Ok(Target::Route(1))),
            (Method::PUT, "/a", Ok(Target::Route(2))),
            (Method::HEAD, "/a", Ok(Target::Route(1))),
            (Method::DELETE, "/a", Err("GET, HEAD, POST, PUT")),
            (Method::GET, "/a/", Ok(Target::Route(0))),
            (Method::GET, "/b", Ok(Target::Route(3))),
            (Method::HEAD, "/b", Ok(Target::Route(3))),
            (Method::HEAD, "/c", Ok(Target::Route(7))),
            (Method::TRACE, "/c", Ok(Target::Route(7))),
            (Method::TRACE, "/b", Err("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")),
            (trace, "/a/", Err("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")),
            (Method::PATCH, "/b", Ok(Target::Route(4))),
            (Method::POST, "/auth/login", Ok(Target::Endpoint(0))),
            (Method::GET, "/auth/login", Err("POST")),
            (Method::HEAD, "/auth/sessions", Ok(Target::Endpoint(1))),
            (Method::POST, "/auth/sessions", Err("GET, HEAD")),
            (Method::DELETE, "/auth/sessions/1", Ok(Target::Endpoint(2))),
            (Method::DELETE, "/auth/sessions/", Ok(Target::Route(5))),
            (Method::GET, "/auth/other", Ok(Target::Route(5))),
            (Method::GET, "/.well-known/jwks.json", Ok(Target::Jwks)),
            (Method::HEAD, "/.well-known/jwks.json", Ok(Target::Jwks)),
            (Method::POST, "/.well-known/jwks.json", Err("GET, HEAD")),
            (Method::GET, "/.well-known/other", Ok(Target::Route(0))),
        ];
        for (method, path, expected) in rows {
            match (router.find(&method, path), expected) {
                (Ok(target), Ok(expected)) => assert_eq!(target, expected, "{method} {path}"),
                (Err(rejection), Err(allow)) => {
                    assert_eq!(rejection.code, ErrorCode::MethodNotAllowed, "{method} {path}");
                    assert_eq!(rejection.allow.join(", "), allow, "{method} {path}");
                }
                (found, _) => panic!("{method} {path}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_no_route_covers_is_not_found() {
        let router = build(&[route("/public/*", &[])]).unwrap();
        for path in ["/", "/publicx", "/PUBLIC/", "/public.json", "/public%20/", "*"] {
            let rejection = router.find(&Method::GET, path).unwrap_err();
            assert_eq!(rejection.code, ErrorCode::NotFound, "{path}");
        }
    }

    #[test]
    fn a_route_that_can_never_be_chosen_is_a_fault() {
        let rows = [
            ("twice", vec![route("/a/*", &[]), route("/a/*", &[])]),
            ("twice by method", vec![route("/a", &[Method::GET]), route("/a", &[Method::GET])]),
            ("twice by another name", vec![route("/a/{x}", &[]), route("/a/{y}", &[])]),
            ("lower-case hex", vec![route("/", &[]), route("/caf%c3%a9", &[])]),
            ("dot segment", vec![route("/", &[]), route("/a/../b", &[])]),
            ("empty segment", vec![route("/", &[]), route("/a//b", &[])]),
            ("star within", vec![route("/", &[]), route("/a/*/b", &[])]),
        ];
        for (name, routes) in rows {
            let faults = build(&routes).unwrap_err();
            assert_eq!(faults.iter().map(|fault| fault.route).collect::<Vec<_>>(), [1], "{name}");
        }
    }
}
