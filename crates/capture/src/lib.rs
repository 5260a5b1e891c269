//! Sources and the uplink: audio on its way to the recorder.
