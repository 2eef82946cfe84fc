//! The slots of a cluster: the slot of a key, and the node of a slot.

use std::collections::{BTreeMap, BTreeSet};

use redis::Value;

use crate::config::HostPort;

/// The number of slots.
const SLOTS: u16 = 16384;

/// The slot of a key: the hash of the text between its first braces, if that is not empty.
pub(in crate::store::redis) fn slot_of(key: &[u8]) -> u16 {
    let tag = key
        .iter()
        .position(|byte| *byte == b'{')
        .and_then(|open| key.get(open + 1..))
        .and_then(|rest| rest.get(..rest.iter().position(|byte| *byte == b'}')?))
        .filter(|tag| !tag.is_empty());
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(*byte) << 8), |sum, _| {
            if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 }
        })
    })
}

/// The node of each slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store::redis) struct SlotMap {
    /// First slot of a range → last slot, and who has them.
    ranges: BTreeMap<u16, (u16, HostPort)>,
    /// Slots that have moved since the map was read.
    moved: BTreeMap<u16, HostPort>,
}

impl SlotMap {
    /// Reads the reply to CLUSTER SLOTS of the node `asked`, which may not know its own name.
    pub(in crate::store::redis) fn read(answer: &Value, asked: &HostPort) -> Option<Self> {
        let Value::Array(rows) = answer else { return None };
        let mut ranges = BTreeMap::new();
        for row in rows {
            let Value::Array(row) = row else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = row.as_slice()
            else {
                return None;
            };
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            ranges.insert(first, (last, read_node(master, asked)?));
        }
        Some(Self { ranges, moved: BTreeMap::new() })
    }

    /// Notes a redirection.
    pub(in crate::store::redis) fn note(&mut self, slot: u16, server: HostPort) {
        self.moved.insert(slot, server);
    }

    pub(in crate::store::redis) fn owner(&self, slot: u16) -> Option<&HostPort> {
        self.moved.get(&slot).or_else(|| {
            let (_, (last, owner)) = self.ranges.range(..=slot).next_back()?;
            (slot <= *last).then_some(owner)
        })
    }

    /// All nodes that have slots.
    pub(in crate::store::redis) fn owners(&self) -> BTreeSet<&HostPort> {
        self.ranges.values().map(|(_, owner)| owner).chain(self.moved.values()).collect()
    }

    /// The number of slots without a node.
    pub(in crate::store::redis) fn orphans(&self) -> u16 {
        let owned: u16 =
            self.ranges.iter().map(|(first, (last, _))| last.saturating_sub(*first) + 1).sum();
        SLOTS.saturating_sub(owned)
    }
}

fn read_node(node: &[Value], asked: &HostPort) -> Option<HostPort> {
    let [host, Value::Int(port), ..] = node else { return None };
    let host = match host {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
        Value::SimpleString(text) => text.as_str(),
        Value::Nil => "",
        _ => return None,
    };
    // A node without a name is reached as the one that was asked.
    let host = if host.is_empty() || host == "?" { &asked.host } else { host };
    Some(HostPort { host: host.to_owned(), port: u16::try_from(*port).ok()? })
}

/// The slot and the node of a redirection's words: `3999 127.0.0.1:6381`.
pub(in crate::store::redis) fn read_redirection(
    words: &str,
    asked: &HostPort,
) -> Option<(u16, HostPort)> {
    let (slot, place) = words.split_once(' ')?;
    let (host, port) = place.rsplit_once(':')?;
    let host = if host.is_empty() || host == "?" { &asked.host } else { host };
    let server = HostPort { host: host.to_owned(), port: port.parse().ok()? };
    Some((slot.parse().ok().filter(|slot| *slot < SLOTS)?, server))
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::{SlotMap, read_redirection, slot_of};
    use crate::config::HostPort;

    fn at(host: &str, port: u16) -> HostPort {
        HostPort { host: host.to_owned(), port }
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())];
        Value::Array(vec![Value::Int(first), Value::Int(last), Value::Array(master)])
    }

    #[test]
    fn a_key_is_in_the_slot_that_redis_says() {
        // As `CLUSTER KEYSLOT` answers.
        for (key, slot) in [
            ("123456789", 12739),
            ("foo", 12182),
            ("", 0),
            ("munjigi:{rev}:set", slot_of(b"rev")),
            ("munjigi:{u:default:7}:user", slot_of(b"u:default:7")),
            ("{}foo", slot_of(b"{}foo")),
            ("foo{{bar}}zap", slot_of(b"{bar")),
            ("foo{bar}{zap}", slot_of(b"bar")),
        ] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
        assert_eq!(slot_of(b"{}foo"), 9500);
    }

    #[test]
    fn a_slot_has_the_owner_of_its_range_until_it_moves() {
        let answer = Value::Array(vec![
            range(0, 99, Value::BulkString(b"10.0.0.1".to_vec()), 1),
            range(200, 16383, Value::Nil, 2),
        ]);

        let mut map = SlotMap::read(&answer, &at("asked", 9)).unwrap();

        assert_eq!(map.owner(99), Some(&at("10.0.0.1", 1)));
        assert_eq!(map.owner(100), None);
        assert_eq!(map.owner(16383), Some(&at("asked", 2)));
        assert_eq!(map.orphans(), 100);
        map.note(99, at("10.0.0.3", 3));
        assert_eq!(map.owner(99), Some(&at("10.0.0.3", 3)));
        assert_eq!(map.owner(98), Some(&at("10.0.0.1", 1)));
        assert_eq!(map.owners().len(), 3);
    }

    #[test]
    fn a_redirection_names_slot_and_node() {
        let asked = at("asked", 9);
        for (words, expected) in [
            ("3999 127.0.0.1:6381", Some((3999, at("127.0.0.1", 6381)))),
            ("3999 ::1:6381", Some((3999, at("::1", 6381)))),
            ("3999 :6381", Some((3999, at("asked", 6381)))),
            ("16384 h:1", None),
            ("3999", None),
        ] {
            assert_eq!(read_redirection(words, &asked), expected, "{words}");
        }
    }
}
