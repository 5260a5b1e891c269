//! How audio is delivered: as it was recorded, in a container, or compressed. Which renditions there are, and which one an
//! address means. Pure.

use crate::problem::Problem;
use livetape_audio::{Container, Spec};
use livetape_codec::encode::{Codec, EncodeError, Encoding, Flac, Pick};
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// What the extension of an address says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As it was recorded.
    Pcm(Container),
    /// Compressed, in packets of one length.
    Packets(Codec),
    /// Compressed without loss.
    Flac,
}

/// How a recording is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rendition {
    Pcm(Container),
    Packets(Encoding),
    Flac(Flac),
}

/// What an address says beside its extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// `rendition`.
    pub(crate) named: Option<Named>,
    /// `bitrate`, in kbit/s.
    pub(crate) bitrate: Option<u32>,
    /// `ch`.
    pub(crate) pick: Option<Pick>,
}

/// The compressed renditions that there are, by name: `mp3-128`, `opus-96`, `flac`. The first of a codec is the one that an
/// address without a bitrate means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renditions(Vec<Name>);

/// A codec and its bitrate in kbit/s; FLAC has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Packets(Codec, u16),
    Flac,
}

/// A rendition by its name, or audio as it was recorded by that of its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kind: Kind,
    /// Of a codec that has bitrates, in kbit/s.
    kbps: Option<u16>,
}

/// What is said about a compressed rendition of a stream or a recording; one of a codec stands for all its bitrates.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RenditionItem {
    /// Their names, for `rendition=`; the first is meant where nothing is said.
    names: Vec<String>,
    url: String,
    /// The media type.
    r#type: &'static str,
    /// Frames of a second.
    rate: u32,
    /// Which channels of the recording are heard where `ch` says nothing: their numbers from 1 on, or `stereo`, a mix of all.
    channels: String,
}

/// A name that no rendition has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no rendition {0:?}: a name is flac, or a codec with one of its bitrates in kbit/s, such as mp3-128 or opus-96"
)]
pub struct RenditionError(String);

impl Default for Renditions {
    fn default() -> Self {
        use Codec::{Mp3, Opus};
        let mp3 = [128, 64, 96, 192, 256, 320].map(|kbps| Name::Packets(Mp3, kbps));
        let opus = [96, 24, 48, 64, 128, 192].map(|kbps| Name::Packets(Opus, kbps));
        let all = mp3.into_iter().chain(opus).chain([Name::Flac]);
        Self(all.filter(|name| !matches!(name, Name::Packets(codec, _) if !codec.is_built_in())).collect())
    }
}

impl Renditions {
    /// Those with these names.
    ///
    /// # Errors
    /// [`RenditionError`] for the first that is none.
    pub fn named<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Result<Self, RenditionError> {
        names.into_iter().map(|name| name.as_ref().parse()).collect::<Result<_, _>>().map(Self)
    }

    fn bitrates(&self, of: Codec) -> impl Iterator<Item = u16> {
        self.0.iter().filter_map(move |name| match name {
            Name::Packets(codec, kbps) if *codec == of => Some(*kbps),
            _ => None,
        })
    }

    /// All that there are of a recording; addresses begin with `stem`.
    pub(crate) fn of(&self, spec: Spec, stem: &str) -> Vec<RenditionItem> {
        let compressed = Kind::all().filter(|kind| kind.is_compressed());
        let items = compressed.filter_map(|kind| {
            let usual = self.choose(kind, Wanted::default(), spec).ok()?;
            let (name, rate, pick) = usual.parts()?;
            let mut names = vec![name];
            if let Kind::Packets(codec) = kind {
                let there = codec.bitrates(codec.rate(spec.rate()));
                let others = self.bitrates(codec).filter(|kbps| there.contains(kbps));
                let others: Vec<_> = others.map(|kbps| Name::Packets(codec, kbps).to_string()).collect();
                names.extend(others.into_iter().filter(|other| Some(other) != names.first()).collect::<Vec<_>>());
            }
            let url = format!("{stem}.{}", kind.extension());
            Some(RenditionItem { names, url, r#type: kind.content_type(), rate, channels: pick.to_string() })
        });
        items.collect()
    }

    /// What a player that can play anything is given, of a recording if there is one.
    pub(crate) fn usual(&self, spec: Option<Spec>) -> Kind {
        let fits = |kind: &Kind| spec.is_none_or(|spec| self.choose(*kind, Wanted::default(), spec).is_ok());
        let there = |kind: &Kind| match kind {
            Kind::Packets(codec) => self.bitrates(*codec).next().is_some(),
            Kind::Flac => self.0.contains(&Name::Flac),
            Kind::Pcm(_) => true,
        };
        let by_size = [Kind::Packets(Codec::Mp3), Kind::Packets(Codec::Opus), Kind::Flac];
        by_size.into_iter().find(|kind| there(kind) && fits(kind)).unwrap_or(Kind::Pcm(Container::Wav))
    }

    /// The rendition of a recording that an address means.
    pub(crate) fn choose(&self, kind: Kind, wanted: Wanted, spec: Spec) -> Result<Rendition, Problem> {
        let extension = kind.extension();
        let wanted = match wanted.named {
            None => wanted,
            Some(named) => Wanted { bitrate: named.agrees(kind, wanted.bitrate)?, ..wanted },
        };
        if let Some(bitrate) = wanted.bitrate.filter(|_| !matches!(kind, Kind::Packets(_))) {
            let error = format!("{extension} has no bitrate, so not {bitrate} either");
            return Err(Problem::bad_request(error, "leave bitrate out, or ask for mp3 or opus"));
        }
        let refused = |error: EncodeError| {
            Problem::bad_request(error.to_string(), "ask for another bitrate, other channels, or for wav or pcm")
        };
        let none = || {
            let error = format!("{extension} is not offered here");
            Problem::not_found(error, format!("there are {self}, wav and pcm"))
        };
        match kind {
            Kind::Pcm(container) => match wanted.pick {
                None => Ok(Rendition::Pcm(container)),
                Some(_) => Err(Problem::bad_request(
                    format!("channels are not picked out of {extension}"),
                    "leave ch out, or ask for flac, mp3 or opus",
                )),
            },
            Kind::Flac if !self.0.contains(&Name::Flac) => Err(none()),
            Kind::Flac => Flac::new(spec, wanted.pick).map(Rendition::Flac).map_err(refused),
            Kind::Packets(codec) => {
                let first = self.bitrates(codec).next().ok_or_else(none)?;
                // The one that is meant where nothing is said: at low rates, the highest that there is.
                let there = codec.bitrates(codec.rate(spec.rate()));
                let usual = if there.contains(&first) { first } else { there.last().copied().unwrap_or(first) };
                let kbps = wanted.bitrate.unwrap_or(usual.into());
                if wanted.bitrate.is_some_and(|wanted| self.bitrates(codec).all(|kbps| u32::from(kbps) != wanted)) {
                    let there: Vec<_> = self.bitrates(codec).map(|kbps| kbps.to_string()).collect();
                    let error = format!("{extension} is not offered at {kbps} kbit/s here");
                    return Err(Problem::bad_request(error, format!("bitrate is one of {}", there.join(", "))));
                }
                Encoding::new(codec, spec, kbps, wanted.pick).map(Rendition::Packets).map_err(refused)
            }
        }
    }
}

impl fmt::Display for Renditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.0.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { ", " })?;
            name.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packets(codec, kbps) => write!(f, "{}-{kbps}", codec.name()),
            Self::Flac => f.write_str("flac"),
        }
    }
}

impl FromStr for Named {
    type Err = RenditionError;
    fn from_str(s: &str) -> Result<Self, RenditionError> {
        if let Some(container) = Container::ALL.into_iter().find(|container| container.extension() == s) {
            return Ok(Self { kind: Kind::Pcm(container), kbps: None });
        }
        Ok(match s.parse()? {
            Name::Packets(codec, kbps) => Self { kind: Kind::Packets(codec), kbps: Some(kbps) },
            Name::Flac => Self { kind: Kind::Flac, kbps: None },
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.extension())?;
        self.kbps.map_or(Ok(()), |kbps| write!(f, "-{kbps}"))
    }
}

impl Named {
    /// The bitrate, where the rest of the address says nothing else.
    fn agrees(self, kind: Kind, bitrate: Option<u32>) -> Result<Option<u32>, Problem> {
        let same_rate = bitrate.is_none_or(|bitrate| self.kbps.map(u32::from) == Some(bitrate));
        if kind == self.kind && same_rate {
            return Ok(self.kbps.map(u32::from));
        }
        let error = match kind == self.kind {
            true => format!("{self} has another bitrate than {}", bitrate.unwrap_or_default()),
            false => format!("{self} is not what {} is", kind.extension()),
        };
        Err(Problem::bad_request(error, format!("ask for .{}, and say the bitrate once", self.kind.extension())))
    }
}

impl FromStr for Name {
    type Err = RenditionError;
    fn from_str(s: &str) -> Result<Self, RenditionError> {
        let unknown = || RenditionError(s.chars().take(40).collect());
        if s == "flac" {
            return Ok(Self::Flac);
        }
        let (codec, kbps) = s.split_once('-').ok_or_else(unknown)?;
        let codec = Kind::CODECS.into_iter().find(|known| known.name() == codec).ok_or_else(unknown)?;
        let rates = [48_000, 24_000, 8_000];
        let kbps: u16 = kbps.parse().map_err(|_| unknown())?;
        let exists = codec.is_built_in() && rates.iter().any(|&rate| codec.bitrates(rate).contains(&kbps));
        if exists { Ok(Self::Packets(codec, kbps)) } else { Err(unknown()) }
    }
}

impl Kind {
    const CODECS: [Codec; 2] = [Codec::Mp3, Codec::Opus];

    /// Every kind that this build has.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let codecs = Self::CODECS.into_iter().filter(|codec| codec.is_built_in()).map(Self::Packets);
        Container::ALL.into_iter().map(Self::Pcm).chain(codecs).chain([Self::Flac])
    }

    /// As in addresses.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Pcm(container) => container.extension(),
            Self::Packets(codec) => codec.name(),
            Self::Flac => "flac",
        }
    }

    /// The media type.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Pcm(Container::Wav | Container::Rf64) => "audio/wav",
            // `audio/L16` would mean big-endian.
            Self::Pcm(Container::Pcm) => "application/octet-stream",
            Self::Packets(Codec::Mp3) => "audio/mpeg",
            Self::Packets(Codec::Opus) => "audio/ogg; codecs=opus",
            Self::Flac => "audio/flac",
        }
    }

    /// Whether it is not as it was recorded.
    pub(crate) const fn is_compressed(self) -> bool {
        !matches!(self, Self::Pcm(_))
    }
}

impl Rendition {
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Pcm(container) => Kind::Pcm(container),
            Self::Packets(encoding) => Kind::Packets(encoding.codec()),
            Self::Flac(_) => Kind::Flac,
        }
    }

    /// Of a compressed one, its name, rate, and which channels of the recording are heard.
    fn parts(self) -> Option<(String, u32, Pick)> {
        match self {
            Self::Pcm(_) => None,
            Self::Packets(encoding) => Some((encoding.name(), encoding.rate(), encoding.pick())),
            Self::Flac(flac) => Some(("flac".into(), flac.spec().rate(), flac.pick())),
        }
    }

    /// The same as a text.
    pub(crate) fn described(self) -> Option<String> {
        let (name, rate, pick) = self.parts()?;
        let bits = match self {
            Self::Flac(flac) => format!("-s{}", flac.bits()),
            _ => String::new(),
        };
        Some(format!("{name}{bits};rate={rate};channels={pick}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{ChannelLayout, SampleFormat};

    fn spec(rate: u32, channels: u32) -> Spec {
        Spec::new(SampleFormat::S16, rate, channels).unwrap()
    }

    fn wanted(bitrate: Option<u32>, pick: Option<&str>) -> Wanted {
        Wanted { named: None, bitrate, pick: pick.map(|pick| pick.parse().unwrap()) }
    }

    #[test]
    fn names() {
        let some = Renditions::named(["opus-96", "flac", "opus-24"]).unwrap();
        assert_eq!(some.to_string(), "opus-96, flac, opus-24");
        for bad in ["", "mp3", "mp3-", "mp3-129", "opus-96k", "vorbis-128", "flac-16", "mp3--1"] {
            let error = Renditions::named([bad]).unwrap_err().to_string();
            assert!(error.contains("opus-96") && error.contains(bad), "{error}");
        }
        let chosen = some.choose(Kind::Packets(Codec::Opus), Wanted::default(), spec(44_100, 4)).unwrap();
        assert_eq!(chosen.described().unwrap(), "opus-96;rate=48000;channels=1,2");
        let surround = spec(44_100, 6).for_speakers(ChannelLayout::usual(6)).unwrap();
        let mixed = some.choose(Kind::Packets(Codec::Opus), Wanted::default(), surround).unwrap();
        assert_eq!(mixed.described().unwrap(), "opus-96;rate=48000;channels=stereo");
        let all = some.choose(Kind::Flac, Wanted::default(), surround).unwrap();
        assert_eq!(all.described().unwrap(), "flac-s16;rate=44100;channels=1,2,3,4,5,6");
        let mono = some.choose(Kind::Packets(Codec::Opus), wanted(Some(24), Some("3")), spec(44_100, 4)).unwrap();
        assert_eq!(mono.described().unwrap(), "opus-24;rate=48000;channels=3");
        let error = some.choose(Kind::Packets(Codec::Mp3), Wanted::default(), spec(44_100, 2)).unwrap_err();
        assert_eq!(error.status, 404);
    }

    #[test]
    fn by_name() {
        let all = Renditions::default();
        let named = |name: &str, bitrate| Wanted { named: Some(name.parse().unwrap()), bitrate, pick: None };
        let chosen = |kind, wanted| all.choose(kind, wanted, spec(48_000, 2));
        let opus = Kind::Packets(Codec::Opus);
        assert!(chosen(opus, named("opus-24", None)).unwrap().described().unwrap().starts_with("opus-24;"));
        assert!(chosen(opus, named("opus-24", Some(24))).is_ok() && chosen(Kind::Flac, named("flac", None)).is_ok());
        let wav = Kind::Pcm(Container::Wav);
        assert_eq!(chosen(wav, named("wav", None)), Ok(Rendition::Pcm(Container::Wav)));
        for (kind, wanted, says) in [
            (opus, named("opus-24", Some(96)), "another bitrate than 96"),
            (opus, named("flac", None), "flac is not what opus is"),
            (wav, named("opus-96", None), "opus-96 is not what wav is"),
            (opus, named("opus-160", None), "not offered at 160"),
        ] {
            let problem = chosen(kind, wanted).unwrap_err();
            assert!(problem.status == 400 && problem.error.contains(says), "{problem:?}");
        }
        assert!("opus-97".parse::<Named>().is_err() && "".parse::<Named>().is_err());
    }

    #[test]
    fn told_of_a_recording() {
        let some = Renditions::named(["opus-96", "flac", "opus-24"]).unwrap();
        let items = some.of(spec(44_100, 4), "/recordings/x/audio");
        let told: Vec<_> =
            items.iter().map(|item| (item.names.join(" "), &*item.url, item.rate, &*item.channels)).collect();
        let flac = ("flac".to_owned(), "/recordings/x/audio.flac", 44_100, "1,2,3,4");
        assert_eq!(told, [("opus-96 opus-24".to_owned(), "/recordings/x/audio.opus", 48_000, "1,2"), flac]);
        assert_eq!(some.usual(None), Kind::Packets(Codec::Opus));
        assert_eq!(Renditions::named(["flac"]).unwrap().usual(Some(spec(100_001, 2))), Kind::Pcm(Container::Wav));
    }

    #[test]
    fn what_there_is_not() {
        let all = Renditions::default();
        let refused = |kind, wanted, spec| {
            let problem = all.choose(kind, wanted, spec).unwrap_err();
            assert_eq!(problem.status, 400);
            format!("{} {}", problem.error, problem.hint)
        };
        let opus = Kind::Packets(Codec::Opus);
        assert!(refused(opus, wanted(Some(97), None), spec(48_000, 2)).contains("96"));
        assert!(refused(opus, wanted(None, Some("3")), spec(48_000, 2)).contains("has 2"));
        assert!(refused(opus, wanted(None, Some("1,2,3")), spec(48_000, 4)).contains("not 3"));
        assert!(refused(Kind::Flac, wanted(Some(96), None), spec(48_000, 2)).contains("bitrate"));
        assert!(refused(Kind::Flac, wanted(None, Some("stereo")), spec(48_000, 6)).contains("not mixed"));
        assert!(refused(Kind::Flac, wanted(None, None), spec(100_001, 2)).contains("100001"));
        assert!(refused(Kind::Pcm(Container::Wav), wanted(None, Some("1")), spec(48_000, 2)).contains("ch"));
    }

    #[test]
    #[cfg(feature = "mp3")]
    fn low_rates_have_what_they_can() {
        let all = Renditions::default();
        let usual = |rate| match all.choose(Kind::Packets(Codec::Mp3), Wanted::default(), spec(rate, 1)).unwrap() {
            Rendition::Packets(encoding) => encoding.kbps(),
            other => panic!("{other:?}"),
        };
        assert_eq!([48_000, 44_100, 22_050, 8_000].map(usual), [128, 128, 128, 64]);
        assert!(all.choose(Kind::Packets(Codec::Mp3), wanted(Some(320), None), spec(22_050, 1)).is_err());
    }
}
