//! Frames of records in the journal, and the detection of torn and damaged ones.
//!
//! A frame is a length, a mark that binds the length to its offset, a checksum, the records and an
//! end byte. The checksum is the first 64 bits of SHA-256 over offset, records and end: one more
//! crate would give a CRC, which is no faster where the processor has SHA instructions, and misses
//! more.
//!
//! A crash can only leave a torn frame at the end: one that is cut off, or whose last sectors were
//! never written and read as zeros. Any other unreadable frame is damage. A damaged length cannot
//! pass for a torn frame, since its mark would not fit. A last sector that was written cannot pass
//! for one that was not, since the end byte is not zero.

use std::io;
use std::io::{BufReader, Read, Seek, SeekFrom};

use aws_lc_rs::digest;

/// Bytes before the records: length, mark, checksum.
const HEAD: usize = 16;

/// Ends a frame: one that was written to its last byte does not end with zeros.
const END: u8 = 0xff;

/// The longest records of one frame, in bytes.
pub(super) const LONGEST: usize = 1 << 20;

/// The unit that a power cut leaves whole, or not written at all.
const SECTOR: u64 = 512;

/// The end of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// After the last frame.
    Whole,
    /// In a frame at this offset that was never completely written.
    Torn(u64),
    /// At a frame at this offset that was once written and is unreadable.
    Damaged(u64),
}

/// Makes the frame for the offset `place`.
pub(super) fn frame(records: &[u8], place: u64) -> Vec<u8> {
    // Callers bound the records; a longer frame would read as damage.
    let length = u32::try_from(records.len() + 1).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEAD + records.len() + 1);
    bytes.extend(length.to_le_bytes());
    bytes.extend(mark(length, place).to_le_bytes());
    bytes.extend(checksum(&[records, &[END]], place));
    bytes.extend(records);
    bytes.push(END);
    bytes
}

/// Reads the frames of a file from the offset `place`, and passes their records to `take`, which
/// returns whether they are readable.
pub(super) fn read_all(
    file: impl Read + Seek,
    place: u64,
    mut take: impl FnMut(&[u8]) -> bool,
) -> io::Result<ReadEnd> {
    let mut file = BufReader::with_capacity(1 << 18, file);
    let length = file.seek(SeekFrom::End(0))?;
    let mut place = file.seek(SeekFrom::Start(place))?;
    let mut body = Vec::new();
    while place < length {
        let rest = length - place;
        let head = if rest < HEAD as u64 { None } else { Some(Head::read(&mut file)?) };
        let Some(head) = head else { return Ok(ReadEnd::Torn(place)) };
        let Some(size) = head.size_at(place) else {
            return judge(&mut file, place, None);
        };
        let end = place + (HEAD + size) as u64;
        if end > length {
            return Ok(ReadEnd::Torn(place));
        }
        body.resize(size, 0);
        file.read_exact(&mut body)?;
        let Some(records) = head.records(&body, place) else {
            return judge(&mut file, place, Some(end));
        };
        if !take(records) {
            return Ok(ReadEnd::Damaged(place));
        }
        place = end;
    }
    Ok(ReadEnd::Whole)
}

/// Passes on every frame that is still readable after `place`; returns the number of lost bytes.
pub(super) fn salvage(
    mut file: impl Read + Seek,
    place: u64,
    mut take: impl FnMut(&[u8]) -> bool,
) -> io::Result<u64> {
    file.seek(SeekFrom::Start(place))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    let (mut at, mut lost) = (0, 0);
    while let Some(bytes) = rest.get(at..).filter(|bytes| !bytes.is_empty()) {
        match whole(bytes, place + at as u64).filter(|records| take(records)) {
            Some(records) => at += HEAD + records.len() + 1,
            None => {
                at += 1;
                lost += 1;
            }
        }
    }
    Ok(lost)
}

/// The records of a whole frame at the beginning of `bytes`, if there is one.
pub(super) fn whole(bytes: &[u8], place: u64) -> Option<&[u8]> {
    let head = Head::read(&mut &*bytes).ok()?;
    head.records(bytes.get(HEAD..HEAD + head.size_at(place)?)?, place)
}

/// Whether an unreadable frame is torn or damaged; `end` is its end, where its length is readable.
fn judge(file: &mut (impl Read + Seek), place: u64, end: Option<u64>) -> io::Result<ReadEnd> {
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(place))?;
    file.read_to_end(&mut rest)?;
    let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // The sectors from here on were never written.
    let unwritten = (place + written as u64).next_multiple_of(SECTOR);
    let has_unwritten = unwritten < place + rest.len() as u64;
    // Without a length, only the sector of its head can have been written.
    let limit = end.unwrap_or_else(|| (place + 1).next_multiple_of(SECTOR));
    let is_torn = written == 0 || (has_unwritten && unwritten <= limit);
    Ok(if is_torn { ReadEnd::Torn(place) } else { ReadEnd::Damaged(place) })
}

/// The head of a frame.
struct Head {
    length: u32,
    mark: u32,
    checksum: [u8; 8],
}

impl Head {
    fn read(file: &mut impl Read) -> io::Result<Self> {
        let (mut length, mut mark, mut checksum) = ([0; 4], [0; 4], [0; 8]);
        file.read_exact(&mut length)?;
        file.read_exact(&mut mark)?;
        file.read_exact(&mut checksum)?;
        let (length, mark) = (u32::from_le_bytes(length), u32::from_le_bytes(mark));
        Ok(Self { length, mark, checksum })
    }

    /// The length of records and end byte; `None` where the head does not fit the offset.
    fn size_at(&self, place: u64) -> Option<usize> {
        let size = usize::try_from(self.length).ok()?;
        (self.mark == mark(self.length, place) && (2..=LONGEST + 1).contains(&size)).then_some(size)
    }

    /// The records in the bytes after this head, where the checksum fits.
    fn records<'a>(&self, body: &'a [u8], place: u64) -> Option<&'a [u8]> {
        let records = body.strip_suffix(&[END])?;
        (checksum(&[body], place) == self.checksum).then_some(records)
    }
}

/// The mark of a length: differs for any two lengths at one offset, and for most offsets.
fn mark(length: u32, place: u64) -> u32 {
    let place = place ^ (place >> 32);
    let [a, b, c, d, ..] = place.to_le_bytes();
    length.rotate_left(16)
        ^ u32::from_le_bytes([a, b, c, d]).wrapping_mul(0x9e37_79b1)
        ^ 0x4a4d_554e
}

fn checksum(parts: &[&[u8]], place: u64) -> [u8; 8] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&place.to_le_bytes());
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::any;
    use proptest::proptest;

    use super::{ReadEnd, frame, read_all, salvage};

    const PLACE: u64 = 7;

    /// A file of these frames after `PLACE` bytes of something else, and where each begins.
    fn file(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut begins) = (vec![0xee; PLACE as usize], Vec::new());
        for body in bodies {
            begins.push(bytes.len());
            bytes.extend(frame(body, bytes.len() as u64));
        }
        (bytes, begins)
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, ReadEnd) {
        let mut found = Vec::new();
        let end = read_all(Cursor::new(bytes), PLACE, |body| {
            found.push(body.to_vec());
            true
        });
        (found, end.unwrap())
    }

    fn bodies() -> Vec<Vec<u8>> {
        vec![b"one".to_vec(), vec![7; 700], b"three".to_vec()]
    }

    #[test]
    fn frames_read_back() {
        let (bytes, _) = file(&bodies());

        assert_eq!(read(&bytes), (bodies(), ReadEnd::Whole));
        assert_eq!(read(&bytes[..PLACE as usize]), (Vec::new(), ReadEnd::Whole));
    }

    #[test]
    fn a_file_cut_anywhere_gives_its_whole_frames_and_where_the_torn_one_begins() {
        let (bytes, begins) = file(&bodies());
        for length in PLACE as usize..bytes.len() {
            let whole = begins.iter().filter(|begin| **begin < length).count();
            let at_a_seam = begins.contains(&length);

            let (found, end) = read(&bytes[..length]);

            let whole = if at_a_seam { whole } else { whole.saturating_sub(1) };
            assert_eq!(found, bodies()[..whole], "cut to {length}");
            let torn = ReadEnd::Torn(begins.get(whole).map_or(0, |begin| *begin as u64));
            let is_whole = at_a_seam || length == PLACE as usize;
            assert_eq!(end, if is_whole { ReadEnd::Whole } else { torn }, "cut to {length}");
        }
    }

    #[test]
    fn sectors_that_were_never_written_are_a_torn_end() {
        let (bytes, begins) = file(&[b"one".to_vec(), vec![7; 1500]]);
        for written in [begins[1], 512, 1024] {
            let mut bytes = bytes.clone();
            bytes[written..].fill(0);

            let (found, end) = read(&bytes);

            assert_eq!((found.len(), end), (1, ReadEnd::Torn(begins[1] as u64)), "{written}");
        }
    }

    #[test]
    fn a_zeroed_sector_with_frames_behind_it_is_damage() {
        let (mut bytes, begins) = file(&[vec![7; 1500], b"two".to_vec()]);
        bytes[512..1024].fill(0);

        assert_eq!(read(&bytes), (Vec::new(), ReadEnd::Damaged(begins[0] as u64)));
    }

    #[test]
    fn every_flipped_bit_is_damage_and_leaves_what_is_before_it() {
        let (bytes, begins) = file(&bodies());
        for bit in PLACE as usize * 8..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let hit = begins.iter().rposition(|begin| *begin <= bit / 8).unwrap();

            let (found, end) = read(&bytes);

            assert_eq!(found, bodies()[..hit], "bit {bit}");
            assert_eq!(end, ReadEnd::Damaged(begins[hit] as u64), "bit {bit}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_wherever_a_last_sector_begins() {
        // Ends as a time in milliseconds does, whose highest bytes are zeros.
        let body = [vec![7; 30], vec![0; 9]].concat();
        for filler in 380..520 {
            let (bytes, begins) = file(&[vec![7; filler], body.clone()]);
            for bit in begins[1] * 8..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);

                assert_eq!(
                    read(&bytes).1,
                    ReadEnd::Damaged(begins[1] as u64),
                    "{filler}, bit {bit}"
                );
            }
        }
    }

    #[test]
    fn salvage_finds_the_frames_behind_the_damage() {
        let (bytes, begins) = file(&bodies());
        for at in begins[1]..begins[2] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x55;
            let mut found = Vec::new();

            let lost = salvage(Cursor::new(&bytes), begins[1] as u64, |body| {
                found.push(body.to_vec());
                true
            });

            assert_eq!(found, [b"three".to_vec()], "byte {at}");
            assert_eq!(lost.unwrap(), (begins[2] - begins[1]) as u64, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn anything_at_all_ends_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut bytes = [vec![0; PLACE as usize], bytes].concat();
            bytes.extend(frame(b"whole", bytes.len() as u64));
            let (_, end) = read(&bytes);
            let mut found = Vec::new();
            if let ReadEnd::Damaged(place) = end {
                salvage(Cursor::new(&bytes), place, |body| { found.push(body.to_vec()); true }).unwrap();
                assert_eq!(found.last().map(Vec::as_slice), Some(&b"whole"[..]));
            }
        }
    }
}
