//! The table of checks, and the backends that each runs on.

use crate::backend::Backend;
use crate::{
    accounts, changes, codes, events, feed, keys, mails, revocations, rotation, sessions, tries,
};

macro_rules! conformance {
    (
        one { $($one:ident :: $check:ident,)+ }
        two { $($two:ident :: $pair:ident,)+ }
    ) => {
        conformance!(@backend in_memory { $($one :: $check,)+ } {});
        conformance!(@backend sqlite { $($one :: $check,)+ } { $($two :: $pair,)+ });
        conformance!(@backend redis { $($one :: $check,)+ } { $($two :: $pair,)+ });
        conformance!(@backend sentinel { $($one :: $check,)+ } { $($two :: $pair,)+ });
        conformance!(@backend cluster { $($one :: $check,)+ } { $($two :: $pair,)+ });
    };
    (@backend $backend:ident { $($one:ident :: $check:ident,)+ } { $($two:ident :: $pair:ident,)* }) => {
        mod $backend {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let backend = Backend::$backend().await;
                    $one::$check(&backend.store).await;
                }
            )+
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $pair() {
                    let backend = Backend::$backend().await;
                    $two::$pair(&backend.store, &backend.another().await).await;
                }
            )*
        }
    };
}

// A check of `two` gets two handles on one store, as two gateways have; a store in memory has one.
conformance! {
    one {
        accounts::an_email_is_taken_once_in_a_realm,
        accounts::a_username_is_taken_once_in_a_realm,
        accounts::a_name_is_found_and_taken_in_every_spelling,
        accounts::a_refused_account_takes_neither_of_its_names,
        accounts::two_realms_share_no_names_and_no_accounts,
        accounts::concurrent_sign_ups_of_one_email_make_one_account,
        accounts::an_unknown_account_is_not_found,
        accounts::an_account_reads_back_as_it_was_made,
        accounts::numbers_are_not_reused_after_removal,
        accounts::a_removed_account_frees_its_names,
        accounts::a_list_pages_by_number,
        accounts::an_account_with_megabytes_of_attributes_lives_as_any_other,
        accounts::only_a_whole_look_up_answers_attributes,
        changes::a_change_of_an_unknown_account_is_none,
        changes::a_new_password_ends_sessions_and_tokens,
        changes::a_reset_password_ends_sessions_and_tokens_and_proves_the_address,
        changes::a_reset_proves_no_address_where_there_is_none,
        changes::a_proven_address_ends_nothing,
        changes::a_social_login_that_joins_ends_sessions_and_tokens,
        changes::an_address_that_is_not_the_accounts_changes_and_ends_nothing,
        changes::ending_refresh_tokens_ends_sessions_and_no_access_token,
        changes::a_second_factor_is_replaced_only_while_it_is_as_it_was_read,
        changes::remembered_devices_are_forgotten_where_all_sessions_end,
        changes::a_social_login_that_joins_takes_the_second_factor_off,
        changes::an_upgraded_verifier_ends_nothing,
        changes::a_verifier_is_upgraded_only_while_the_old_one_stands,
        changes::disabling_ends_sessions_and_tokens_and_enabling_nothing,
        changes::a_right_taken_ends_tokens_but_no_session,
        changes::a_change_that_finds_a_floor_above_the_generation_ends_sessions,
        changes::a_right_given_ends_nothing,
        changes::ending_sessions_leaves_the_rest_of_the_account,
        changes::removal_ends_everything,
        changes::a_change_touches_no_other_user,
        changes::generations_come_from_the_clock_and_never_fall,
        sessions::a_login_of_a_stale_generation_opens_nothing,
        sessions::a_login_of_a_disabled_account_opens_nothing,
        sessions::a_login_of_a_removed_account_opens_nothing,
        sessions::a_login_that_finds_a_floor_above_the_generation_ends_sessions,
        sessions::a_login_that_races_a_password_change_leaves_no_session,
        sessions::a_login_is_noted_on_the_account,
        sessions::a_replacing_login_ends_the_others_of_its_site,
        sessions::a_session_without_refresh_token_is_listed,
        sessions::a_session_is_found_by_any_of_its_refresh_tokens,
        sessions::a_session_is_not_found_from_another_site_or_after_its_end,
        sessions::a_list_has_the_newest_first_and_nothing_that_ended,
        sessions::an_ended_session_is_gone_and_revoked,
        sessions::ending_an_unknown_session_still_records_the_revocations,
        rotation::an_unknown_token_is_refused,
        rotation::a_token_of_another_session_is_refused,
        rotation::an_expired_token_is_refused,
        rotation::a_session_past_its_end_is_refused,
        rotation::a_token_of_an_ended_session_is_refused,
        rotation::a_token_of_a_revoked_session_is_refused,
        rotation::a_token_after_a_password_change_is_refused,
        rotation::a_refresh_that_finds_a_floor_above_the_generation_ends_sessions,
        rotation::the_newest_token_is_rotated,
        rotation::a_successor_does_not_outlive_the_session,
        rotation::the_parent_gets_the_same_successor_within_the_grace,
        rotation::the_parent_after_the_grace_ends_the_session,
        rotation::the_grace_counts_from_the_rotation_and_not_from_a_repeat,
        rotation::a_grandparent_ends_the_session_even_within_the_grace,
        rotation::reuse_ends_only_the_stolen_session,
        rotation::of_fifty_racing_rotations_one_wins_and_all_get_its_successor,
        rotation::a_logout_beats_a_concurrent_refresh,
        revocations::what_was_not_revoked_is_not_found,
        revocations::every_kind_is_found_until_it_expires,
        revocations::a_repeated_revocation_keeps_the_higher_floor_and_the_later_end,
        revocations::a_site_revocation_raises_the_sites_generation,
        revocations::a_site_generation_never_falls,
        revocations::purging_removes_only_what_expired,
        feed::what_was_recorded_before_is_sent_first,
        feed::what_expired_is_not_sent,
        feed::a_revocation_is_sent_before_the_next_contact,
        feed::revocations_come_in_order,
        feed::a_repeated_revocation_is_sent_again,
        feed::what_operations_revoke_is_sent,
        feed::contact_is_asked_later_each_time,
        feed::two_followers_see_the_same,
        feed::a_feed_ends_with_its_receiver,
        keys::a_site_has_no_keys_at_first,
        keys::a_key_reads_back_as_it_was_made,
        keys::the_first_key_of_an_algorithm_stays,
        keys::keys_of_two_algorithms_stand_side_by_side,
        keys::keys_of_two_sites_are_apart,
        keys::concurrent_first_keys_end_as_one,
        keys::a_revoked_key_leaves_its_site_and_makes_room_for_another,
        codes::a_code_is_used_up_by_a_right_guess,
        codes::no_code_is_guessed_where_none_was_kept,
        codes::a_code_is_dead_after_its_guesses,
        codes::of_two_hundred_guesses_at_once_five_are_judged,
        codes::of_two_hundred_right_guesses_at_once_one_is_right,
        codes::a_code_opens_nothing_but_what_it_is_for,
        codes::codes_of_two_purposes_stand_side_by_side,
        codes::an_expired_code_is_refused,
        codes::codes_of_one_address_live_side_by_side,
        codes::a_code_comes_with_its_mail,
        tries::a_window_counts_from_the_first_try,
        tries::a_rate_lets_a_burst_through_and_then_one_an_interval,
        tries::a_try_is_taken_from_all_counts_or_from_none,
        tries::a_try_given_back_or_forgotten_is_there_again,
        events::events_are_taken_as_they_were_recorded,
        events::a_taken_event_is_hidden_until_it_is_dropped,
        events::an_event_waits_for_ever,
        events::an_event_is_due_at_once_on_every_clock,
        mails::an_empty_queue_gives_nothing,
        mails::a_mail_is_taken_as_it_was_queued,
        mails::a_taken_mail_is_hidden_for_a_while,
        mails::the_longest_due_are_taken_first,
        mails::a_postponed_mail_is_due_again_then,
        mails::a_dropped_mail_is_gone,
        mails::an_expired_mail_is_never_given_out,
        mails::a_mail_queued_twice_waits_once,
        mails::a_full_queue_takes_no_more,
        mails::purging_removes_expired_mails_alone,
    }
    two {
        accounts::an_account_made_at_one_is_found_at_the_other,
        rotation::two_gateways_cannot_both_rotate,
        feed::a_revocation_at_one_is_sent_at_the_other,
        keys::two_gateways_end_with_the_same_key,
        codes::a_code_of_one_gateway_is_guessed_at_the_other,
        tries::of_two_hundred_tries_at_once_the_bound_is_taken,
        events::two_gateways_take_each_event_once,
        mails::two_gateways_take_each_mail_once,
    }
}
