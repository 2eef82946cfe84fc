//! Reads the numbered log, and detects gaps.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use crate::store::redis::connection::fault::corrupt;
use crate::store::redis::revocations::feed::RoundEnd;
use crate::store::redis::revocations::revocation::parse_entry;
use crate::store::{FeedEntry, FeedInterruption, StoreError};

/// Most entries of one read.
const COUNT: usize = 1000;

/// The reply to XREAD: for each stream its entries, for each its id and fields.
type Streams = Vec<(String, Vec<(String, Vec<Vec<u8>>)>)>;

/// Reads the entries after a number; with `wait`, waits so long for one.
pub(super) async fn read_log(
    mut connection: MultiplexedConnection,
    key: String,
    after: u64,
    wait: Option<Duration>,
) -> Result<Vec<(u64, FeedEntry)>, RoundEnd> {
    let mut ask = redis::cmd("XREAD");
    ask.arg("COUNT").arg(COUNT);
    if let Some(wait) = wait {
        ask.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    ask.arg("STREAMS").arg(key).arg(format!("{after}-0"));
    let answer: Option<Streams> = ask.query_async(&mut connection).await?;
    let entries = answer.into_iter().flatten().flat_map(|(_, entries)| entries);
    Ok(entries.map(|(id, fields)| read_entry(&id, &fields)).collect::<Result<_, _>>()?)
}

/// The entries after `after` and the number of the last; the error is a gap. Entries that came
/// before, by another connection, are left out.
pub(super) fn in_order(
    entries: Vec<(u64, FeedEntry)>,
    after: u64,
) -> Result<(Vec<FeedEntry>, u64), FeedInterruption> {
    let mut newest = after;
    let mut fresh = Vec::with_capacity(entries.len());
    for (number, entry) in entries {
        if number <= newest {
            continue;
        }
        if number != newest + 1 {
            return Err(FeedInterruption::Gap { after: newest });
        }
        newest = number;
        fresh.push(entry);
    }
    Ok((fresh, newest))
}

fn read_entry(id: &str, fields: &[Vec<u8>]) -> Result<(u64, FeedEntry), StoreError> {
    let number = id.split_once('-').and_then(|(number, _)| number.parse().ok());
    let number = number.ok_or_else(|| corrupt("log", id))?;
    let field = |name: &[u8]| {
        let pairs = fields.chunks_exact(2);
        let mut named = pairs.filter_map(|pair| match pair {
            [field, value] if field == name => Some(value.as_slice()),
            _ => None,
        });
        named.next().ok_or_else(|| corrupt("log", id))
    };
    Ok((number, parse_entry(field(b"key")?, field(b"floor")?, field(b"expires")?)?))
}

#[cfg(test)]
mod tests {
    use super::in_order;
    use crate::clock::Timestamp;
    use crate::operation::RevocationKey;
    use crate::store::{FeedEntry, FeedInterruption};

    fn entry(number: u64) -> (u64, FeedEntry) {
        let expires_at = Timestamp::from_millis(0);
        (number, FeedEntry { key: RevocationKey([0; 16]), floor: number, expires_at })
    }

    #[test]
    fn entries_are_taken_in_order_and_once() {
        for (name, numbers, after, expected) in [
            ("nothing", vec![], 7, Ok((vec![], 7))),
            ("the next", vec![8, 9], 7, Ok((vec![8, 9], 9))),
            ("known before", vec![6, 7, 8], 7, Ok((vec![8], 8))),
            ("one missing at first", vec![9], 7, Err(FeedInterruption::Gap { after: 7 })),
            ("one missing between", vec![8, 10], 7, Err(FeedInterruption::Gap { after: 8 })),
        ] {
            let entries = numbers.into_iter().map(entry).collect();

            let taken = in_order(entries, after);

            let taken = taken.map(|(entries, newest)| {
                (entries.into_iter().map(|entry| entry.floor).collect::<Vec<_>>(), newest)
            });
            assert_eq!(taken, expected, "{name}");
        }
    }
}
