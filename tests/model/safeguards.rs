//! The steps of the product that keep the promise; each can be left out, to see the promise broken.

/// Each `true` is a step that the product takes and that a promise depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Safeguards {
    /// `journal/store.rs`, `keep`: a revocation is in the list before anything else.
    pub list_first: bool,
    /// `journal/store.rs`, `both`: it is in the file before it is acknowledged.
    pub waits_for_file: bool,
    /// `journal/store.rs`, `both`: Redis has it before it is acknowledged.
    pub waits_for_redis: bool,
    /// `auth/operations/logout.rs`: what was not acknowledged holds here all the same.
    pub keeps_what_failed: bool,
    /// `store/redis/revocations/feed/mod.rs`, `beat`: contact is as old as its question.
    pub dates_contact_by_question: bool,
    /// `store/redis/revocations/feed/mod.rs`, `is_of`: contact only with the same generation, and a log that
    /// is no shorter.
    pub compares_positions: bool,
    /// `store/redis/revocations/feed/mod.rs`, `catch_up`: contact only with everything up to the number answered.
    pub catches_up: bool,
    /// `store/redis/revocations/feed/mod.rs`, `tail`: and the generation is still the same after that.
    pub compares_after_reading: bool,
    /// `store/redis/revocations/feed/mod.rs`, `round`: contact is asked for after the set was read, not before.
    pub asks_after_set: bool,
    /// `journal/refill.rs`, `attach`: what another lineage lacks is put back.
    pub refills: bool,
    /// `journal/refill.rs`, `SETTLING`: contact with another lineage counts when others have had
    /// their time.
    pub settles: bool,
    /// `journal/refill.rs`, `take`: and only if it was asked for after that time.
    pub asks_when_settled: bool,
    /// `journal/refill.rs`, `attach`: and only then is that lineage a known one.
    pub knows_when_settled: bool,
    /// `journal/state.rs`, `newest`: what is put back first is known after a restart too.
    pub recalls_newest: bool,
    /// `revocation/mod.rs`, `apply`: what is read is added to the list, and takes no place of it.
    pub unites: bool,
    /// `store/redis/sessions/rotation.rs`, `rotate_in_steps`: a revoked session is not refreshed.
    pub refresh_asks: bool,
    /// `auth/operations/refresh.rs`, `grace`: reuse is none while the successor shows no sign of life.
    pub gives_lost_answers: bool,
    /// `rotate_refresh.lua`: compares and rotates in one step.
    pub rotates_at_once: bool,
}

impl Safeguards {
    /// As it is.
    pub(crate) const HONEST: Self = Self {
        list_first: true,
        waits_for_file: true,
        waits_for_redis: true,
        keeps_what_failed: true,
        dates_contact_by_question: true,
        compares_positions: true,
        catches_up: true,
        compares_after_reading: true,
        asks_after_set: true,
        refills: true,
        settles: true,
        asks_when_settled: true,
        knows_when_settled: true,
        recalls_newest: true,
        unites: true,
        refresh_asks: true,
        gives_lost_answers: true,
        rotates_at_once: true,
    };
}
