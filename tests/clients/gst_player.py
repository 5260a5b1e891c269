"""Plays an address with playbin3 into a pipe; seeks to each number of seconds that it reads; says how that went, and what is played."""
import sys
import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

Gst.init(None)
url, pipe = sys.argv[1:]
loop = GLib.MainLoop()
play = Gst.ElementFactory.make("playbin3")
play.props.uri = url
play.props.audio_sink = Gst.parse_bin_from_description(
    "audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! filesink sync=true buffer-mode=2"
    f" location={pipe}",
    True,
)


def say(text):
    print(text, flush=True)


def seek(source, _):
    line = source.readline()
    if not line:
        loop.quit()
        return False
    query = Gst.Query.new_seeking(Gst.Format.TIME)
    if not play.query(query) or not query.parse_seeking()[1]:
        say("not seekable")
    else:
        flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
        done = play.seek_simple(Gst.Format.TIME, flags, int(float(line) * Gst.SECOND))
        say("sought" if done else "refused")
    return True


def message(_, what):
    if what.type == Gst.MessageType.EOS:
        say("ended")
    elif what.type == Gst.MessageType.TAG:
        found, title = what.parse_tag().get_string(Gst.TAG_TITLE)
        if found:
            say(f"title {title}")
    elif what.type == Gst.MessageType.ERROR:
        say(f"error {what.parse_error()}")


GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, seek)
bus = play.get_bus()
bus.add_signal_watch()
bus.connect("message", message)
play.set_state(Gst.State.PLAYING)
loop.run()
