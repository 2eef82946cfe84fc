//! WebSocket frames, followed by their headers alone (RFC 6455 §5.2), and close frames.

/// A close frame that says 1008, policy violation, and no more (RFC 6455 §5.5.1).
pub(crate) const POLICY_VIOLATION: [u8; 4] = [0x88, 2, 0x03, 0xf0];

/// A close frame that says 1001, going away.
pub(crate) const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// The position of a byte stream in a sequence of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameState {
    place: FramePosition,
    /// Whether a close frame has begun: the bytes after it are no frame (§5.5.1).
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FramePosition {
    /// In a header, of which so many bytes came; none between two frames.
    Header { bytes: [u8; LONGEST_HEADER], come: usize },
    /// In a payload, of which so many bytes are still to come: never zero.
    Payload { left: u64 },
}

/// Two bytes, eight of length, four of mask.
const LONGEST_HEADER: usize = 14;

const BETWEEN: FramePosition = FramePosition::Header { bytes: [0; LONGEST_HEADER], come: 0 };

impl Default for FramePosition {
    fn default() -> Self {
        BETWEEN
    }
}

impl FrameState {
    /// Whether one frame has ended and no other has begun.
    pub(crate) const fn is_between_frames(&self) -> bool {
        matches!(self.place, FramePosition::Header { come: 0, .. })
    }

    /// Whether a close frame has begun.
    pub(crate) const fn has_closed(&self) -> bool {
        self.closed
    }

    /// Goes over bytes, however many frames they are parts of.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        let mut left = bytes;
        while let Some((_, after)) = left.split_at_checked(self.step(left)) {
            if after.is_empty() {
                return;
            }
            left = after;
        }
    }

    /// Number of bytes that belong to the current frame; 0 between two frames.
    pub(crate) fn rest_of_frame(mut self, bytes: &[u8]) -> usize {
        if self.is_between_frames() { 0 } else { self.step(bytes) }
    }

    /// Goes over bytes up to the end of a frame; answers how many.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        if let FramePosition::Header { bytes: mut header, mut come } = self.place {
            while let Some(byte) = bytes.get(taken) {
                if let Some(place) = header.get_mut(come) {
                    *place = *byte;
                }
                come += 1;
                taken += 1;
                if let Some(left) = payload_of(&header, come) {
                    self.closed |= header.first().is_some_and(|first| first & 0x0f == CLOSE);
                    self.place = if left == 0 { BETWEEN } else { FramePosition::Payload { left } };
                    break;
                }
                self.place = FramePosition::Header { bytes: header, come };
            }
        }
        let FramePosition::Payload { left } = self.place else { return taken };
        let here = bytes.len() - taken;
        let passed = usize::try_from(left).map_or(here, |left| left.min(here));
        let left = left.saturating_sub(u64::try_from(passed).unwrap_or(u64::MAX));
        self.place = if left == 0 { BETWEEN } else { FramePosition::Payload { left } };
        taken + passed
    }
}

/// The opcode of a close frame.
const CLOSE: u8 = 8;

/// The length of the payload, when the header is whole.
fn payload_of(header: &[u8; LONGEST_HEADER], come: usize) -> Option<u64> {
    let [_, second, long @ ..] = header;
    let [high, low, ..] = long;
    let (extended, length) = match second & 0x7f {
        127 => (8, long.first_chunk().map_or(0, |length| u64::from_be_bytes(*length))),
        126 => (2, u64::from(u16::from_be_bytes([*high, *low]))),
        length => (0, u64::from(length)),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    (come == 2 + extended + mask).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any};
    use proptest::proptest;

    use super::FrameState;

    /// A frame with a payload of so many bytes, its length written in the form asked for.
    fn frame(first: u8, length: usize, form: u8, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![first];
        match form {
            0 if length < 126 => frame.push(mask | u8::try_from(length).unwrap()),
            0 | 1 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0x81, 0x02, 0x88, 0x7f].iter().take(if masked { 4 } else { 0 }));
        // A payload that reads like headers.
        frame.extend([0x88, 0x7f].iter().cycle().take(length));
        frame
    }

    fn after(bytes: &[u8]) -> FrameState {
        let mut course = FrameState::default();
        course.pass(bytes);
        course
    }

    #[test]
    fn frames_end_where_their_headers_say() {
        let rows: [(&str, Vec<u8>); 7] = [
            ("an empty one", vec![0x81, 0]),
            ("a short one", frame(0x81, 5, 0, false)),
            ("the longest short one", frame(0x82, 125, 0, false)),
            ("a middle one", frame(0x02, 126, 1, false)),
            ("the longest middle one", frame(0x80, 65_535, 1, false)),
            ("a long one", frame(0x80, 65_536, 2, false)),
            ("a masked one", frame(0x82, 300, 1, true)),
        ];
        for (name, bytes) in rows {
            assert!(after(&bytes).is_between_frames(), "{name}");
            for end in 1..bytes.len() {
                assert!(!after(&bytes[..end]).is_between_frames(), "{name} cut at {end}");
            }
            let more = [bytes.as_slice(), &[0x81, 3, b'a']].concat();
            let begun = after(&bytes[..1]);
            assert_eq!(begun.rest_of_frame(&more[1..]), bytes.len() - 1, "{name}");
        }
        assert_eq!(FrameState::default().rest_of_frame(b"abc"), 0);
    }

    #[test]
    fn a_length_beyond_all_memory_is_followed() {
        let mut course = after(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]);
        course.pass(&[0; 100_000]);

        assert!(!course.is_between_frames());
        assert_eq!(course.rest_of_frame(&[0; 10]), 10);
    }

    #[test]
    fn a_close_frame_is_noticed_and_a_payload_is_not_taken_for_one() {
        assert!(!after(&frame(0x81, 20, 0, false)).has_closed());
        assert!(!after(&frame(0x89, 2, 0, false)).has_closed());
        assert!(after(&frame(0x88, 2, 0, false)).has_closed());
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_boundaries(
            frames in vec((any::<u8>(), 0_usize..400, 0_u8..3, any::<bool>()), 1..8),
            cuts in vec(1_usize..40, 1..60).prop_map(|cuts| cuts.into_iter().cycle()),
        ) {
            let mut stream = Vec::new();
            let mut ends = vec![0];
            for (first, length, form, masked) in frames {
                stream.extend(frame(first, length, form, masked));
                ends.push(stream.len());
            }
            let (mut split, mut at) = (FrameState::default(), 0);
            for cut in cuts {
                assert_eq!(split.is_between_frames(), ends.contains(&at), "at {at}");
                assert_eq!(split, after(&stream[..at]), "at {at}");
                let rest = stream[at..].len();
                let next = ends.iter().find(|end| **end >= at).copied().unwrap();
                assert_eq!(split.rest_of_frame(&stream[at..]), next - at, "at {at}");
                if rest == 0 {
                    break;
                }
                let cut = cut.min(rest);
                split.pass(&stream[at..at + cut]);
                at += cut;
            }
        }
    }
}
