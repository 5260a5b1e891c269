//! HTTP: views, ranges, live audio and the page. Takes nothing in.
