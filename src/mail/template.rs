//! Templates of mails: built in, or an operator's own of the same name.
//!
//! `NAME.LANGUAGE.txt` has a line `Subject: …`, an empty line, and the body; plain text with
//! minijinja's `{{ site }}`, `{{ code }}`, `{{ password }}` and `{{ minutes }}`. Each is rendered
//! when it is read, so that a fault stops a start or a reload and not a password reset.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fs, io};

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use zeroize::Zeroizing;

use crate::config::{Fault, Faults, Source};
use crate::document::nearest;
use crate::mail::{Letter, MailError};
use crate::operation::Language;

/// The templates of every mail in every language.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    texts: BTreeMap<String, Text>,
}

/// Subject and body apart: a value in the one can never reach the other.
#[derive(Debug)]
struct Text {
    subject: String,
    body: String,
}

/// The values of a template besides the secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct MailContext<'a> {
    /// The site's host; empty where it is a pattern.
    pub(super) site: &'a str,
    /// The lifetime of a code in minutes.
    pub(super) minutes: u64,
}

/// A fault of a template.
struct Flaw {
    /// From 1.
    line: usize,
    why: String,
}

impl Templates {
    /// Reads the built-in templates, and from `folder` those that replace them.
    ///
    /// # Errors
    /// Every template that cannot be used, with its place.
    pub fn read(folder: Option<&Path>) -> Result<Self, Faults> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut templates = Self { environment, texts: BTreeMap::new() };
        let mut faults = Vec::new();
        for letter in Letter::SAMPLES {
            for language in Language::ALL {
                let name = file_name(letter, language);
                match source(folder, &name) {
                    Ok(source) => faults.extend(templates.add(letter, name, &source)),
                    Err(fault) => faults.push(*fault),
                }
            }
        }
        faults.extend(folder.into_iter().flat_map(|folder| templates.misnamed(folder)));
        if faults.is_empty() { Ok(templates) } else { Err(Faults(faults)) }
    }

    /// Renders subject and body.
    pub(super) fn render(
        &self,
        letter: Letter<'_>,
        language: Language,
        facts: MailContext<'_>,
    ) -> Result<(String, Zeroizing<String>), MailError> {
        let name = file_name(letter, language);
        let text = self.texts.get(&name).ok_or(MailError::Unknown)?;
        self.render_text(&name, text, letter, facts)
    }

    fn render_text(
        &self,
        name: &str,
        text: &Text,
        letter: Letter<'_>,
        facts: MailContext<'_>,
    ) -> Result<(String, Zeroizing<String>), MailError> {
        let (field, secret) = letter.secret();
        let values = BTreeMap::from([
            ("site", Value::from(facts.site)),
            ("minutes", Value::from(facts.minutes)),
            (field, Value::from(secret)),
        ]);
        let render = |text: &str| self.environment.render_named_str(name, text, &values);
        let subject = render(&text.subject).map_err(MailError::Template)?;
        if subject.chars().any(char::is_control) || subject.trim().is_empty() {
            return Err(MailError::Subject);
        }
        let body = render(&text.body).map_err(MailError::Template)?;
        Ok((subject, Zeroizing::new(body)))
    }

    /// Adds a template, if it renders.
    fn add(&mut self, letter: Letter<'_>, name: String, source: &Source) -> Option<Fault> {
        let tried = split(&source.text).and_then(|text| {
            self.try_out(&name, &text, letter)?;
            Ok(text)
        });
        match tried {
            Ok(text) => {
                self.texts.insert(name, text);
                None
            }
            Err(flaw) => Some(Fault {
                source: Some(source.clone()),
                span: line_span(&source.text, flaw.line),
                title: "this mail template cannot be used".to_owned(),
                hint: flaw.why,
            }),
        }
    }

    fn try_out(&self, name: &str, text: &Text, letter: Letter<'_>) -> Result<(), Flaw> {
        // Each part alone, so that errors name the line of the file.
        let parts = [(Text { body: String::new(), ..text.clone() }, 0), (text.clone(), 2)];
        let (field, secret) = letter.secret();
        for site in ["example.com", ""] {
            let mut said = Zeroizing::new(String::new());
            for (part, before) in &parts {
                let facts = MailContext { site, minutes: 10 };
                (_, said) = self
                    .render_text(name, part, letter, facts)
                    .map_err(|error| Flaw::of(&error, *before, field))?;
            }
            if !said.contains(secret) {
                return Err(Flaw { line: 1, why: format!("the mail has no {{{{ {field} }}}}") });
            }
        }
        Ok(())
    }

    /// Text files of an operator that are no template's.
    fn misnamed(&self, folder: &Path) -> Vec<Fault> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return vec![unreadable(folder, &error)],
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let known = || {
            Letter::SAMPLES.into_iter().flat_map(|letter| {
                Language::ALL.into_iter().map(move |language| file_name(letter, language))
            })
        };
        let mut stray: Vec<String> = names
            .filter(|name| name.ends_with(".txt") && !name.starts_with('.'))
            .filter(|name| known().all(|known| known != *name))
            .collect();
        stray.sort();
        let fault = |name: String| {
            let known: Vec<String> = known().collect();
            let hint = match nearest(&name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("mails are {}", known.join(", ")),
            };
            let path = folder.join(name);
            Fault::without_place(format!("{} is no mail's template", path.display()), hint)
        };
        stray.into_iter().map(fault).collect()
    }
}

impl Clone for Text {
    fn clone(&self) -> Self {
        Self { subject: self.subject.clone(), body: self.body.clone() }
    }
}

impl Flaw {
    fn of(error: &MailError, before: usize, field: &str) -> Self {
        let MailError::Template(error) = error else {
            return Self { line: 1, why: error.to_string() };
        };
        let why = match (error.kind(), error.detail()) {
            (ErrorKind::UndefinedError, _) => {
                format!("undefined value; there are site, minutes and {field}")
            }
            (kind, Some(detail)) => format!("{kind}: {detail}"),
            (kind, None) => kind.to_string(),
        };
        Self { line: before + error.line().unwrap_or(1), why }
    }
}

fn file_name(letter: Letter<'_>, language: Language) -> String {
    format!("{}.{}.txt", letter.name(), language.tag())
}

/// The operator's file where there is one, the built-in text otherwise.
fn source(folder: Option<&Path>, name: &str) -> Result<Source, Box<Fault>> {
    if let Some(folder) = folder {
        let path = folder.join(name);
        match read(&path) {
            Ok(text) => return Ok(Source { path, text: text.into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Box::new(unreadable(&path, &error))),
        }
    }
    let built_in = BUILT_IN.iter().find(|(built_in, _)| *built_in == name);
    let text = built_in.map_or("", |(_, text)| *text);
    Ok(Source { path: PathBuf::from(name), text: text.into() })
}

fn read(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(io::Error::other("not a regular file of at most 64 KiB"));
    }
    fs::read_to_string(path)
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::without_place(format!("cannot read {}", path.display()), error.to_string())
}

/// Splits a template into subject and body.
fn split(text: &str) -> Result<Text, Flaw> {
    let mut lines = text.splitn(3, '\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let subject = lines.next().and_then(|line| line.strip_prefix("Subject: "));
    let Some(subject) = subject else {
        return Err(Flaw { line: 1, why: "a mail begins with a line `Subject: …`".to_owned() });
    };
    if lines.next().is_none_or(|line| !line.trim().is_empty()) {
        return Err(Flaw { line: 2, why: "an empty line follows the subject".to_owned() });
    }
    let body = text.splitn(3, '\n').nth(2).unwrap_or_default();
    Ok(Text { subject: subject.to_owned(), body: body.to_owned() })
}

/// The span of a line, counted from 1.
fn line_span(text: &str, line: usize) -> Range<usize> {
    let before = text.split_inclusive('\n').take(line.saturating_sub(1));
    let start: usize = before.map(str::len).sum();
    let found = text.get(start..).and_then(|rest| rest.lines().next());
    start..start + found.map_or(0, str::len)
}

const LARGEST: u64 = 64 << 10;

const BUILT_IN: [(&str, &str); 8] = [
    ("account_exists.en.txt", include_str!("../../config/mails/account_exists.en.txt")),
    ("account_exists.ko.txt", include_str!("../../config/mails/account_exists.ko.txt")),
    ("reset_code.en.txt", include_str!("../../config/mails/reset_code.en.txt")),
    ("reset_code.ko.txt", include_str!("../../config/mails/reset_code.ko.txt")),
    ("temporary_password.en.txt", include_str!("../../config/mails/temporary_password.en.txt")),
    ("temporary_password.ko.txt", include_str!("../../config/mails/temporary_password.ko.txt")),
    ("verification_code.en.txt", include_str!("../../config/mails/verification_code.en.txt")),
    ("verification_code.ko.txt", include_str!("../../config/mails/verification_code.ko.txt")),
];

#[cfg(test)]
mod tests {
    use super::{BUILT_IN, MailContext, Templates};
    use crate::mail::{Letter, MailError};
    use crate::operation::Language;

    const FACTS: MailContext<'_> = MailContext { site: "api.example.com", minutes: 10 };

    /// Title, line and hint of every fault of a folder with one file.
    fn faults(name: &str, text: &str) -> Vec<(String, usize, String)> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let faults = Templates::read(Some(folder.path())).err().map(|faults| faults.0);
        let told = |fault: crate::config::Fault| (fault.title.clone(), fault.line(), fault.hint);
        faults.unwrap_or_default().into_iter().map(told).collect()
    }

    #[test]
    fn every_built_in_mail_has_its_secret_on_a_line_of_its_own_and_nowhere_else() {
        let templates = Templates::read(None).unwrap();
        for letter in Letter::SAMPLES {
            for language in Language::ALL {
                for site in ["api.example.com", ""] {
                    let (subject, body) =
                        templates.render(letter, language, MailContext { site, ..FACTS }).unwrap();
                    let body = body.as_str();

                    let (_, secret) = letter.secret();
                    let lines: Vec<&str> =
                        body.lines().filter(|line| line.contains(secret)).collect();
                    assert_eq!(lines, [secret], "{body}");
                    assert!(!subject.contains(secret) && !subject.contains("{{"), "{subject}");
                    assert!(subject.contains(site) && body.contains(site), "{body}");
                    assert!(!body.contains("{{") && !body.contains("  "), "{body}");
                }
            }
        }
        assert_eq!(templates.texts.len(), BUILT_IN.len());
    }

    #[test]
    fn a_korean_reset_reads_as_it_was_written() {
        let templates = Templates::read(None).unwrap();

        let (subject, body) = templates
            .render(Letter::ResetCode { code: "042137" }, Language::Korean, FACTS)
            .unwrap();

        assert_eq!(subject, "[api.example.com] 비밀번호 재설정 인증 코드");
        assert_eq!(
            *body,
            "안녕하세요.\n\n\
             api.example.com 계정의 비밀번호를 재설정해 달라는 요청을 받았습니다.\n\
             계속하시려면 아래 인증 코드를 입력해 주세요.\n\n\
             042137\n\n\
             이 코드는 10분 안에 한 번만 사용할 수 있습니다. 다른 사람에게 알려 주지 마세요.\n\n\
             직접 요청하지 않으셨다면 이 메일을 무시하셔도 됩니다. 비밀번호는 바뀌지 않습니다."
        );
    }

    #[test]
    fn nothing_that_is_put_into_a_subject_ends_it() {
        let templates = Templates::read(None).unwrap();
        for site in ["a\r\nBcc: c@d.example", "a\nb", "a\rb", "a\0b", "a\n\nthe body"] {
            let facts = MailContext { site, ..FACTS };

            let rendered =
                templates.render(Letter::ResetCode { code: "1" }, Language::English, facts);

            assert!(matches!(rendered, Err(MailError::Subject)), "{site:?}");
        }
    }

    #[test]
    fn an_operators_file_replaces_the_mail_of_its_name_alone() {
        let folder = tempfile::tempdir().unwrap();
        let text = "Subject: Hallo {{ site }}\r\n\r\nDer Code: {{ code }}\r\n";
        std::fs::write(folder.path().join("reset_code.en.txt"), text).unwrap();
        std::fs::write(folder.path().join("README.md"), "notes").unwrap();
        let templates = Templates::read(Some(folder.path())).unwrap();
        let letter = Letter::ResetCode { code: "123456" };

        let (subject, body) = templates.render(letter, Language::English, FACTS).unwrap();

        assert_eq!((&*subject, &**body), ("Hallo api.example.com", "Der Code: 123456"));
        let (subject, _) = templates.render(letter, Language::Korean, FACTS).unwrap();
        assert_eq!(subject, "[api.example.com] 비밀번호 재설정 인증 코드");
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_place() {
        for (name, text, line, hint) in [
            ("no subject", "Hello {{ code }}", 1, "begins with a line `Subject: …`"),
            (
                "an empty subject",
                "Subject: {% if not site %}x{% endif %}\n\n{{ code }}",
                1,
                "subject",
            ),
            ("a second header", "Subject: a\nBcc: c@d.example\n\n{{ code }}", 2, "an empty line"),
            ("no body", "Subject: a", 1, "an empty line"),
            ("no code", "Subject: a\n\nHello\n", 1, "the mail has no {{ code }}"),
            ("syntax", "Subject: a\n\n{{ code }}\n{% if %}\n", 4, "syntax error"),
            ("syntax of the subject", "Subject: {{\n\n{{ code }}", 1, "syntax error"),
            ("another mail's", "Subject: a\n\n{{ code }}\n\n{{ password }}", 5, "undefined"),
            ("another file", "Subject: a\n\n{{ code }}{% include \"/etc/passwd\" %}", 3, "include"),
        ] {
            let found = faults("reset_code.ko.txt", text);

            let [(title, at, why)] = found.as_slice() else { panic!("{name}: {found:?}") };
            assert_eq!(title, "this mail template cannot be used", "{name}");
            assert!(*at == line && why.contains(hint), "{name}: {at} {why}");
        }
    }

    #[test]
    fn a_misspelt_file_is_no_mail() {
        let found = faults("reset_cod.ko.txt", "Subject: a\n\n{{ code }}");

        let [(title, _, hint)] = found.as_slice() else { panic!("{found:?}") };
        assert!(title.ends_with("reset_cod.ko.txt is no mail's template"), "{title}");
        assert_eq!(hint, "did you mean reset_code.ko.txt?");
    }
}
