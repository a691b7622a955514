use gtk4::prelude::*;
fn main() {
    gtk4::init().unwrap();
    let w = gtk4::Window::new();
    let b = gtk4::Box::new(gtk4::Orientation::Vertical, 4);
    b.append(&gtk4::Entry::new());
    b.append(&gtk4::Button::with_label("Log in"));
    w.set_child(Some(&b));
    w.present();
    gtk4::glib::MainLoop::new(None, false).run();
}
