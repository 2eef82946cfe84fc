//! Indents JSON, its members in their order.

/// The same JSON, indented; an empty value stays on one line.
pub(super) fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut rest = json.chars().peekable();
    let (mut quoted, mut escaped) = (false, false);
    while let Some(c) = rest.next() {
        if quoted {
            text.push(c);
            quoted = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => {
                quoted = true;
                text.push(c);
            }
            '{' | '[' => {
                text.push(c);
                while rest.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    begin_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                begin_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                begin_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => text.push(c),
        }
    }
    text
}

fn begin_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn json_is_indented_and_its_strings_are_left_alone() {
        let rows = [
            ("{}", "{}"),
            (" [ ] ", "[]"),
            (
                r#"{"b":1,"a":[true,null]}"#,
                "{\n  \"b\": 1,\n  \"a\": [\n    true,\n    null\n  ]\n}",
            ),
            (r#"{"a":"{,:\"}\\"}"#, "{\n  \"a\": \"{,:\\\"}\\\\\"\n}"),
            (r#"{ "a" : { } }"#, "{\n  \"a\": {}\n}"),
        ];
        for (json, expected) in rows {
            assert_eq!(pretty(json), expected, "{json}");
        }
    }
}
