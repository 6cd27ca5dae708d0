//! Parameters: declared once per agent, read from `OCF_RESKEY_*`, checked, and printed as meta-data.

use std::net::Ipv4Addr;
use std::path::{Component, PathBuf};
use std::time::Duration;

pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// `boolean`, `integer` or `string`.
    pub(crate) content: &'static str,
    pub(crate) presence: Presence,
    pub(crate) marks: &'static [Mark],
    pub(crate) short: &'static str,
    pub(crate) long: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
    /// The value when the user gives none.
    Default(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// No other resource may have the same value.
    Unique,
    /// A new value takes effect with the next action. Pacemaker calls `reload-agent` instead of a stop and a start.
    Reloadable,
}

/// A struct whose fields are parameters; made by `parameters!`.
pub(crate) trait Parameters: Sized {
    const DECLARED: &'static [Parameter];
    /// Reads the values. `None` when a required one is missing or wrong.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// A type that the value of a parameter can have.
pub(crate) trait Value: Sized {
    /// The type in the meta-data.
    const CONTENT: &'static str = "string";
    /// Reads the value. An error is a sentence with the text and what it should be.
    fn parse(text: &str) -> Result<Self, String>;
}

/// Reads values and collects everything that is wrong with them. It has a method for each presence in `parameters!`.
pub(crate) struct Reader<'a> {
    value: &'a dyn Fn(&str) -> Option<String>,
    /// What is wrong, a sentence each.
    pub(crate) problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(value: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let problems = Vec::new();
        Self { value, problems }
    }

    pub(crate) fn required<T: Value>(&mut self, name: &str) -> Option<T> {
        let Some(text) = self.text(name) else {
            let problem = format!("the parameter {name} is missing");
            self.problems.push(problem);
            return None;
        };
        self.parse(name, &text)
    }

    /// A value that may be there. A wrong one counts as none, beside the problem.
    pub(crate) fn optional<T: Value>(&mut self, name: &str) -> Option<Option<T>> {
        Some(self.text(name).and_then(|text| self.parse(name, &text)))
    }

    /// A value, else the default. A wrong one counts as none, beside the problem.
    pub(crate) fn default<T: Value>(&mut self, name: &str, default: &str) -> Option<T> {
        let given = self.optional(name).flatten();
        given.or_else(|| self.parse(name, default))
    }

    fn text(&self, name: &str) -> Option<String> {
        (self.value)(name).filter(|text| !text.is_empty())
    }

    fn parse<T: Value>(&mut self, name: &str, text: &str) -> Option<T> {
        let parsed = T::parse(text);
        let problem = |problem| format!("the parameter {name}: {problem}");
        parsed.map_err(|it| self.problems.push(problem(it))).ok()
    }
}

/// Declares a struct of parameters:
/// `name: Type = required | optional | default("x"), [unique,] [reloadable,] "short", "long";`
macro_rules! parameters {
    ($(#[$doc:meta])* struct $Name:ident {$(
        $field:ident: $type:ty = $presence:ident $(($default:literal))?, $($mark:ident,)* $short:literal, $long:literal;
    )+}) => {
        $(#[$doc])*
        pub(crate) struct $Name {$(
            #[doc = $long]
            pub(crate) $field: parameters!(@type $presence $type),
        )+}

        impl $crate::ocf::params::Parameters for $Name {
            const DECLARED: &'static [$crate::ocf::params::Parameter] = &[$(
                $crate::ocf::params::Parameter {
                    name: stringify!($field),
                    content: <$type as $crate::ocf::params::Value>::CONTENT,
                    presence: parameters!(@presence $presence $($default)?),
                    marks: &[$(parameters!(@mark $mark)),*],
                    short: $short,
                    long: $long,
                },
            )+];

            fn read(reader: &mut $crate::ocf::params::Reader<'_>) -> Option<Self> {
                // All are read before the first that is missing ends it: people want all problems at once.
                $(let $field = reader.$presence::<$type>(stringify!($field) $(, $default)?);)+
                Some(Self {$($field: $field?),+})
            }
        }
    };
    (@type optional $type:ty) => { Option<$type> };
    (@type $presence:ident $type:ty) => { $type };
    (@presence required) => { $crate::ocf::params::Presence::Required };
    (@presence optional) => { $crate::ocf::params::Presence::Optional };
    (@presence default $default:literal) => { $crate::ocf::params::Presence::Default($default) };
    (@mark unique) => { $crate::ocf::params::Mark::Unique };
    (@mark reloadable) => { $crate::ocf::params::Mark::Reloadable };
}
pub(crate) use parameters;

/// Ids are read as their types parse them.
macro_rules! ids {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|problem: ec2::Malformed| problem.to_string())
            }
        }
    )+};
}
ids!(
    ec2::AllocationId,
    ec2::InstanceIds,
    ec2::Region,
    ec2::VolumeId
);

impl Value for Ipv4Addr {
    fn parse(text: &str) -> Result<Self, String> {
        let address = text.parse();
        address.map_err(|_| format!("`{text}` is not an IPv4 address"))
    }
}

impl Value for bool {
    const CONTENT: &'static str = "boolean";
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" | "y" => Ok(true),
            "false" | "no" | "off" | "0" | "n" => Ok(false),
            _ => Err(format!("`{text}` is neither true nor false")),
        }
    }
}

impl Value for u16 {
    const CONTENT: &'static str = "integer";
    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(format!("`{text}` is not a port (1 to 65535)")),
        }
    }
}

impl Value for Duration {
    const CONTENT: &'static str = "integer";
    fn parse(text: &str) -> Result<Self, String> {
        let seconds = text.strip_suffix('s').unwrap_or(text).parse();
        let seconds = seconds.map_err(|_| format!("`{text}` is not a number of seconds"));
        seconds.map(Duration::from_secs)
    }
}

/// An absolute path without `..`.
impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        if path.is_absolute() && path.components().all(|part| part != Component::ParentDir) {
            Ok(path)
        } else {
            Err(format!("`{text}` is not an absolute path"))
        }
    }
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        match text.chars().any(char::is_control) {
            true => Err("it has control characters".to_owned()),
            false => Ok(text.to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    parameters! {
        /// For the tests.
        struct Sample {
            vip: Ipv4Addr = required, unique, "address", "The address.";
            peer: Ipv4Addr = optional, "peer", "The other one.";
            port: u16 = default("5060"), reloadable, "port", "The port.";
            name: String = optional, unique, reloadable, "name", "The name.";
        }
    }

    #[test]
    fn a_parameter_has_the_marks_that_it_was_declared_with() {
        let marks: Vec<_> = Sample::DECLARED.iter().map(|p| p.marks).collect();
        let expected: [&[Mark]; 4] = [
            &[Mark::Unique],
            &[],
            &[Mark::Reloadable],
            &[Mark::Unique, Mark::Reloadable],
        ];
        assert_eq!(marks, expected);
    }

    fn read(values: &[(&str, &str)]) -> (Option<Sample>, Vec<String>) {
        let value = |name: &str| {
            values
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        };
        let mut reader = Reader::new(&value);
        let sample = Sample::read(&mut reader);
        (sample, reader.problems)
    }

    #[test]
    fn values_defaults_and_absence() {
        let (sample, problems) = read(&[("vip", "10.0.0.1"), ("peer", "")]);
        let sample = sample.unwrap();
        assert_eq!(
            (sample.vip, sample.peer, sample.port),
            (Ipv4Addr::new(10, 0, 0, 1), None, 5060)
        );
        assert_eq!(sample.name, None);
        assert!(problems.is_empty());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let (sample, problems) = read(&[("peer", "x"), ("port", "0")]);
        assert!(sample.is_none());
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn what_only_refines_falls_back_so_that_a_stop_can_act() {
        let (sample, problems) = read(&[("vip", "10.0.0.1"), ("port", "many")]);
        assert_eq!(sample.unwrap().port, 5060);
        assert_eq!(problems.len(), 1);
    }
}
