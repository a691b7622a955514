//! What a greeter asks besides the login. Strictly one answer to one request.

use super::*;

fn choices() -> Policy {
    let item = |number| MenuItem { number, name: format!("item {number}") };
    let facts = greetd::Seat {
        servers: ["srv", "b", "c"].map(str::to_owned).to_vec(),
        menu: vec![item(0), item(3)],
        power: vec![Power::Reboot],
        ..greetd::Seat::default()
    };
    Policy { facts, layouts: 2, remember_user: true, ..policy() }
}

#[test]
fn servers_are_told_at_once_and_asked_for_when_what_is_known_is_old() {
    play_all(
        choices(),
        &[
            GREETING,
            "ask servers -> probe; servers srv:None:None b:None:None c:None:None
            ask servers -> servers srv:None:None b:None:None c:None:None
            told up b ->
            told down c ->
            # Nobody asked for that one.
            told up evil ->
            ask servers -> servers srv:None:None b:Some(true):Some(Low) c:Some(false):None
            told asked ->
            +9000 ask servers -> servers srv:None:None b:Some(true):Some(Low) c:Some(false):None
            +1500 ask servers -> probe; servers srv:None:None b:Some(true):Some(Low) c:Some(false):None
            told up c ->
            told asked ->
            ask servers -> servers srv:None:None b:Some(true):Some(Low) c:Some(true):Some(Low)",
        ],
    );
    play_all(policy(), &[GREETING, "ask servers -> servers"]);
}

#[test]
fn who_asks_is_said_with_the_question() {
    play_all(
        choices(),
        &[
            GREETING,
            CONNECTING,
            // The first does not answer.
            "w1 connected b -> login alice
            w1 info Welcome -> Info Welcome of b
            ask null -> answer null
            w1 secret Password: -> Secret Password: of b
            ask cancel -> drop-worker; success
            # A connection that was made ahead has died, and the next one leads elsewhere.
            ask prepare -> worker 2; success
            w2 connected c ->
            ask create alice -> login alice
            w2 lost -> drop-worker; worker 3
            w3 connected b -> login alice
            w3 secret Password: -> Secret Password: of b",
        ],
    );
    // Other greeters are told nothing that greetd does not know.
    play_all(
        choices(),
        &[
            "start -> start-display
            ready -> start-greeter",
            CONNECTING,
            "w1 connected b -> login alice
            w1 secret Password: -> Secret Password:",
        ],
    );
}

#[test]
fn another_server_is_used_from_the_next_connection_on() {
    play_all(
        choices(),
        &[
            GREETING,
            "ask server evil -> misuse not offered
            ask server b -> use b; success
            ask hello -> seat b None chosen b
            ask prepare -> worker 1; success
            # The same again: the connection that was made ahead leads there.
            w1 connected b ->
            ask server b -> use b; success
            # To another: that one is of no use.
            ask server c -> use c; drop-worker; worker 2; success
            # Not connected yet, and not to be.
            ask server b -> use b; drop-worker; worker 3; success
            w3 connected b ->
            ask create alice -> login alice
            ask server c -> log; close-link; drop-worker",
        ],
    );
    play_all(
        choices(),
        &[
            GREETING,
            "ask server b -> use b; success
            ask server -> use any; success
            ask hello -> seat srv None
            ask server b -> use b; success
            # Another greeter is told, too.
            greeter-exit -> log
            +1000 tick -> start-greeter
            ask hello -> seat b None chosen b
            ask create alice -> worker 1
            w1 connected b -> login alice
            w1 secret Password: -> Secret Password: of b
            ask server c -> misuse a session is already being configured
            ask answer x -> answer x",
            CHOOSING,
            STARTING,
            "w1 started -> remember alice
            # The next user has chosen none.
            w1 ended -> use any; drop-worker; stop-display
            display-exit -> start-display",
        ],
    );
}

#[test]
fn a_chosen_server_outlives_the_greeter_and_is_let_go_of() {
    play_all(
        choices(),
        &[
            GREETING,
            "# Nobody waits for one server alone that is not chosen any more, and a connection is a connection.
            ask server b -> use b; success
            ask prepare -> worker 1; success
            ask server -> use any; drop-worker; worker 2; success
            w2 connected c ->
            ask server -> use any; success
            ask server b -> use b; drop-worker; worker 3; success
            # It is still chosen for a greeter that comes after this one.
            greeter-exit -> log; drop-worker
            +200 tick -> start-greeter
            ask hello -> seat b None chosen b",
        ],
    );
}

#[test]
fn a_chosen_server_is_for_one_session_however_that_ends() {
    let chosen = "ask server b -> use b; success
        ask create alice -> worker 1
        w1 connected b -> login alice
        w1 secret Password: -> Secret Password: of b
        ask answer x -> answer x";
    let begun = [GREETING, chosen, CHOOSING, STARTING];
    let ran = [&begun[..], &["w1 started -> remember alice"]].concat();
    let lost = "w1 link-lost -> log; use any; drop-worker; stop-display";
    play_all(choices(), &[&ran[..], &[lost]].concat());
    play_all(choices(), &[&ran[..], &["display-exit -> log; use any; drop-worker; close-link"]].concat());
    // One that did not start is tried again there.
    play_all(choices(), &[&begun[..], &["w1 no-x11 -> log; drop-worker; stop-display"]].concat());
}

#[test]
fn commands_and_power_are_answered_when_they_have_been_done() {
    play_all(
        choices(),
        &[
            GREETING,
            "ask menu 1 -> misuse not offered
            ask menu 3 -> command 3
            told command -> success
            # Said twice, or by one who was given up.
            told command ->
            ask menu 0 -> command 0
            told command no such file -> log; error CommandFailed
            ask suspend -> misuse not offered
            ask reboot -> power Reboot
            told power confirm alice,bob -> confirm alice,bob
            ask reboot confirmed -> power Reboot confirmed
            told power failed no such unit -> log; error PowerFailed
            ask reboot -> power Reboot
            told power done -> success
            # A defect keeps no greeter waiting.
            ask reboot -> power Reboot
            told died -> error Internal
            told died ->",
        ],
    );
}

#[test]
fn who_does_not_wait_for_the_answer_breaks_the_protocol() {
    play_all(
        choices(),
        &[
            GREETING,
            "ask reboot -> power Reboot
            ask facts -> log; close-link
            told power done ->
            # Only giving up may come, and both are answered.
            ask menu 0 -> command 0
            ask cancel -> misuse cancelled; success
            told command ->
            # A greeter that went owes nothing to the next one.
            ask reboot -> power Reboot
            link-closed ->
            told power confirm alice ->
            ask facts -> facts None None None",
        ],
    );
}

#[test]
fn a_login_goes_on_beside_all_that() {
    play_all(
        choices(),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            "ask menu 0 -> command 0
            told command no -> log; error CommandFailed
            # The login was lost while the user was asked: that is the login's to tell, not the menu's.
            w1 lost -> log; drop-worker
            +3000 ask facts -> facts Some(\"srv\") Some((ConnectionLost, 3)) None
            ask answer x -> error ConnectionLost",
        ],
    );
}

#[test]
fn facts_tell_the_last_connection_failure_and_sound_test() {
    play_all(
        choices(),
        &[
            GREETING,
            "ask facts -> facts None None None
            ask sound-test -> tone; success
            ask sound-test -> success
            ask facts -> facts None None Playing
            told played ->
            ask facts -> facts None None Played",
            CONNECTING,
            ASKED,
            "ask answer x -> answer x
            # A typing error is nothing to call for help for.
            w1 denied -> drop-worker; auth-error Denied
            ask facts -> facts Some(\"srv\") None Played",
        ],
    );
}

#[test]
fn a_layout_is_one_of_those_that_there_are() {
    play_all(
        choices(),
        &[
            GREETING,
            "ask layout 1 -> layout 1; success\nask layout 2 -> misuse not offered\nask layout 255 -> misuse not offered",
        ],
    );
}

#[test]
fn who_logged_in_last_is_remembered_once_the_session_runs() {
    let starts = "ask run ldm-session xfce -> success
        greeter-exit -> session xfce remember";
    play_all(choices(), &[GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, starts, "w1 started -> remember alice"]);
    let quiet = Policy { remember_user: false, ..choices() };
    play_all(quiet, &[GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, starts, "w1 started ->"]);
    // Not one whose session did not start.
    let fails = "w1 too-short -> log; drop-worker; stop-display";
    play_all(choices(), &[GREETING, CONNECTING, ASKED, ANSWERED, CHOOSING, starts, fails]);
}

#[test]
fn a_greeter_that_is_about_to_go_asks_for_nothing_more() {
    play_all(
        choices(),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            ANSWERED,
            CHOOSING,
            "ask run ldm-session xfce -> success
            ask menu 0 -> misuse this is not the time for it
            ask reboot -> misuse this is not the time for it
            ask sound-test -> misuse this is not the time for it
            ask server b -> misuse a session is already being configured",
        ],
    );
}

#[test]
fn who_is_remembered_is_who_logged_in() {
    play_all(
        choices(),
        &[
            GREETING,
            CONNECTING,
            ASKED,
            "# A greeter that was taken over could leave a name that no later greeter can be told.
            ask create mallory -> misuse a session is already being configured",
            ANSWERED,
            CHOOSING,
            STARTING,
            "ask create mallory -> misuse this is not the time to log in
            w1 started -> remember alice",
        ],
    );
}
