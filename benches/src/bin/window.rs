//! The yardstick for the greeter: the least that can be called a GTK 4 window, an entry in it.

use gtk4::prelude::{ApplicationExt, ApplicationExtManual, GtkWindowExt};

fn main() -> gtk4::glib::ExitCode {
    let application = gtk4::Application::builder().flags(gtk4::gio::ApplicationFlags::NON_UNIQUE).build();
    application.connect_activate(|application| {
        let window = gtk4::ApplicationWindow::builder().application(application).title("bare").build();
        window.set_child(Some(&gtk4::Entry::new()));
        window.present();
    });
    application.run_with_args::<&str>(&[])
}
