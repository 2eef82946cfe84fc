//! The second factor: codes of an app, recovery codes, remembered devices, and the texts that carry
//! an unfinished login or set-up from one request to the next.

pub(super) mod carried;
pub(super) mod factor;
pub(super) mod one_time_code;
