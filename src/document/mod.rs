//! TOML documents, read by hand: every value with its place, every fault in one reading.
//!
//! A [`Reader`] lends [`Table`]s and [`Item`]s; what cannot be read becomes a [`Fault`] there and a
//! default here.

mod duration;
mod expected;
mod fault;
mod item;
mod overrides;
mod reader;
pub(crate) mod redact;
mod table;

pub(crate) use duration::{parse_duration, parse_duration_above_zero};
pub use expected::Expected;
pub(crate) use expected::nearest;
pub use fault::{Fault, Faults, Source, Spot};
pub(crate) use item::Item;
pub(crate) use reader::{Reader, read_small};
pub(crate) use table::{Name, Table};
