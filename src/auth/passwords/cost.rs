//! Limits on stored Argon2 hashes: cost, and length of the output.

use argon2::Params;

/// A verifier in the store that costs more is taken for damage or an attack, and not computed.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const MOST_ITERATIONS: u32 = 50;
const MOST_LANES: u32 = 64;

/// Shorter output makes a guess too likely to match.
pub(super) const SHORTEST_OUTPUT: usize = 16;

/// Refuses parameters that would cost too much to compute at every login.
pub(super) fn check_cost(params: &Params) -> Result<(), &'static str> {
    let affordable = params.m_cost() <= MOST_MEMORY_KIB
        && params.t_cost() <= MOST_ITERATIONS
        && params.p_cost() <= MOST_LANES;
    if affordable { Ok(()) } else { Err("it costs over 1 GiB, 50 iterations or 64 lanes") }
}
