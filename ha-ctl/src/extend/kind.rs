//! The types of extended servers: the vendor's words, and what each is in the vendor's image.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The type of an extended server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Kind {
    /// Media of calls and their recordings.
    Media,
    /// Call queues.
    Queue,
    /// Meetings.
    Meeting,
    /// Virtual receptionists.
    Ivr,
}

/// All types, in the order of the vendor's guide.
pub const KINDS: [Kind; 4] = [Kind::Media, Kind::Queue, Kind::Meeting, Kind::Ivr];

impl Kind {
    /// The vendor's word. Directories and the Compose project have it too. For IVR it is the word of `run`; the
    /// vendor's other commands say `ivr-server-only`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Media => "media-server-only",
            Kind::Queue => "queue-server-only",
            Kind::Meeting => "meeting-server-only",
            Kind::Ivr => "vr-server-only",
        }
    }

    /// The service of the Compose project, and the program in the image.
    pub fn service(self) -> &'static str {
        match self {
            Kind::Media => "mediaserver",
            Kind::Queue => "callqueue",
            Kind::Meeting => "conf",
            Kind::Ivr => "vr",
        }
    }

    /// The container.
    pub fn container(self) -> &'static str {
        match self {
            Kind::Media => "portsip.mediaserver",
            Kind::Queue => "portsip.callqueue",
            Kind::Meeting => "portsip.conference",
            Kind::Ivr => "portsip.virtualreceptionist",
        }
    }

    /// The ports of its own, TCP and UDP. A media server has those of the media besides.
    pub fn ports(self) -> RangeInclusive<u16> {
        match self {
            Kind::Media => 8840..=8845,
            Kind::Queue => 8916..=8921,
            Kind::Ivr => 8922..=8927,
            Kind::Meeting => 8928..=8933,
        }
    }

    /// The menu of the web portal, below `Servers`.
    pub fn menu(self) -> &'static str {
        match self {
            Kind::Media => "Media Servers",
            Kind::Queue => "Queue Servers",
            Kind::Meeting => "Meeting Servers",
            Kind::Ivr => "IVR Servers",
        }
    }

    /// How many GB of disk the vendor asks for.
    pub fn disk(self) -> u64 {
        match self {
            Kind::Media => 128,
            Kind::Queue | Kind::Meeting | Kind::Ivr => 64,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Kind, String> {
        if word == "ivr-server-only" {
            return Ok(Kind::Ivr);
        }
        let mut kinds = KINDS.into_iter();
        kinds.find(|kind| kind.word() == word).ok_or_else(|| {
            let words: Vec<&str> = KINDS.iter().map(|kind| kind.word()).collect();
            let words = words.join(", ");
            format!(
                "`{word}` is no type of an extended server: {words}, or ivr-server-only, which is the same as vr-server-only; \
                 disk-only, for which `ha-ctl grow` does the same, stands alone"
            )
        })
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> String {
        kind.word().to_owned()
    }
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(word: String) -> Result<Kind, String> {
        word.parse()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ivr_has_two_words_and_they_mean_the_same() {
        assert_eq!("ivr-server-only".parse(), Ok(Kind::Ivr));
        assert_eq!("vr-server-only".parse(), Ok(Kind::Ivr));
        for kind in KINDS {
            assert_eq!(kind.word().parse(), Ok(kind));
        }
        let refused = "disk-only".parse::<Kind>().unwrap_err();
        assert!(refused.contains("meeting-server-only"), "{refused}");
    }

    #[test]
    fn no_two_types_share_a_port() {
        for (n, one) in KINDS.iter().enumerate() {
            for other in &KINDS[n + 1..] {
                assert!(one.ports().all(|port| !other.ports().contains(&port)));
            }
        }
    }
}
