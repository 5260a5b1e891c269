//! For tests: counting PCM, time-signal decoder, real processes, a proxy that cuts, a WebDriver client.
