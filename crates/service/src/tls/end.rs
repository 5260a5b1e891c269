//! When a certificate ends: the one thing that whoever checks certificates does not tell of them (RFC 5280, sections 4.1 and
//! 4.1.2.5). Pure. Not here: whether it is valid, which was checked before.

use std::time::Duration;

const SEQUENCE: u8 = 0x30;
/// The version of a certificate, which may be left out.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate, since 1970; `None` if that cannot be read.
pub(super) fn end(certificate: &[u8]) -> Option<Duration> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = any(fields)?.2;
    }
    // Its number, how it is signed, and by whom.
    for _ in 0..3 {
        fields = any(fields)?.2;
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, _, not_after) = any(validity)?;
    match any(not_after)? {
        (UTC_TIME, text, _) => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            time(if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (GENERALIZED_TIME, text, _) => {
            let (year, rest) = text.split_at_checked(4)?;
            time(number(year)?, rest)
        }
        _ => None,
    }
}

/// The content of an element of this kind, and what comes after it.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    any(der).filter(|(its, ..)| *its == kind).map(|(_, content, rest)| (content, rest))
}

/// The kind of an element, its content, and what comes after it (X.690, section 8.1).
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((kind, content, rest))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |n, digit| digit.is_ascii_digit().then(|| n * 10 + u64::from(digit - b'0')))
}

/// The time of this year that `MMDDHHMMSSZ` says.
fn time(year: u64, rest: &[u8]) -> Option<Duration> {
    let fields: Vec<_> = rest.strip_suffix(b"Z")?.chunks(2).map(number).collect::<Option<_>>()?;
    let [month @ 1..=12, day @ 1..=31, hour @ 0..=23, minute @ 0..=59, second @ 0..=60] = fields[..] else {
        return None;
    };
    if rest.len() != 11 || year < 1970 {
        return None;
    }
    // Days since 1 March of the year 0: a leap day is the last one of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate as far as it is read.
    fn certificate(kind: u8, not_after: &str) -> Vec<u8> {
        let element = |kind: u8, content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[kind, 0x82], &length[..], content].concat()
        };
        let validity = [element(UTC_TIME, b"200101000000Z"), element(kind, not_after.as_bytes())].concat();
        let fields = [
            element(VERSION, &element(2, &[2])),
            element(2, &[7; 16]),
            element(SEQUENCE, b""),
            element(SEQUENCE, &[0; 300]),
            element(SEQUENCE, &validity),
            element(SEQUENCE, b"somebody"),
        ];
        element(SEQUENCE, &element(SEQUENCE, &fields.concat()))
    }

    #[test]
    fn the_end_of_certificates() {
        let ends = |kind, text| end(&certificate(kind, text)).map(|end| end.as_secs());
        // As `date -u -d … +%s` says.
        assert_eq!(ends(UTC_TIME, "261130081530Z"), Some(1_796_026_530));
        assert_eq!(ends(UTC_TIME, "280229235959Z"), Some(1_835_481_599));
        assert_eq!(ends(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(ends(GENERALIZED_TIME, "20500301000000Z"), Some(2_529_705_600));
        assert_eq!(ends(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
        for bad in ["", "261130081530", "261330081530Z", "26113008153Z", "2611300815300Z", "26a130081530Z"] {
            assert_eq!(ends(UTC_TIME, bad), None, "{bad}");
        }
        assert_eq!(ends(2, "261130081530Z"), None);
    }

    #[test]
    fn what_is_cut_or_wrong_is_none() {
        let whole = certificate(UTC_TIME, "261130081530Z");
        assert!((0..whole.len()).all(|n| end(&whole[..n]).is_none()));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut wrong = whole.clone();
                wrong[at] ^= 1 << bit;
                _ = end(&wrong);
            }
        }
    }
}
