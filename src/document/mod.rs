//! TOML documents: a tree of values with places, and every fault of one reading at once.
//!
//! Configurations are read through a [`Reader`], which lends [`Table`]s and [`Item`]s: what cannot
//! be read becomes a [`Fault`] and a default. A contract keeps parts of its [`Node`]s as templates,
//! and gathers its faults in a [`Report`].

mod duration;
mod expected;
mod fault;
mod item;
mod node_table;
mod overrides;
mod reader;
pub(crate) mod redact;
mod report;
mod table;
mod tree;

pub(crate) use duration::{parse_duration, parse_duration_above_zero};
pub use expected::Expected;
pub(crate) use expected::{nearest, suggestion};
pub use fault::{Fault, Faults, Source, Spot};
pub(crate) use item::Item;
pub(crate) use node_table::NodeTable;
pub(crate) use reader::{Reader, read_small};
pub(crate) use report::Report;
pub(crate) use table::{Name, Table};
pub(crate) use tree::{Key, Member, Node, NodeValue};
