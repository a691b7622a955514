# What an assistive program does: looks at the greeter's widgets, uses them, and hears what they announce. Nothing else: no
# pointer, no key, no pixel. One command a run:
#
#   tree                     every widget that is shown, one JSON object a line
#   press NAME               the first action of a button
#   write NAME TEXT          the text of an entry
#   select NAME              the list's child of this name
#   hear                     what is announced, one JSON object a line, until it is killed
import json
import sys

import pyatspi


def states(widget):
    return sorted(pyatspi.stateToString(state) for state in widget.getState().getStates())


def actions(widget):
    try:
        interface = widget.queryAction()
        return [interface.getName(index) for index in range(interface.nActions)]
    except NotImplementedError:
        return []


def text(widget):
    try:
        interface = widget.queryText()
        # GTK 4.8 gives nothing for -1.
        return interface.getText(0, interface.characterCount)
    except NotImplementedError:
        return ""


def extents(widget):
    try:
        area = widget.queryComponent().getExtents(pyatspi.WINDOW_COORDS)
        return [area.x, area.y, area.width, area.height]
    except NotImplementedError:
        return [0, 0, 0, 0]


# What is in a menu is a list item.
PRESSED = (pyatspi.ROLE_PUSH_BUTTON, pyatspi.ROLE_TOGGLE_BUTTON, pyatspi.ROLE_CHECK_BOX, pyatspi.ROLE_LIST_ITEM)


def labels(widget):
    """What is read on a button or a row; what a menu's button opens is in it, and is others'."""
    if widget.getRole() not in PRESSED:
        return []
    found = []
    waiting = [widget]
    while waiting:
        for child in [one for one in waiting.pop() if one is not None]:
            if child.getState().contains(pyatspi.STATE_FOCUSABLE):
                continue
            if child.getRole() == pyatspi.ROLE_LABEL and child.getState().contains(pyatspi.STATE_VISIBLE):
                found.append(child.name)
            waiting.append(child)
    return found


def describe(widget):
    return {
        "role": widget.getRoleName(),
        "name": widget.name,
        "description": widget.description,
        "text": text(widget),
        "labels": labels(widget),
        "states": states(widget),
        "actions": actions(widget),
        "extents": extents(widget),
    }


def walk(widget):
    if widget is None:
        return
    yield widget
    for index in range(widget.childCount):
        yield from walk(widget.getChildAtIndex(index))


def widgets():
    for index in range(pyatspi.Registry.getDesktop(0).childCount):
        yield from walk(pyatspi.Registry.getDesktop(0).getChildAtIndex(index))


def find(name, fits):
    for widget in widgets():
        if name in widget.name and fits(widget):
            return widget
    sys.exit("there is no such widget: %s" % name)


def usable(widget):
    found = widget.getState()
    return found.contains(pyatspi.STATE_SENSITIVE) and found.contains(pyatspi.STATE_VISIBLE)


def hear(event):
    try:
        source = event.source
        line = {"event": str(event.type), "detail": event.detail1, "data": str(event.any_data)}
        line.update(role=source.getRoleName(), name=source.name, description=source.description, text=text(source))
        if source.getRole() == pyatspi.ROLE_PASSWORD_TEXT:
            # GTK 4.8 tells what is typed there; the lab's logs must not.
            line.update(data="*", text="*")
    except Exception as error:  # What goes while it is looked at.
        line = {"event": str(event.type), "gone": type(error).__name__}
    print(json.dumps(line), flush=True)


def main():
    command, rest = sys.argv[1], sys.argv[2:]
    if command == "tree":
        for widget in widgets():
            print(json.dumps(describe(widget)))
    elif command == "press":
        widget = find(rest[0], lambda widget: usable(widget) and widget.getRole() in PRESSED and actions(widget))
        widget.queryAction().doAction(0)
    elif command == "write":
        entries = (pyatspi.ROLE_TEXT, pyatspi.ROLE_PASSWORD_TEXT, pyatspi.ROLE_ENTRY)
        widget = find(rest[0], lambda widget: usable(widget) and widget.getRole() in entries)
        widget.queryEditableText().setTextContents(rest[1])
    elif command == "select":
        for widget in widgets():
            if widget.getRole() != pyatspi.ROLE_LIST:
                continue
            for index in range(widget.childCount):
                names = [child.name for child in walk(widget.getChildAtIndex(index))]
                if any(rest[0] in name for name in names):
                    widget.querySelection().selectChild(index)
                    return
        sys.exit("there is no such choice: %s" % rest[0])
    elif command == "hear":
        for kind in (
            "object:state-changed",
            "object:text-changed",
            "object:property-change",
            "object:children-changed",
            "object:announcement",
            "focus",
            "window",
        ):
            pyatspi.Registry.registerEventListener(hear, kind)
        print(json.dumps({"event": "listening"}), flush=True)
        pyatspi.Registry.start()


main()
