# Prints what assistive programs see of the greeter: one line a widget, its role, its name, its text, whether it has the
# keyboard, and its left edge in the window, tab-separated.
import pyatspi


def walk(widget):
    if widget is None:
        return
    try:
        interface = widget.queryText()
        # GTK 4.8 gives nothing for -1.
        text = interface.getText(0, interface.characterCount)
    except NotImplementedError:
        text = ""
    focused = "focused" if widget.getState().contains(pyatspi.STATE_FOCUSED) else ""
    try:
        left = str(widget.queryComponent().getExtents(pyatspi.WINDOW_COORDS).x)
    except NotImplementedError:
        left = "0"
    fields = [widget.getRoleName(), widget.name, text, focused, left]
    print("\t".join(field.replace("\t", " ").replace("\n", " ") for field in fields))
    for index in range(widget.childCount):
        walk(widget.getChildAtIndex(index))


try:
    walk(pyatspi.Registry.getDesktop(0))
except Exception as error:  # A window that goes while it is read.
    print("gone\t%s\t\t\t0" % type(error).__name__)
