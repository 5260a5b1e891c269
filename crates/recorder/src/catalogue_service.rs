//! `livetape.v1.CatalogueService`: what there is, and what changes about it.

use crate::archive::Archive;
use crate::describe;
use crate::gate;
use crate::lookup::{self, blocking, unread};
use crate::outlet::{Answers, Outlet, Outlets};
use crate::status;
use crate::stream::Shared;
use livetape_access::Caller;
use livetape_audio::{Generation, NameError, StreamName, WallTime};
use livetape_proto::v1::watch_catalogue_response::Change;
use livetape_proto::v1::{self, WatchCatalogueResponse};
use livetape_store::{Kept, Query, TimelineFollower};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use tonic::{Request, Response, Status};

/// Most bytes of a page: what clients take unless they are told otherwise is four times that.
const PAGE_BYTES: usize = 1 << 20;
/// Timelines that are kept between requests: growing ones are read on, not anew.
const TIMELINES: usize = 64;
/// Recordings that a watcher is told of from one look at the catalogue.
const PAGE: usize = 256;

pub(crate) struct Catalogues {
    shared: Arc<Shared>,
    outlets: Outlets,
    timelines: Kept<Mutex<TimelineFollower>>,
}

impl Catalogues {
    pub(crate) fn new(shared: Arc<Shared>, outlets: Outlets) -> Self {
        Self { shared, outlets, timelines: Kept::new(TIMELINES) }
    }

    /// Streams that the caller may hear, in the order of names.
    fn names(&self, caller: &Caller, mut after: Option<StreamName>, limit: usize) -> Vec<StreamName> {
        let mut seen = Vec::new();
        loop {
            let page = self.shared.archive.all.streams_after(after.as_ref(), limit);
            let is_last = page.len() < limit;
            after = page.last().cloned();
            seen.extend(page.into_iter().filter(|name| caller.sees(name)));
            if is_last || seen.len() >= limit {
                return seen;
            }
        }
    }
}

/// A field that may be left empty.
fn maybe<T: FromStr<Err = NameError>>(field: &str, text: &str) -> Result<Option<T>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|e: NameError| status::invalid(field, e.to_string()))
}

/// A page's length: what was asked for, within limits.
fn limit(asked: u32, usual: u32, most: u32) -> Result<usize, Status> {
    match asked {
        0 => Ok(usual as usize),
        n if n <= most => Ok(n as usize),
        n => Err(status::invalid("limit", format!("limit {n}: at most {most} come in one page"))),
    }
}

/// What fits into a page, but at least one; and whether that is not all.
fn page<T: prost::Message>(items: impl Iterator<Item = T>, limit: usize) -> (Vec<T>, bool) {
    let (mut page, mut bytes) = (Vec::new(), 0);
    for item in items {
        bytes += item.encoded_len() + 8;
        if page.len() == limit || (bytes > PAGE_BYTES && !page.is_empty()) {
            return (page, true);
        }
        page.push(item);
    }
    (page, false)
}

#[tonic::async_trait]
impl v1::catalogue_service_server::CatalogueService for Catalogues {
    type WatchCatalogueStream = Answers<WatchCatalogueResponse>;

    async fn list_streams(
        &self,
        request: Request<v1::ListStreamsRequest>,
    ) -> Result<Response<v1::ListStreamsResponse>, Status> {
        let caller = gate::caller(request.extensions())?;
        let request = request.into_inner();
        let limit = limit(request.limit, 100, 1000)?;
        let after = maybe("after", &request.after)?;
        // One more than asked for tells whether that is all.
        let all = &self.shared.archive.all;
        let names = self.names(&caller, after, limit + 1);
        let describe = |name| describe::stream(name, all.info(name), all.latest(name).as_deref());
        let (streams, more) = page(names.iter().map(describe), limit);
        let next = streams.last().filter(|_| more).map(|stream| stream.name.clone());
        Ok(Response::new(v1::ListStreamsResponse { streams, next }))
    }

    async fn list_recordings(
        &self,
        request: Request<v1::ListRecordingsRequest>,
    ) -> Result<Response<v1::ListRecordingsResponse>, Status> {
        let caller = gate::caller(request.extensions())?;
        let request = request.into_inner();
        let query = Query {
            stream: maybe("stream", &request.stream)?,
            from: request.from_unix_ns.map(WallTime::from_unix_nanos),
            to: request.to_unix_ns.map(WallTime::from_unix_nanos),
            after: maybe("after_id", request.after_id.as_deref().unwrap_or_default())?,
            limit: limit(request.limit, 100, 1000)?,
        };
        let found = self.shared.archive.all.list_of(&query, |stream| caller.sees(stream));
        let described = found.recordings.iter().map(|recording| describe::recording(recording));
        let (recordings, more) = page(described, query.limit);
        let last = recordings.last().filter(|_| more).map(|recording| recording.id.clone());
        let next = last.or_else(|| found.next.map(Into::into));
        Ok(Response::new(v1::ListRecordingsResponse { recordings, next }))
    }

    async fn get_recording(
        &self,
        request: Request<v1::GetRecordingRequest>,
    ) -> Result<Response<v1::GetRecordingResponse>, Status> {
        let caller = gate::caller(request.extensions())?;
        let recording = lookup::recording(&self.shared, &caller, &request.into_inner().recording_id)?;
        let tail = lookup::tail(&self.shared, recording.id)?;
        let tail = Some((recording.id, tail).into());
        Ok(Response::new(v1::GetRecordingResponse { recording: Some(describe::recording(&recording)), tail }))
    }

    async fn list_timeline(
        &self,
        request: Request<v1::ListTimelineRequest>,
    ) -> Result<Response<v1::ListTimelineResponse>, Status> {
        let caller = gate::caller(request.extensions())?;
        let request = request.into_inner();
        let limit = limit(request.limit, 1000, 5000)?;
        let after = usize::try_from(request.after).unwrap_or(usize::MAX);
        let recording = lookup::recording(&self.shared, &caller, &request.recording_id)?;
        let tail = lookup::tail(&self.shared, recording.id)?;
        let begin = || Mutex::new(TimelineFollower::open(&self.shared.dir, &recording));
        let kept = self.timelines.open(recording.id, begin);
        let read = blocking(move || {
            // Whatever broke off a reading, the next one goes on after the last entry that it took in.
            let mut follower = kept.lock().unwrap_or_else(PoisonError::into_inner);
            follower.refresh(&tail).map(|()| follower.shared())
        });
        let timeline = read.await?.map_err(|error| unread(recording.id, &error))?;
        let rest = timeline.entries().get(after..).unwrap_or_default();
        let (entries, more) = page(rest.iter().cloned().map(v1::Entry::from), limit);
        let next = more.then(|| request.after.saturating_add(entries.len() as u64));
        Ok(Response::new(v1::ListTimelineResponse { entries, next }))
    }

    async fn watch_catalogue(
        &self,
        request: Request<v1::WatchCatalogueRequest>,
    ) -> Result<Response<Self::WatchCatalogueStream>, Status> {
        let caller = gate::caller(request.extensions())?;
        let right = gate::right(&caller, None)?;
        let (archive, generation) = (Arc::clone(&self.shared.archive), self.shared.dir.generation());
        let sees = move |stream: &StreamName| caller.sees(stream);
        let watch = |outlet| watch(archive, generation, sees, outlet);
        self.outlets.answer(request.metadata(), request.extensions(), right, watch)
    }
}

async fn watch(
    archive: Arc<Archive>,
    generation: Generation,
    sees: impl Fn(&StreamName) -> bool,
    outlet: Outlet<WatchCatalogueResponse>,
) -> Result<(), Status> {
    loop {
        let (mut seen, mut streams_seen) = (archive.changes.now(), archive.stream_changes.now());
        say(&outlet, Change::Begins(v1::CatalogueBegins { generation: generation.0 })).await?;
        everything(&archive, &sees, &outlet).await?;
        say(&outlet, Change::Complete(v1::CatalogueComplete {})).await?;
        // A watcher that was too slow for the changes gets everything anew.
        while let (Ok((ids, now)), Ok((names, streams_now))) =
            (archive.changes.since(seen), archive.stream_changes.since(streams_seen))
        {
            for name in names.into_iter().filter(|name| sees(name)) {
                say(&outlet, Change::Stream(describe::stream(&name, archive.all.info(&name), None))).await?;
            }
            for id in ids {
                match archive.get(id) {
                    Some(recording) if !sees(&recording.stream) => {}
                    Some(recording) => say(&outlet, Change::Recording(describe::recording(&recording))).await?,
                    // Whose it was nobody knows any more: an id tells nothing.
                    None => say(&outlet, Change::RemovedRecordingId(id.into())).await?,
                }
            }
            (seen, streams_seen) = (now, streams_now);
            tokio::select! {
                () = archive.changes.after(seen) => {}
                () = archive.stream_changes.after(streams_seen) => {}
            }
        }
    }
}

/// All that there is, page by page: what is added behind the place that was reached comes as a change, if not here.
async fn everything(
    archive: &Archive,
    sees: &impl Fn(&StreamName) -> bool,
    outlet: &Outlet<WatchCatalogueResponse>,
) -> Result<(), Status> {
    for (name, info) in archive.all.infos().into_iter().filter(|(name, _)| sees(name)) {
        say(outlet, Change::Stream(describe::stream(&name, info, None))).await?;
    }
    let mut query = Query { limit: PAGE, ..Query::default() };
    loop {
        let page = archive.all.list(&query);
        for recording in page.recordings.iter().filter(|recording| sees(&recording.stream)) {
            say(outlet, Change::Recording(describe::recording(recording))).await?;
        }
        query.after = page.next;
        if query.after.is_none() {
            return Ok(());
        }
    }
}

async fn say(outlet: &Outlet<WatchCatalogueResponse>, change: Change) -> Result<(), Status> {
    outlet.send(WatchCatalogueResponse { change: Some(change) }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::Changes;
    use crate::gate::Right;
    use crate::metrics::Instruments;
    use futures::StreamExt;
    use livetape_audio::{Epoch, FrameCount, Instance, RecordingId, SampleFormat, Spec};
    use livetape_store::Recording;
    use std::collections::BTreeMap;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;
    use tonic::Extensions;
    use tonic::metadata::MetadataMap;

    fn recording(n: u64, title: &str) -> Recording {
        Recording {
            id: RecordingId::new(n, &[1; 10]),
            stream: "a".parse().unwrap(),
            spec: Spec::new(SampleFormat::S16, 8_000, 1).unwrap(),
            source: "test".parse().unwrap(),
            title: title.parse().unwrap(),
            started: WallTime::default(),
            epoch: Epoch(1),
            instance: Instance::default(),
            segment_frames: FrameCount::new(1),
            seal: None,
            notes: Default::default(),
            locked: false,
            titled: false,
            genre: Default::default(),
        }
    }

    type Known = BTreeMap<String, String>;

    /// Takes in changes until it knows enough. How often everything began anew.
    async fn read(
        answers: &mut Answers<WatchCatalogueResponse>,
        known: &mut Known,
        enough: impl Fn(&Known) -> bool,
    ) -> usize {
        let mut begun = 0;
        while !enough(known) {
            let answer = tokio::time::timeout(Duration::from_secs(20), answers.next()).await;
            match answer.expect("in time").unwrap().unwrap().change.unwrap() {
                Change::Begins(_) => {
                    begun += 1;
                    known.clear();
                }
                Change::Complete(_) => {}
                Change::Recording(recording) => _ = known.insert(recording.id, recording.title),
                Change::RemovedRecordingId(id) => _ = known.remove(&id),
                Change::Stream(_) => {}
            }
        }
        begun
    }

    #[tokio::test]
    async fn a_watcher_that_lags_knows_everything_all_the_same() {
        let archive = Arc::new(Archive { changes: Changes::keeping(4), ..Archive::default() });
        (0..600).for_each(|n| archive.insert(recording(n, "first")));
        let (instruments, stall) = (Arc::new(Instruments::new().unwrap()), Duration::from_secs(60));
        let outlets = Outlets::new(TaskTracker::new(), CancellationToken::new(), stall, instruments);
        let (watched, mut known) = (Arc::clone(&archive), Known::new());
        let watch = |outlet| watch(watched, Generation(1), |_| true, outlet);
        let answers = outlets.answer(&MetadataMap::new(), &Extensions::new(), Right::lasting(), watch);
        let mut answers = answers.unwrap().into_inner();
        assert_eq!(read(&mut answers, &mut known, |known| known.len() == 600).await, 1);
        // Not too far behind: just the changes, and of each recording the last.
        (0..100).for_each(|n| archive.insert(recording(n % 3, &n.to_string())));
        let news = |known: &Known| known.values().filter(|title| *title != "first").cloned().collect::<Vec<_>>();
        assert_eq!(read(&mut answers, &mut known, |known| news(known) == ["99", "97", "98"]).await, 0);
        // Too far behind: everything anew, without what went meanwhile.
        (0..100).for_each(|n| archive.remove(recording(n, "").id));
        archive.insert(recording(700, "last"));
        let due = (100..600).map(|n| (n, "first")).chain([(700, "last")]);
        let due: Known = due.map(|(n, title)| (recording(n, "").id.to_string(), title.to_owned())).collect();
        assert!(read(&mut answers, &mut known, |known| *known == due).await >= 1);
    }
}
