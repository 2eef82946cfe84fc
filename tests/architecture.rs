//! Holds `src/` to the module table of ARCHITECTURE.md, and files to one noun's length.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each may use only those above it.
const ORDER: [&str; 27] = [
    "lock",
    "encoding",
    "secret",
    "own_keys",
    "clock",
    "operation",
    "path",
    "drain",
    "telemetry",
    "document",
    "config",
    "token",
    "store",
    "revocation",
    "journal",
    "mail",
    "social",
    "auth",
    "contract",
    "pages",
    "message",
    "gateway",
    "edge",
    "admin",
    "app",
    "reload",
    "cli",
];

/// The rooms of `src/gateway/`: each may use its own row and those above it.
const GATEWAY_ROOMS: [&[&str]; 21] = [
    &["text"],
    &["request"],
    &["headers"],
    &["access"],
    &["context"],
    &["log"],
    &["upstream"],
    &["open_request"],
    &["reply_body"],
    &["websocket"],
    &["proxy"],
    &["look"],
    &["site"],
    &["snapshot"],
    &["renewal"],
    &["scope"],
    &["credentials"],
    &["endpoint"],
    &["hosted"],
    &["pipeline"],
    &["in_the_clear", "explain"],
];

/// Product and unit-test lines of one file.
const MOST_LINES: usize = 450;

#[test]
fn each_module_uses_only_those_above_it() {
    let rank: BTreeMap<&str, usize> =
        ORDER.iter().enumerate().map(|(rank, name)| (*name, rank)).collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(user) = module_of(&path) else { continue };
        for used in uses(&text) {
            let Some(used_rank) = rank.get(used.as_str()) else {
                wrong.push(format!("{}: crate::{used} is not in the table", path.display()));
                continue;
            };
            let sideways =
                (user == "contract" && used == "auth") || (user == "auth" && used == "contract");
            if *used_rank > rank[user.as_str()] || sideways {
                wrong.push(format!("{}: {user} may not use {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_room_of_the_gateway_uses_only_those_above_it() {
    let row = |name: &str| GATEWAY_ROOMS.iter().position(|rooms| rooms.contains(&name));
    let is_test = |path: &Path| {
        path.ends_with("gateway/fixtures.rs") || path.to_str().unwrap().ends_with("_tests.rs")
    };
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| !is_test(path)) {
        let Ok(within) = path.strip_prefix("gateway") else { continue };
        let Some(user) = module_of(within).filter(|user| user != "mod") else { continue };
        let Some(user_row) = row(&user) else {
            wrong.push(format!("{}: `{user}` is not in the table", path.display()));
            continue;
        };
        seen.insert(user.clone());
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        for used in product.split("crate::gateway::").skip(1) {
            // What the folder's own file has is named alone or in braces.
            let names = match used.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default(),
                None => used.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap(),
            };
            for name in names.split([',', ' ', '\n']) {
                if row(name).is_some_and(|used_row| used_row > user_row) {
                    wrong.push(format!("{}: {user} may not use {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let rooms: usize = GATEWAY_ROOMS.iter().map(|rooms| rooms.len()).sum();
    assert_eq!(seen.len(), rooms, "{seen:?}");
}

#[test]
fn architecture_md_shows_the_same_table() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut from = 0;
    for name in ORDER {
        let row = format!("\n| `{name}` |");
        let at =
            text[from..].find(&row).unwrap_or_else(|| panic!("no row for `{name}` in its place"));
        from += at;
    }
}

#[test]
fn architecture_md_fits_into_200_lines() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();

    assert!(text.lines().count() <= 200, "{} lines", text.lines().count());
}

#[test]
fn pages_name_files_that_exist() {
    let mut absent = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let folders = [root(), &root().join("src"), page.parent().unwrap()];
        // A name between back-ticks, or the target of a link.
        for name in text.split(['`', '(', ')']).filter(|part| is_file_of_ours(part)) {
            if !folders.iter().any(|folder| folder.join(name).exists()) && !is_brief(name) {
                absent.push(format!("{}: {name}", page.display()));
            }
        }
    }
    assert!(absent.is_empty(), "{}", absent.join("\n"));
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut links = 0;
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let there = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            links += 1;
            let has_heading = || {
                let text = fs::read_to_string(&there).unwrap_or_default();
                text.lines().any(|line| line.starts_with('#') && anchor(line) == heading)
            };
            if !there.exists() || (!heading.is_empty() && !has_heading()) {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(links > 5, "only {links} links found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_metric_is_emitted() {
    let table = fs::read_to_string(root().join("src/telemetry/metric.rs")).unwrap();
    let constants: Vec<&str> = table
        .lines()
        .filter(|line| line.contains(" \"munjigi_"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let product = product();
    let silent: Vec<&str> = constants
        .iter()
        .copied()
        .filter(|constant| !product.contains(&format!("metric::{constant}")))
        .collect();
    assert!(constants.len() > 10, "only {constants:?} found");
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn every_setting_has_a_reader() {
    let mut fields = BTreeSet::new();
    for (path, text) in sources() {
        if module_of(&path).as_deref() != Some("config") {
            continue;
        }
        for section in text.split("pub struct ").skip(1) {
            let body = section.split("\n}").next().unwrap_or_default();
            let declared = body.lines().filter_map(|line| line.trim().strip_prefix("pub "));
            let names = declared.filter_map(|line| Some(line.split_once(':')?.0.to_owned()));
            fields.extend(names.filter(|name| !name.contains(' ')));
        }
    }
    let users: String = sources()
        .into_iter()
        .filter(|(path, _)| module_of(path).is_none_or(|module| module != "config"))
        .map(|(_, text)| text)
        .collect();
    let unread: Vec<&String> = fields
        .iter()
        .filter(|field| {
            let access = format!(".{field}");
            let mut after = users.split(access.as_str()).skip(1);
            after.all(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
        .collect();
    assert!(fields.len() > 40, "only {fields:?} found");
    assert!(unread.is_empty(), "{unread:?}");
}

#[test]
fn only_config_reads_the_environment() {
    let reads: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| {
            module_of(path).as_deref() != Some("config") && text.contains("std::env::var")
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(reads.is_empty(), "{reads:?}");
}

#[test]
fn nobody_branches_on_a_contracts_name() {
    // `username` is the name of a contract as well as of an input, and cannot be told apart.
    let names = ["\"zdm\"", "\"auth-api\"", "\"zipcheck\"", "\"fame\""];
    let mut found = Vec::new();
    for (path, text) in sources() {
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        let table =
            path.ends_with("contract/built_in.rs") || path.iter().any(|part| part == "tests");
        if !table && names.iter().any(|name| product.contains(name)) {
            found.push(path.display().to_string());
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn files_own_one_noun() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

/// The pages for people; the change log may name what is gone.
fn pages() -> Vec<PathBuf> {
    let folders = ["", "certs", "config", "config/contracts", "docs"];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let files = entries.map(|entry| entry.unwrap().path());
    let pages: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .filter(|path| !path.ends_with("CHANGELOG.md"))
        .collect();
    assert!(pages.len() > 5, "{pages:?}");
    pages
}

/// What a link says after `#` for a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

/// Whether a word of a page names a file or folder of this repository, and no example of one.
fn is_file_of_ours(word: &str) -> bool {
    let is_path = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let known = [".rs", ".md", "/"].iter().any(|ending| word.ends_with(ending));
    let under = ["tests/", "src/", "config/"].iter().any(|folder| word.starts_with(folder));
    is_path && (known || under) && !word.starts_with('/') && !word.contains("NAME")
}

/// Whether a file is named without its folder, which the same line names.
fn is_brief(name: &str) -> bool {
    !name.contains('/') && sources().iter().any(|(path, _)| path.ends_with(name))
}

/// The text of all product files but the table of metrics.
fn product() -> String {
    let is_table = |path: &Path| path.ends_with("telemetry/metric.rs");
    sources().into_iter().filter(|(path, _)| !is_table(path)).map(|(_, text)| text).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of `src/`, by its path from there.
fn sources() -> Vec<(PathBuf, String)> {
    let src = root().join("src");
    let mut folders = vec![src.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(&src).unwrap().to_owned(), text));
            }
        }
    }
    assert!(files.len() > 40, "only {} files found", files.len());
    files
}

/// The module that a file belongs to; none for `lib.rs` and `main.rs`.
fn module_of(path: &Path) -> Option<String> {
    let first = path.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib" && name != "main").then(|| name.to_owned())
}

/// The modules named by `crate::…` in code.
fn uses(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = Vec::new();
    for line in code {
        for part in line.split("crate::").skip(1) {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            found.push(part[..end.unwrap_or(part.len())].to_owned());
        }
    }
    found
}
