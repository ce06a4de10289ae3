"""A logind that gives locks and says what happens to them; it is told on its standard input what to do."""

import os
import sys

import dbus
import dbus.bus
import dbus.lowlevel
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

PATH = "/org/freedesktop/login1"
MANAGER = "org.freedesktop.login1.Manager"
BUS = "org.freedesktop.DBus"


def say(text):
    print(text, flush=True)


class Logind(dbus.service.Object):
    @dbus.service.method(MANAGER, in_signature="ssss", out_signature="h", sender_keyword="sender")
    def Inhibit(self, what, who, why, mode, sender):
        end, lock = os.pipe()
        say(f"taken {what}|{who}|{why}|{mode} by {sender}")
        GLib.io_add_watch(end, GLib.PRIORITY_DEFAULT, GLib.IO_HUP, released)
        given = dbus.types.UnixFd(lock)
        os.close(lock)
        return given

    @dbus.service.signal(MANAGER, signature="b")
    def PrepareForSleep(self, sleeps):
        pass


def released(end, _condition):
    os.close(end)
    say("released")
    return False


def forge(holder):
    """What a stranger can send: to all, and to the holder of the lock."""
    stranger = dbus.bus.BusConnection(sys.argv[1])
    for destination in (None, holder):
        signals = [(PATH, MANAGER, "PrepareForSleep", "b", [True])]
        if destination:
            signals.append(("/org/freedesktop/DBus", BUS, "NameOwnerChanged", "sss", ["org.freedesktop.login1", "x", ""]))
        for path, interface, member, signature, arguments in signals:
            signal = dbus.lowlevel.SignalMessage(path, interface, member)
            signal.append(*arguments, signature=signature)
            if destination:
                signal.set_destination(destination)
            stranger.send_message(signal)
    # Once this is answered, the bus has passed on all before.
    stranger.call_blocking(BUS, "/org/freedesktop/DBus", BUS, "GetId", "", ())
    say("forged")


def ordered(_source, _condition):
    order = sys.stdin.readline().split()
    if not order:
        loop.quit()
        return False
    if order[0] == "forge":
        forge(order[1])
    else:
        logind.PrepareForSleep(order[0] == "sleep")
    return True


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection(sys.argv[1])
logind = Logind(bus, PATH)
name = dbus.service.BusName("org.freedesktop.login1", bus)
loop = GLib.MainLoop()
GLib.io_add_watch(0, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, ordered)
say("ready")
loop.run()
