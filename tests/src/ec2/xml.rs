//! EC2's Query protocol, the way out: answers and errors as XML in EC2's namespace.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use time::OffsetDateTime;
use time::macros::format_description;

use super::error::ApiError;
use super::query::VERSION;

/// An element of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    name: &'static str,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(String),
    Children(Vec<Element>),
}

/// An element with text in it.
pub(super) fn text(name: &'static str, value: impl ToString) -> Element {
    Element {
        name,
        content: Content::Text(value.to_string()),
    }
}

/// An element with others in it.
pub(super) fn group(name: &'static str, children: Vec<Element>) -> Element {
    Element {
        name,
        content: Content::Children(children),
    }
}

/// A list: EC2 calls every member `item`.
pub(super) fn list(name: &'static str, members: Vec<Vec<Element>>) -> Element {
    let items = members.into_iter().map(|m| group("item", m)).collect();
    group(name, items)
}

/// What calls answer that have nothing to say.
pub(super) fn done() -> Vec<Element> {
    vec![text("return", true)]
}

/// A moment as EC2 writes it: `2026-11-20T14:03:00.000Z`.
pub(super) fn moment(at: impl Into<OffsetDateTime>) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    // Only a year beyond 9999 can't be written.
    at.into().format(format).unwrap_or_default()
}

/// The answer to `action`.
pub(super) fn answer(
    action: &str,
    request_id: &str,
    children: Vec<Element>,
) -> io::Result<Vec<u8>> {
    let mut writer = opened()?;
    let namespace = format!("http://ec2.amazonaws.com/doc/{VERSION}/");
    writer
        .create_element(format!("{action}Response"))
        .with_attribute(("xmlns", namespace.as_str()))
        .write_inner_content(|writer| {
            write(writer, &text("requestId", request_id))?;
            children.iter().try_for_each(|child| write(writer, child))
        })?;
    Ok(writer.into_inner())
}

/// A refusal (API reference, "Query API error responses").
pub(super) fn refusal(error: &ApiError, request_id: &str) -> io::Result<Vec<u8>> {
    let error = group(
        "Error",
        vec![text("Code", &error.code), text("Message", &error.message)],
    );
    let response = group(
        "Response",
        vec![group("Errors", vec![error]), text("RequestID", request_id)],
    );
    let mut writer = opened()?;
    write(&mut writer, &response)?;
    Ok(writer.into_inner())
}

fn opened() -> io::Result<Writer<Vec<u8>>> {
    let mut writer = Writer::new(Vec::new());
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    Ok(writer)
}

fn write(writer: &mut Writer<Vec<u8>>, element: &Element) -> io::Result<()> {
    let open = writer.create_element(element.name);
    match &element.content {
        Content::Text(value) => open.write_text_content(BytesText::new(value))?,
        Content::Children(children) if children.is_empty() => open.write_empty()?,
        Content::Children(children) => open.write_inner_content(|writer| {
            children.iter().try_for_each(|child| write(writer, child))
        })?,
    };
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_wrote_cannot_break_the_xml() {
        let error = ApiError::client("InvalidParameterValue", "</Message>&<");
        let xml = String::from_utf8(refusal(&error, "r").unwrap()).unwrap();
        assert!(
            xml.contains("<Message>&lt;/Message&gt;&amp;&lt;</Message>"),
            "{xml}"
        );
    }

    #[test]
    fn moments_look_as_in_ec2() {
        assert_eq!(
            moment(std::time::SystemTime::UNIX_EPOCH),
            "1970-01-01T00:00:00.000Z"
        );
    }
}
