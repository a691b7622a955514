//! The yardstick for the greeter: the least that can be called a GTK 4 window, an entry in it.

use gtk4::glib;
use gtk4::prelude::GtkWindowExt;

fn main() -> Result<(), glib::BoolError> {
    gtk4::init()?;
    let window = gtk4::Window::builder().title("bare").build();
    window.set_child(Some(&gtk4::Entry::new()));
    window.present();
    glib::MainLoop::new(None, false).run();
    Ok(())
}
