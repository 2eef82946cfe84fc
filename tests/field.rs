//! Holds tables to the tests that they name: `field.toml`, what was found in the field, and
//! `codec.toml`, what HTTP/1.1 towards backends has to do.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The rows, by letter: accounts, tokens of others, the wire, under load.
const ROWS: [(char, usize); 4] = [('A', 20), ('B', 5), ('C', 27), ('D', 9)];

#[test]
fn the_table_has_every_row_and_each_has_a_test() {
    let mut rows: Vec<String> = ROWS
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}")))
        .collect();
    rows.sort();

    let named: Vec<String> = table("field").into_keys().collect();

    assert_eq!(named, rows);
    let untested: Vec<String> =
        table("field").into_iter().filter(|row| row.1.is_empty()).map(|row| row.0).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn each_row_names_tests_that_exist() {
    let mut wrong = Vec::new();
    for (row, tests) in table("field").into_iter().chain(table("codec")) {
        for test in tests {
            let Some((file, function)) = test.split_once("::") else {
                wrong.push(format!("{row}: `{test}` is not FILE::FUNCTION"));
                continue;
            };
            let text = fs::read_to_string(root().join(file)).unwrap_or_default();
            if !text.contains(&format!("fn {function}(")) {
                wrong.push(format!("{row}: no `fn {function}` in {file}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn table(name: &str) -> BTreeMap<String, Vec<String>> {
    let path = root().join("tests").join(name).with_extension("toml");
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
