//! A machine with sound cards that can be pulled out: a host for cpal around ALSA's. What cards hear is real; that one is
//! gone, is read too late or works in another way is said by this host.

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{
    Data, DeviceDescription, DeviceId, Error, ErrorKind, HostId, InputCallbackInfo, OutputCallbackInfo, SampleFormat,
    StreamConfig, StreamInstant, SupportedStreamConfig, SupportedStreamConfigRange,
};
use livetape_capture::sources::device::Cards;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::sleep;
use std::time::Duration;

/// What opening and starting a card take each, as those of real ones do.
const SLOW: Duration = Duration::from_millis(60);

/// The machine.
#[derive(Clone, Default)]
pub(crate) struct Machine(Arc<Mutex<Sockets>>);

#[derive(Default)]
struct Sockets {
    /// Cards that are plugged in, by their names.
    plugged: BTreeMap<String, Plugged>,
    /// The last stream of each.
    running: BTreeMap<String, Arc<Running>>,
}

#[derive(Clone)]
struct Plugged {
    /// ALSA's PCM behind it.
    pcm: String,
    /// It gives nothing else.
    only: SampleFormat,
    /// It cannot be opened.
    refuses: Option<ErrorKind>,
}

struct Running {
    gone: AtomicBool,
    /// Blocks that are lost.
    skip: AtomicU64,
    complain: Mutex<Box<dyn FnMut(Error) + Send>>,
    cost: Mutex<Cost>,
}

/// What callbacks did that they must not do, on the thread on which the host runs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// How often one ran: for audio, for errors.
    pub(crate) calls: (u64, u64),
    /// Allocations, and what is left of them: below zero if something was let go of.
    pub(crate) allocations: (u64, i64),
    /// Log lines, on whatever level.
    pub(crate) lines: u64,
    /// How often a processor was given away, to wait for something.
    pub(crate) waits: u64,
}

impl Cost {
    /// Runs a callback and counts what it does.
    fn count(&mut self, callback: impl FnOnce()) {
        let before = (waits(), LINES.get());
        let counted = allocation_counter::measure(callback);
        self.waits += waits() - before.0;
        self.lines += LINES.get() - before.1;
        self.allocations.0 += counted.count_total;
        self.allocations.1 += counted.count_current;
    }
}

/// How often this thread has given its processor away by itself.
fn waits() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

thread_local! {
    /// Log lines of this thread.
    static LINES: Cell<u64> = const { Cell::new(0) };
}

/// Log lines of this thread so far.
pub(crate) fn lines() -> u64 {
    LINES.get()
}

/// What was said on all threads.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How often something like this was said, on any thread.
pub(crate) fn said(part: &str) -> usize {
    SAID.lock().unwrap().iter().filter(|line| line.contains(part)).count()
}

/// A log that counts its lines, and keeps them.
pub(crate) struct Lines;

impl tracing::field::Visit for Lines {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            SAID.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        LINES.set(LINES.get() + 1);
        event.record(&mut Lines);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

impl Machine {
    /// Where the source looks for cards.
    pub(crate) fn cards(&self) -> Cards {
        let machine = self.clone();
        Cards::of(move || Ok(cpal::Host::from(cpal::platform::CustomHost::from_host(machine.clone()))))
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.0.lock().unwrap()
    }

    /// A card is plugged in, or becomes another one.
    pub(crate) fn plug(&self, card: &str, pcm: &str, only: SampleFormat) {
        self.plug_in(card, pcm, only, None);
    }

    /// A card is plugged in that cannot be opened.
    pub(crate) fn plug_in(&self, card: &str, pcm: &str, only: SampleFormat, refuses: Option<ErrorKind>) {
        self.sockets().plugged.insert(card.into(), Plugged { pcm: pcm.into(), only, refuses });
    }

    /// A card cannot be opened.
    pub(crate) fn refuse(&self, card: &str, with: ErrorKind) {
        self.sockets().plugged.get_mut(card).unwrap().refuses = Some(with);
    }

    /// Whether a card was opened and has not been stopped.
    pub(crate) fn is_running(&self, card: &str) -> bool {
        self.sockets().running.contains_key(card)
    }

    /// A card is pulled out.
    pub(crate) fn unplug(&self, card: &str) {
        self.sockets().plugged.remove(card);
        self.stop(card, ErrorKind::DeviceNotAvailable);
    }

    /// The stream of a card ends with this error.
    pub(crate) fn stop(&self, card: &str, error: ErrorKind) {
        let running = self.sockets().running.remove(card).unwrap();
        running.gone.store(true, Ordering::Release);
        running.complain(error.into());
    }

    /// A card says that something went wrong.
    pub(crate) fn complain(&self, card: &str, error: Error) {
        let running = Arc::clone(&self.sockets().running[card]);
        running.complain(error);
    }

    /// What the callbacks of a card's stream have cost so far.
    pub(crate) fn cost(&self, card: &str) -> Cost {
        *self.sockets().running[card].cost.lock().unwrap()
    }

    /// A card was not read for so many blocks.
    pub(crate) fn overrun(&self, card: &str, blocks: u64) {
        let running = Arc::clone(&self.sockets().running[card]);
        running.skip.store(blocks, Ordering::Release);
        running.complain(ErrorKind::Xrun.into());
    }
}

impl Running {
    fn complain(&self, error: Error) {
        let mut cost = self.cost.lock().unwrap();
        cost.calls.1 += 1;
        let mut complain = self.complain.lock().unwrap();
        cost.count(|| complain(error));
    }
}

impl HostTrait for Machine {
    type Devices = std::vec::IntoIter<Card>;
    type Device = Card;

    fn is_available() -> bool {
        true
    }

    fn devices(&self) -> Result<Self::Devices, Error> {
        let alsa = cpal::host_from_id(HostId::Alsa)?;
        let plugged = self.sockets().plugged.clone();
        let card = |(name, plugged): (String, Plugged)| {
            let same = |device: &cpal::Device| device.id().is_ok_and(|id| id.id() == plugged.pcm);
            let inner = alsa.devices().ok()?.find(same)?;
            Some(Card { name, plugged, inner, machine: self.clone() })
        };
        Ok(plugged.into_iter().filter_map(card).collect::<Vec<_>>().into_iter())
    }

    fn default_input_device(&self) -> Option<Card> {
        self.devices().ok()?.next()
    }

    fn default_output_device(&self) -> Option<Card> {
        None
    }
}

#[derive(Clone)]
pub(crate) struct Card {
    name: String,
    plugged: Plugged,
    inner: cpal::Device,
    machine: Machine,
}

impl DeviceTrait for Card {
    type SupportedInputConfigs = std::vec::IntoIter<SupportedStreamConfigRange>;
    type SupportedOutputConfigs = std::vec::IntoIter<SupportedStreamConfigRange>;
    type Stream = Stream;

    fn description(&self) -> Result<DeviceDescription, Error> {
        self.inner.description()
    }

    fn id(&self) -> Result<DeviceId, Error> {
        Ok(DeviceId::new(HostId::Custom, &self.name))
    }

    fn supported_input_configs(&self) -> Result<Self::SupportedInputConfigs, Error> {
        let configs = self.inner.supported_input_configs()?;
        let own =
            |config: &SupportedStreamConfigRange| config.sample_format() == self.plugged.only && config.channels() == 2;
        Ok(configs.filter(own).collect::<Vec<_>>().into_iter())
    }

    fn supported_output_configs(&self) -> Result<Self::SupportedOutputConfigs, Error> {
        Ok(Vec::new().into_iter())
    }

    fn default_input_config(&self) -> Result<SupportedStreamConfig, Error> {
        self.inner.default_input_config()
    }

    fn default_output_config(&self) -> Result<SupportedStreamConfig, Error> {
        Err(ErrorKind::UnsupportedOperation.into())
    }

    fn build_input_stream_raw<D, E>(
        &self,
        config: StreamConfig,
        format: SampleFormat,
        mut on_data: D,
        on_error: E,
        timeout: Option<Duration>,
    ) -> Result<Stream, Error>
    where
        D: FnMut(&Data, &InputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        if let Some(kind) = self.plugged.refuses {
            return Err(kind.into());
        }
        sleep(SLOW);
        let complain = Mutex::new(Box::new(on_error) as Box<dyn FnMut(Error) + Send>);
        let (gone, skip, cost) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::default());
        let running = Arc::new(Running { gone, skip, complain, cost });
        let (state, errors) = (Arc::clone(&running), Arc::clone(&running));
        let on_data = move |data: &Data, info: &InputCallbackInfo| {
            let less = |skip: u64| skip.checked_sub(1);
            let skipped = state.skip.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok();
            if !skipped && !state.gone.load(Ordering::Acquire) {
                let mut cost = state.cost.lock().unwrap();
                cost.calls.0 += 1;
                cost.count(|| on_data(data, info));
            }
        };
        let on_error = move |error| errors.complain(error);
        let stream = self.inner.build_input_stream_raw(config, format, on_data, on_error, timeout)?;
        self.machine.sockets().running.insert(self.name.clone(), running);
        Ok(Stream(stream))
    }

    fn build_output_stream_raw<D, E>(
        &self,
        _: StreamConfig,
        _: SampleFormat,
        _: D,
        _: E,
        _: Option<Duration>,
    ) -> Result<Stream, Error>
    where
        D: FnMut(&mut Data, &OutputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        Err(ErrorKind::UnsupportedOperation.into())
    }
}

impl PartialEq for Card {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Card {}

impl Hash for Card {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

pub(crate) struct Stream(cpal::Stream);

impl StreamTrait for Stream {
    fn play(&self) -> Result<(), Error> {
        sleep(SLOW);
        self.0.play()
    }

    fn pause(&self) -> Result<(), Error> {
        self.0.pause()
    }

    fn buffer_size(&self) -> Result<cpal::FrameCount, Error> {
        self.0.buffer_size()
    }

    fn now(&self) -> StreamInstant {
        self.0.now()
    }
}
