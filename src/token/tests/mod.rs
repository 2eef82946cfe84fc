//! Tokens as attackers, other issuers and clients present them; rows of `security.md` 1.1.

mod caching;
mod claim;
mod expired;
mod forge;
mod form;
mod header;
mod issuing;
mod key;
mod mutation;
