//! The router of a site: finds the endpoint or route that a request is for.
//!
//! The site's own paths (the contract's endpoints, the key set) go before its routes. Among
//! either, the most exact path wins, and only then the method is looked at: a path that is served
//! by other methods is 405, whatever a wider path would take.

use http::Method;

use crate::config::{COMMON_METHODS, RouteConfig};
use crate::gateway::request::hosted_path::HostedPath;
use crate::operation::{ErrorCode, Rejection};
use crate::path::PathPattern;
use crate::path::tree::PathTree;

/// The path of a site's public keys (RFC 8414 §3 and practice).
pub(crate) const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Everything that a site answers, by path and method.
#[derive(Debug)]
pub(crate) struct Router {
    own: PathTree<Vec<Choice>>,
    routes: PathTree<Vec<Choice>>,
}

/// The target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An endpoint of the contract, by its place in it.
    Endpoint(usize),
    /// The public keys.
    Jwks,
    /// A path of the gateway's own.
    Hosted(HostedPath),
    /// A route, by its place in the configuration.
    Route(usize),
}

/// One of the targets that share a path.
#[derive(Debug)]
struct Choice {
    /// Empty: all that no other choice names, but TRACE.
    methods: Vec<Method>,
    target: Target,
}

impl Router {
    /// Brings a contract's endpoints, the gateway's own paths and a site's routes together; no two
    /// routes share both a path and a method.
    pub(crate) fn new<'a>(
        endpoints: impl Iterator<Item = (&'a Method, &'a PathPattern)>,
        hosted: impl Iterator<Item = (HostedPath, PathPattern)>,
        routes: impl Iterator<Item = &'a RouteConfig>,
    ) -> Self {
        let mut router = Self { own: PathTree::new(), routes: PathTree::new() };
        for (index, (method, path)) in endpoints.enumerate() {
            let choice = Choice { methods: vec![method.clone()], target: Target::Endpoint(index) };
            router.own.slot(path).get_or_insert_default().push(choice);
        }
        if let Ok(path) = JWKS_PATH.parse() {
            let methods = vec![Method::GET, Method::HEAD];
            let choice = Choice { methods, target: Target::Jwks };
            router.own.slot(&path).get_or_insert_default().push(choice);
        }
        for (hosted, path) in hosted {
            let methods = hosted.methods().to_vec();
            let choice = Choice { methods, target: Target::Hosted(hosted) };
            router.own.slot(&path).get_or_insert_default().push(choice);
        }
        for (index, route) in routes.enumerate() {
            let choice = Choice { methods: route.methods.clone(), target: Target::Route(index) };
            router.routes.slot(&route.path).get_or_insert_default().push(choice);
        }
        router
    }

    /// Finds the target of a request.
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
            // RFC 9110 §9.3.2: a HEAD is answered like a GET.
            None if method == Method::HEAD => named(&Method::GET),
            found => found,
        };
        // RFC 9110 §9.3.8: a TRACE is answered with the request itself, identity included.
        let traces = method.as_str().eq_ignore_ascii_case("TRACE");
        let any = || choices.iter().find(|choice| choice.methods.is_empty() && !traces);
        choice.or_else(any).map(|choice| choice.target).ok_or_else(|| not_allowed(choices))
    }
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
    use crate::gateway::request::hosted_path::HostedPath;
    use crate::operation::ErrorCode;

    const ENDPOINTS: [(Method, &str); 3] = [
        (Method::POST, "/auth/login"),
        (Method::GET, "/auth/sessions"),
        (Method::DELETE, "/auth/sessions/{id}"),
    ];

    fn router(routes: &[RouteConfig]) -> Router {
        let endpoints = ENDPOINTS.map(|(method, path)| (method, path.parse().unwrap()));
        let endpoints = endpoints.iter().map(|(method, path)| (method, path));
        let hosted = [HostedPath::Ticket, HostedPath::Refresh];
        let hosted = hosted.map(|path| (path, path.pattern("/account").parse().unwrap()));
        Router::new(endpoints, hosted.into_iter(), routes.iter())
    }

    #[test]
    fn a_path_is_chosen_before_a_method() {
        let router = router(&[
            route("/*", &[]),
            route("/a", &[Method::GET]),
            route("/a", &[Method::POST, Method::PUT]),
            route("/b", &[Method::GET]),
            route("/b", &[]),
            route("/auth/*", &[]),
            route("/c", &[Method::GET]),
            route("/c", &[Method::HEAD, Method::TRACE]),
        ]);
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
            (Method::POST, "/account/ticket", Ok(Target::Hosted(HostedPath::Ticket))),
            (Method::GET, "/account/ticket", Err("POST")),
            (Method::GET, "/account/other", Ok(Target::Route(0))),
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
        let router = router(&[route("/public/*", &[])]);
        for path in ["/", "/publicx", "/PUBLIC/", "/public.json", "/public%20/", "*"] {
            let rejection = router.find(&Method::GET, path).unwrap_err();
            assert_eq!(rejection.code, ErrorCode::NotFound, "{path}");
        }
    }
}
