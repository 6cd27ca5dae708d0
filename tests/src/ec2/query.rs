//! EC2's Query protocol, the way in: a form of `Action`, `Version` and parameters, with lists as
//! `InstanceId.1`, `Filter.1.Value.2` (API reference, "Query requests for Amazon EC2").

use std::collections::BTreeMap;

use super::error::ApiError;

/// The one API version that all clients of today speak.
pub const VERSION: &str = "2016-11-15";

/// A call as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `AttachVolume`, ...
    pub action: String,
    /// Everything but `Action` and `Version`.
    pub parameters: BTreeMap<String, String>,
}

/// One of `Filter.N`: any of the values, `*` and `?` being wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) name: String,
    pub(super) values: Vec<String>,
}

impl Call {
    /// Reads a form body or a query string.
    ///
    /// # Errors
    /// `MissingAction`, `MissingParameter` for the version, `NoSuchVersion`.
    pub fn parse(form: &[u8]) -> Result<Self, ApiError> {
        let mut parameters: BTreeMap<String, String> =
            form_urlencoded::parse(form).into_owned().collect();
        let action = parameters.remove("Action").ok_or_else(|| {
            ApiError::client(
                "MissingAction",
                "The request must contain the parameter Action",
            )
        })?;
        match parameters.remove("Version") {
            Some(version) if version == VERSION => Ok(Self { action, parameters }),
            Some(other) => Err(ApiError::client(
                "NoSuchVersion",
                format!(
                    "The requested version ({other}) is not valid; this model speaks {VERSION}"
                ),
            )),
            None => Err(ApiError::missing("Version")),
        }
    }

    /// Refuses parameters that the action does not have, as EC2 does (`UnknownParameter`):
    /// a misspelt one must not pass for its default. Lists are named without their index.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let stray = self.parameters.keys().find(|name| {
            let stem = name.split('.').next().unwrap_or(name);
            stem != "DryRun" && !known.contains(&stem)
        });
        match stray {
            Some(name) => Err(ApiError::client(
                "UnknownParameter",
                format!("The parameter {name} is not recognized"),
            )),
            None => Ok(()),
        }
    }

    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.parameters
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.optional(name).ok_or_else(|| ApiError::missing(name))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.optional(name) {
            None => Ok(None),
            Some("true" | "True" | "1") => Ok(Some(true)),
            Some("false" | "False" | "0") => Ok(Some(false)),
            Some(other) => Err(ApiError::invalid_value(format!(
                "Value ({other}) for parameter {name} is invalid. Must be true or false."
            ))),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, ApiError> {
        self.optional(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiError::invalid_value(format!(
                        "Value ({text}) for parameter {name} is invalid."
                    ))
                })
            })
            .transpose()
    }

    /// `NAME.1`, `NAME.2`, ... in order.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let mut members: Vec<(u32, &str)> = self
            .parameters
            .iter()
            .filter_map(|(key, value)| {
                let index = key.strip_prefix(name)?.strip_prefix('.')?;
                Some((index.parse().ok()?, value.as_str()))
            })
            .collect();
        members.sort_unstable();
        members.into_iter().map(|(_, value)| value).collect()
    }

    /// `Filter.N.Name` with `Filter.N.Value.M`.
    pub(super) fn filters(&self) -> Vec<Filter> {
        self.parameters
            .iter()
            .filter_map(|(key, name)| {
                let filter = key.strip_suffix(".Name")?;
                filter.strip_prefix("Filter.")?;
                let values = self.list(&format!("{filter}.Value"));
                Some(Filter {
                    name: name.clone(),
                    values: values.into_iter().map(str::to_owned).collect(),
                })
            })
            .collect()
    }
}

impl Filter {
    fn accepts(&self, value: &str) -> bool {
        self.values
            .iter()
            .any(|pattern| matches_pattern(pattern.as_bytes(), value.as_bytes()))
    }
}

/// Whether a thing passes all filters. `field` gives the thing's values for a filter's name,
/// or nothing if the action has no such filter.
pub(super) fn passes(
    filters: &[Filter],
    field: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<bool, ApiError> {
    for filter in filters {
        let values = field(&filter.name).ok_or_else(|| {
            ApiError::invalid_value(format!("The filter '{}' is invalid", filter.name))
        })?;
        if !values.iter().any(|value| filter.accepts(value)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `*` is any run of characters, `?` any one (API reference, "Filtering"), case matters.
pub(super) fn matches_pattern(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches_pattern(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(_, tail)| matches_pattern(pattern, tail))
        }
        (Some((b'?', rest)), Some((_, tail))) => matches_pattern(rest, tail),
        (Some((wanted, rest)), Some((found, tail))) => {
            wanted == found && matches_pattern(rest, tail)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn call(form: &str) -> Call {
        Call::parse(format!("Action=A&Version={VERSION}&{form}").as_bytes()).unwrap()
    }

    #[test]
    fn lists_keep_the_order_of_their_numbers() {
        let call = call("Id.10=c&Id.2=b&Id.1=a&Ids.1=z&Id=y");
        assert_eq!(call.list("Id"), ["a", "b", "c"]);
    }

    #[test]
    fn filters_pair_names_with_their_own_values() {
        let call = call(
            "Filter.1.Name=x&Filter.1.Value.1=1&Filter.2.Name=y&Filter.2.Value.1=2&Filter.2.Value.2=3%2A",
        );
        let filters = call.filters();
        assert_eq!(filters[1].values, ["2", "3*"]);
        let field = |name: &str| match name {
            "x" => Some(vec!["1".to_owned()]),
            "y" => Some(vec!["345".to_owned()]),
            _ => None,
        };
        assert_eq!(passes(&filters, field), Ok(true));
        assert_eq!(passes(&filters[..1], |_| Some(Vec::new())), Ok(false));
        let unknown = passes(&filters, |_| None).unwrap_err();
        assert_eq!(unknown.code, "InvalidParameterValue");
    }

    #[test]
    fn a_misspelt_parameter_is_refused() {
        let error = call("VolumeID=vol-1").only(&["VolumeId"]).unwrap_err();
        assert_eq!(error.code, "UnknownParameter");
    }
}
