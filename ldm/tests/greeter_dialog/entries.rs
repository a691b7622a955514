//! What GTK's entries can do by themselves, and may not do at a login.

use super::*;

#[test]
fn a_password_that_was_seen_is_neither_pasted_nor_brought_back() {
    let Some(mut lab) = Lab::greeted() else { return };
    lab.name("carol");
    for take in ["ctrl+c", "ctrl+Insert", "ctrl+x", "shift+Delete"] {
        lab.asks(AuthMessageType::Secret, "Password: ");
        lab.type_text("s3cret");
        for key in ["F8", "ctrl+a", take, "Return"] {
            lab.key(key);
        }
        assert_eq!(lab.hear_answer().as_deref(), Some("s3cret"), "{take}");
        lab.asks(AuthMessageType::Visible, "Code: ");
        for key in ["ctrl+v", "Return"] {
            lab.key(key);
        }
        assert_eq!(lab.hear_answer().as_deref(), Some(""), "{take}");
    }
    lab.asks(AuthMessageType::Secret, "Password: ");
    lab.key("F8");
    lab.type_text("s3cret");
    for key in ["ctrl+a", "BackSpace", "ctrl+z", "Return"] {
        lab.key(key);
    }
    assert_eq!(lab.hear_answer().as_deref(), Some(""));
    // A code that can be seen can be copied, and pasted where it is not.
    lab.asks(AuthMessageType::Visible, "Code: ");
    lab.type_text("123");
    for key in ["ctrl+a", "ctrl+c", "Return"] {
        lab.key(key);
    }
    assert_eq!(lab.hear_answer().as_deref(), Some("123"));
    lab.asks(AuthMessageType::Secret, "The same again: ");
    for key in ["ctrl+v", "Return"] {
        lab.key(key);
    }
    assert_eq!(lab.hear_answer().as_deref(), Some("123"));
}
