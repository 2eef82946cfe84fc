//! The inputs of an operation as a form of the gateway's own has them: under the names that the
//! operation knows, by the rules of the contract's endpoint.

use crate::contract::Contract;
use crate::contract::input::body::{Found, find_field};
use crate::contract::input::decode::assemble;
use crate::contract::input::source::InputSource;
use crate::contract::input::{InputRule, Target};
use crate::operation::{Command, ErrorCode, Input, Operation, Principal, Rejection};

/// An input that a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormInput {
    /// Its name.
    pub name: String,
    /// The operation's own input; `None`: an attribute of the account.
    pub input: Option<Input>,
    /// Whether it must be there.
    pub required: bool,
    /// Most characters.
    pub max: usize,
}

/// The most characters of an input without a limit of its own.
const MOST: usize = 256;

impl Contract {
    /// The inputs that a form of an operation asks for; `None` where the contract has no such
    /// operation, or one that a form cannot serve.
    #[must_use]
    pub fn form(&self, operation: Operation) -> Option<Vec<FormInput>> {
        let endpoint = self.endpoint(operation)?;
        let mut inputs = Vec::new();
        for rule in endpoint.inputs.iter().filter(|rule| is_asked(rule)) {
            if rule.constraint.base64_max.is_some() {
                // A picture: who must give one cannot use the form.
                if rule.required {
                    return None;
                }
                continue;
            }
            inputs.push(FormInput {
                name: rule.own_name().to_owned(),
                input: match rule.target {
                    Target::Input(input) => Some(input),
                    Target::Attribute(_) | Target::Check => None,
                },
                required: rule.required,
                max: rule.constraint.max.unwrap_or(MOST),
            });
        }
        Some(inputs)
    }

    /// Decodes the fields of a form of an operation.
    ///
    /// # Errors
    /// As [`Contract::decode`], under the inputs' own names; 404 where the contract has no such
    /// operation.
    pub fn decode_form<'f>(
        &'f self,
        operation: Operation,
        fields: &'f [(String, String)],
        principal: Option<Principal>,
    ) -> Result<Command, Rejection> {
        let not_served = || Rejection::new(ErrorCode::NotFound, "the contract has no such form");
        let endpoint = self.endpoint(operation).ok_or_else(not_served)?;
        let find = |rule: &'f InputRule| match find_field(fields, rule.own_name()) {
            Found::Nothing => {
                let fixed = rule.sources.iter().find_map(InputSource::as_fixed);
                fixed.map_or(Found::Nothing, Found::Text)
            }
            found => found,
        };
        let rules = endpoint.inputs.iter().filter(|rule| is_of_form(rule));
        let found = rules.map(|rule| (rule, find(rule))).collect();
        assemble(operation, principal, found, |_, text| Ok(vec![text]), InputRule::own_name)
    }
}

/// Whether a rule's input may stand in a form: the principal is proven otherwise, and what is only
/// checked concerns the contract's own shape.
fn is_of_form(rule: &InputRule) -> bool {
    !matches!(rule.target, Target::Check | Target::Input(Input::AccessToken))
}

/// Whether a person is asked for an input.
fn is_asked(rule: &InputRule) -> bool {
    let is_fixed = rule.sources.iter().any(|source| source.as_fixed().is_some());
    let is_choice = matches!(rule.target, Target::Input(Input::Role | Input::Scope));
    is_of_form(rule) && !is_fixed && !is_choice
}

#[cfg(test)]
mod tests {
    use crate::contract::Contract;
    use crate::operation::{Command, ErrorCode, Operation};

    fn contract(name: &str) -> Contract {
        Contract::built_in(name).unwrap().unwrap()
    }

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_contract_has_a_form_for_sign_in_and_says_what_a_sign_up_needs() {
        let names = |contract: &Contract, operation| {
            let inputs = contract.form(operation).unwrap();
            inputs.into_iter().map(|input| input.name).collect::<Vec<_>>()
        };
        for name in Contract::built_in_names() {
            let contract = contract(name);
            let login = names(&contract, Operation::Login);
            assert!(login.contains(&"password".to_owned()), "{name}: {login:?}");
        }
        let standard = contract("standard");
        assert_eq!(names(&standard, Operation::SignUp), ["email", "password", "username"]);
        assert_eq!(names(&standard, Operation::Sessions), Vec::<String>::new());
        assert!(standard.form(Operation::SocialLogin).is_none());
    }

    #[test]
    fn a_form_is_decoded_by_the_rules_of_the_endpoint_under_the_inputs_own_names() {
        let contract = contract("standard");
        let decode =
            |pairs: &[(&str, &str)]| contract.decode_form(Operation::Login, &fields(pairs), None);

        let command = decode(&[("email", " A@Example.com "), ("password", " secret ")]).unwrap();
        let Command::Login { identifier, password } = command else { panic!("{command:?}") };
        assert_eq!(identifier.to_string(), "a@example.com");
        assert_eq!(password.text.expose(), " secret ");
        let refused = decode(&[("email", "nobody"), ("password", "secret")]).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidInput);
        assert_eq!(refused.problem.unwrap().field, "email");
        let refused = decode(&[("email", "a@example.com")]).unwrap_err();
        assert_eq!(refused.problem.unwrap().field, "password");
        let none = contract.decode_form(Operation::SocialLogin, &[], None).unwrap_err();
        assert_eq!(none.code, ErrorCode::NotFound);
    }
}
