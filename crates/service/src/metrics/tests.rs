use super::*;

#[test]
fn everything_is_shown() {
    let metrics = Metrics::default();
    let frames = metrics.counter("livetape_test_frames_total", "Frames.").unwrap();
    let refused = metrics.counters("livetape_test_refused_total", "Refused.", ["kind"]).unwrap();
    let open = metrics.gauge("livetape_test_open", "Open.").unwrap();
    let kinds = metrics.gauges("livetape_test_listeners", "Listeners.", ["kind"]).unwrap();
    let wait = metrics.histogram("livetape_test_wait_seconds", "Waits.", &[0.1, 1.0]).unwrap();
    metrics.reading("livetape_test_read_total", "Read.", "stream", || vec![("a\"b\n".into(), 7.0)]).unwrap();
    metrics.reading("livetape_test_waiting", "Waits.", "stream", Vec::new).unwrap();
    metrics.value("livetape_test_single", "One.", || 2.5).unwrap();
    let other = Metrics::default();
    other.counter("livetape_other_total", "Another role's.").unwrap().inc();
    metrics.include(other);

    frames.inc_by(960);
    refused.with(["hole"]).inc();
    refused.with(["hole"]).inc();
    refused.with(["gone"]).inc();
    refused.forget(["gone"]);
    let one = Held::new(&open);
    drop(Held::new(&open));
    kinds.with(["live"]).set(3);
    wait.observe(0.5);

    let text = metrics.text();
    for line in [
        "# TYPE livetape_test_frames_total counter",
        "livetape_test_frames_total 960",
        "livetape_test_refused_total{kind=\"hole\"} 2",
        "livetape_test_open 1",
        "livetape_test_listeners{kind=\"live\"} 3",
        "livetape_test_wait_seconds_bucket{le=\"0.1\"} 0",
        "livetape_test_wait_seconds_bucket{le=\"+Inf\"} 1",
        "livetape_test_wait_seconds_sum 0.5",
        "# TYPE livetape_test_read_total counter",
        "livetape_test_read_total{stream=\"a\\\"b\\n\"} 7",
        "livetape_test_single 2.5",
        "livetape_other_total 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("gone") && !text.contains("livetape_test_waiting"), "{text}");
    drop(one);
    assert!(metrics.text().contains("livetape_test_open 0\n"));
}

#[test]
fn what_cannot_be_declared_is_said() {
    let metrics = Metrics::default();
    metrics.counter("livetape_test_total", "Once.").unwrap();
    let twice = metrics.counter("livetape_test_total", "Twice.").unwrap_err();
    assert!(twice.to_string().starts_with("metric livetape_test_total: "), "{twice}");
    assert!(metrics.gauge("not a name", "Bad.").is_err());
    assert!(metrics.gauges("livetape_test", "Bad.", ["a b"]).is_err());
    assert!(metrics.histogram("livetape_test_seconds", "Bad.", &[1.0, 0.5]).is_err());
    assert!(metrics.reading("a b", "Bad.", "stream", Vec::new).is_err());
}
