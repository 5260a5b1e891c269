//! The broadcast extension chunk of a WAV file, `bext` (EBU Tech 3285, version 2): what an editor needs to put a clip where it
//! belongs in time.
//!
//! Not here: RIFF around it, which is `wav`'s.

use crate::spec::Spec;
use crate::time::WallTime;

/// Bytes of the chunk before its coding history.
const FIXED: usize = 602;
const VERSION: u16 = 2;
/// "Not measured" in the loudness fields of version 2.
const NO_LOUDNESS: i16 = 0x7FFF;

/// What the chunk says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bext {
    /// What it is; at most 256 bytes of ASCII are kept.
    pub description: String,
    /// Who made it; at most 32 bytes.
    pub originator: String,
    /// What it is called there; at most 32 bytes.
    pub reference: String,
    /// When its first frame was captured. Date and time of day are in UTC.
    pub time: Option<WallTime>,
}

impl Bext {
    /// The bytes of the chunk, an even number of them, without its name and length.
    pub fn chunk(&self, spec: Spec) -> Vec<u8> {
        let time = self.time.unwrap_or_default();
        // To the second: `2026-11-20T14:30:00`.
        let text = time.to_string();
        let (date, of_day) = if self.time.is_some() { (text.get(..10), text.get(11..19)) } else { (None, None) };
        let mut out = Vec::with_capacity(FIXED + 64);
        put(&mut out, &self.description, 256);
        put(&mut out, &self.originator, 32);
        put(&mut out, &self.reference, 32);
        put(&mut out, date.unwrap_or_default(), 10);
        put(&mut out, of_day.unwrap_or_default(), 8);
        out.extend_from_slice(&time_reference(time, spec).to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        // No UMID.
        out.resize(out.len() + 64, 0);
        out.extend([NO_LOUDNESS; 5].into_iter().flat_map(i16::to_le_bytes));
        out.resize(FIXED, 0);
        let mode = match spec.channels() {
            1 => "mono",
            2 => "stereo",
            _ => "multi",
        };
        let bits = spec.format().bytes() * 8;
        let history = format!("A=PCM,F={},W={bits},M={mode},T=livetape\r\n", spec.rate());
        out.extend_from_slice(history.as_bytes());
        out.resize(out.len().next_multiple_of(2), 0);
        out
    }
}

/// Samples from midnight to this time, to the nearest.
fn time_reference(time: WallTime, spec: Spec) -> u64 {
    const DAY: i64 = 86_400 * 1_000_000_000;
    let nanos = u128::from(time.unix_nanos().rem_euclid(DAY).unsigned_abs());
    u64::try_from((nanos * u128::from(spec.rate()) + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// Text in a field of fixed length, padded with zeros. What is no printable ASCII becomes a question mark.
fn put(out: &mut Vec<u8>, text: &str, len: usize) {
    let end = out.len() + len;
    out.extend(text.chars().take(len).map(|c| if c == ' ' || c.is_ascii_graphic() { c as u8 } else { b'?' }));
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SampleFormat;

    #[test]
    fn fields_are_where_the_standard_has_them() {
        let spec = Spec::new(SampleFormat::S24, 44_100, 2).unwrap();
        let bext = Bext {
            description: "süß\n".repeat(100),
            originator: "livetape".into(),
            reference: "x".repeat(40),
            time: Some("2026-11-20T14:30:00.250Z".parse().unwrap()),
        };
        let chunk = bext.chunk(spec);
        let text = |from: usize, len: usize| String::from_utf8_lossy(&chunk[from..from + len]).into_owned();
        assert_eq!(text(0, 256), "s???".repeat(64));
        assert_eq!((text(256, 32), text(288, 32)), ("livetape".to_owned() + &"\0".repeat(24), "x".repeat(32)));
        assert_eq!((text(320, 10), text(330, 8)), ("2026-11-20".into(), "14:30:00".into()));
        let number = |from: usize| u64::from_le_bytes(chunk[from..from + 8].try_into().unwrap());
        assert_eq!(number(338), 52_200 * 44_100 + 11_025);
        assert_eq!(chunk[346..348], [2, 0]);
        assert!(chunk[348..412].iter().all(|&b| b == 0) && chunk[412..422] == [0xFF, 0x7F].repeat(5));
        assert!(chunk[422..602].iter().all(|&b| b == 0));
        assert_eq!(text(602, chunk.len() - 602), "A=PCM,F=44100,W=24,M=stereo,T=livetape\r\n");
        assert_eq!(chunk.len() % 2, 0);
        let unknown = Bext::default().chunk(spec);
        assert!(unknown[..346].iter().all(|&b| b == 0), "a time that nobody knows is not made up");
    }
}
