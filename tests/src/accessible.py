# Prints what assistive programs see of the greeter: one line a widget, its role, its name and its text, tab-separated.
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
    fields = [widget.getRoleName(), widget.name, text, focused]
    print("\t".join(field.replace("\t", " ").replace("\n", " ") for field in fields))
    for index in range(widget.childCount):
        walk(widget.getChildAtIndex(index))


try:
    walk(pyatspi.Registry.getDesktop(0))
except Exception as error:  # A window that goes while it is read.
    print("gone\t%s\t\t" % type(error).__name__)
