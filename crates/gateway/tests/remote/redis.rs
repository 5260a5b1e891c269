//! Tails through Redis, and what happens without it.

use crate::conformance::{config, until};
use crate::recorder::Recorder;
use livetape_audio::{Durable, Frame, Generation, Tail};
use livetape_gateway::{Reading, Remote, RemoteConfig};
use livetape_tail::Publisher;
use livetape_tail::redis::{RedisConfig, RedisPublisher};
use livetape_testkit::redis::RedisServer;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn tails_come_by_whichever_way_works() {
    let server = tokio::task::block_in_place(RedisServer::start).unwrap();
    let redis = RedisConfig::parse(&server.url()).unwrap();
    let mut recorder = Recorder::new();
    let desk = recorder.desk.clone();
    let id = desk.record("live");
    desk.play(id, 100);
    let publisher = RedisPublisher::start(redis.clone());
    let generation = desk.data.generation();
    let told = |end: u64| publisher.publish(id, Tail::open(Durable(Frame::new(end)), generation));
    told(100);
    let remote = RemoteConfig { redis: Some(redis), ..config(&recorder, Reading::Dir(recorder.folder())) };
    let remote = Arc::new(Remote::new(remote).unwrap());
    let following = tokio::spawn({
        let remote = remote.clone();
        async move { remote.follow().await }
    });
    remote.known().await;
    let library = remote.library();
    let end = || library.tail(id).map(|mut tail| tail.current().end.get());
    assert_eq!(end(), Some(100));
    // The recorder's calls are broken, and Redis still tells.
    recorder.stop();
    desk.play(id, 100);
    told(200);
    until("what Redis tells", || (end() == Some(200)).then_some(())).await;
    // Redis is gone, and the recorder tells.
    tokio::task::block_in_place(|| server.kill()).unwrap();
    recorder.start();
    desk.play(id, 100);
    until("what the recorder tells", || (end() == Some(300)).then_some(())).await;
    // A recorder of a run before, whose word comes late, is not believed.
    desk.tails.publish(id, Tail::open(Durable(Frame::new(1_000)), Generation(0)));
    desk.play(id, 1);
    until("the next", || (end() == Some(301)).then_some(())).await;
    following.abort();
}
